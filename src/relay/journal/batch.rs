//! What one commit writes.

use super::{Queue, Reply};
use crate::domain::{Caller, Turn};
use crate::relay::AcceptError;
use crate::store::{self, Accepted, Note, Settlement, StoreError, WriteStore};

/// New messages of one commit at most.
const COMMIT_MESSAGES_MAX: usize = 4096;
/// Bytes of their payloads at most, a single larger one apart.
const COMMIT_BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
pub(super) struct Batch {
    pub(super) accepted: Vec<Accepted>,
    pub(super) replies: Vec<Reply>,
    pub(super) settled: Vec<Settlement>,
    noted: Vec<Note>,
    /// From this commit on the store knows that everything up to here may have been handed over.
    pub(super) handed_to: Option<Turn>,
    /// The store had no room for what is new.
    pub(super) was_refused: bool,
    /// The keys of what was refused.
    pub(super) freed_keys: Vec<(Caller, Box<str>)>,
    /// What is no longer pending after the commit.
    pub(super) freed_messages: usize,
    pub(super) freed_bytes: usize,
}

impl Batch {
    /// Takes what is queued: of the new messages as many as one commit may have, the oldest first. With
    /// `gate`, all of it may be handed over after the commit.
    pub(super) fn take(&mut self, queue: &mut Queue, gate: bool) {
        self.accepted.clear();
        self.settled.clear();
        self.was_refused = false;
        let (requests, messages) = fitting(queue);
        if messages == queue.accepted.len() {
            std::mem::swap(&mut self.accepted, &mut queue.accepted);
        } else {
            self.accepted.extend(queue.accepted.drain(..messages));
        }
        self.replies.extend(queue.replies.drain(..requests));
        self.freed_messages = queue.settled.len();
        self.freed_bytes = queue.settled.iter().map(|(_, bytes)| bytes).sum();
        self.settled
            .extend(queue.settled.drain(..).map(|(settlement, _)| settlement));
        self.noted = std::mem::take(&mut queue.noted);
        self.handed_to = gate.then(|| queue.last_turn());
        queue.gate_wanted = false;
        queue.settled_since = None;
        queue.urgent = false;
    }

    /// One commit; when there is no room for new messages, the rest is kept without them.
    pub(super) fn commit(&mut self, store: &mut dyn WriteStore) -> Result<(), StoreError> {
        match store.commit(&self.whole()) {
            Err(StoreError::Full) if !self.accepted.is_empty() => {
                self.refuse_accepted();
                let rest = self.whole();
                if rest.is_empty() {
                    Ok(())
                } else {
                    store.commit(&rest)
                }
            }
            committed => committed,
        }
    }

    fn whole(&self) -> store::Batch<'_> {
        store::Batch {
            accepted: &self.accepted,
            settled: &self.settled,
            noted: &self.noted,
            handed_to: self.handed_to,
            ..store::Batch::default()
        }
    }

    fn refuse_accepted(&mut self) {
        self.was_refused = true;
        self.freed_messages += self.accepted.len();
        let bytes = self
            .accepted
            .iter()
            .map(|accepted| accepted.message.footprint_bytes());
        self.freed_bytes += bytes.sum::<usize>();
        for accepted in self.accepted.drain(..) {
            if let Some(used) = accepted.key {
                let caller = accepted.message.draft.caller.clone();
                self.freed_keys.push((caller, used.key));
            }
        }
        for reply in self.replies.drain(..) {
            // Whoever has left no longer needs the answer.
            let _ = reply.sender.send(Err(AcceptError::Full));
        }
    }
}

/// How many replies, for how many messages, one commit may have: at least one.
fn fitting(queue: &Queue) -> (usize, usize) {
    let (mut requests, mut messages, mut bytes) = (0, 0, 0);
    for reply in &queue.replies {
        let theirs = &queue.accepted[messages..messages + reply.messages];
        let payloads = theirs.iter().map(|one| one.message.draft.payload.len());
        bytes += payloads.sum::<usize>();
        let too_much = messages + reply.messages > COMMIT_MESSAGES_MAX || bytes > COMMIT_BYTES_MAX;
        if too_much && requests > 0 {
            break;
        }
        requests += 1;
        messages += reply.messages;
    }
    (requests, messages)
}
