//! Idempotency keys in memory.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::domain::{Caller, Message, WallTime};
use crate::store::{KeyUse, UsedKey};

type Name = (Caller, Box<str>);

/// Keys by caller, each for as long as keys are kept.
#[derive(Default)]
pub(super) struct Keys {
    used: FxHashMap<Name, UsedKey>,
    /// In the order of use.
    names: VecDeque<Name>,
}

impl Keys {
    /// `message` was accepted with a key. Keys that are older than `kept` by then go.
    pub(super) fn keep(&mut self, message: &Message, used: &KeyUse, kept: Duration) {
        let now = message.id.row().time();
        let old = |used: &UsedKey| {
            let age_ms = now.unix_ms().saturating_sub(used.id.row().time().unix_ms());
            u128::from(age_ms) > kept.as_millis()
        };
        while let Some(name) = self.names.front() {
            if !self.used.get(name).is_none_or(old) {
                break;
            }
            self.used.remove(name);
            self.names.pop_front();
        }
        let name = (message.draft.caller.clone(), used.key.clone());
        let key = UsedKey {
            id: message.id,
            fingerprint: used.fingerprint,
        };
        self.names.push_back(name.clone());
        self.used.insert(name, key);
    }

    pub(super) fn get(&self, name: &Name, since: WallTime) -> Option<UsedKey> {
        let used = self.used.get(name).copied();
        used.filter(|used| used.id.row().time() >= since)
    }
}
