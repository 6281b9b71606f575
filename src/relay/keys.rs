//! Idempotency keys of messages that are on their way into the store.
//!
//! Whoever comes with a key claims it first and looks into the store second; the claim ends after
//! the commit. So of two that race one has the claim, and the other waits for its commit; and who
//! comes later finds the key in the store.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::domain::{Caller, Fingerprint, MessageId};

type Name = (Caller, Box<str>);

/// How a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claimed {
    /// This message was accepted with the key.
    Kept(MessageId, Fingerprint),
    /// Nothing was accepted; the key is free.
    Free,
}

/// All keys that are claimed, and who waits for them. A waiter whose sender is dropped learns that
/// nobody knows.
#[derive(Default)]
pub(super) struct Keys {
    claims: Mutex<FxHashMap<Name, Vec<oneshot::Sender<Claimed>>>>,
}

/// What came of the attempt to claim a key.
pub(super) enum Attempt {
    /// Nobody else has it.
    Mine(Claim),
    /// Somebody has; this tells how it ends.
    Other(oneshot::Receiver<Claimed>),
}

/// A claim; dropping it frees the key.
pub(super) struct Claim {
    keys: Arc<Keys>,
    name: Option<Name>,
}

impl Claim {
    /// From now on the journal ends the claim, with the commit of its message.
    pub(super) fn hand_over(mut self) {
        self.name = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((caller, key)) = self.name.take() {
            self.keys.end(&caller, &key, Claimed::Free);
        }
    }
}

impl Keys {
    /// Claims `key` of `caller`.
    pub(super) fn claim(self: &Arc<Self>, caller: &Caller, key: &str) -> Attempt {
        let name = (caller.clone(), Box::from(key));
        match self.claims.lock().entry(name.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Vec::new());
                Attempt::Mine(Claim {
                    keys: Arc::clone(self),
                    name: Some(name),
                })
            }
            Entry::Occupied(mut occupied) => {
                let (tell, told) = oneshot::channel();
                occupied.get_mut().push(tell);
                Attempt::Other(told)
            }
        }
    }

    /// Ends a claim.
    pub(super) fn end(&self, caller: &Caller, key: &str, how: Claimed) {
        let waiting = self.claims.lock().remove(&(caller.clone(), Box::from(key)));
        for tell in waiting.into_iter().flatten() {
            // Whoever has left no longer needs the answer.
            let _ = tell.send(how);
        }
    }

    /// Ends all claims, and nobody knows how.
    pub(super) fn give_up(&self) {
        self.claims.lock().clear();
    }
}
