//! What one commit writes.

use super::{Queue, Reply};
use crate::domain::RowId;
use crate::relay::AcceptError;
use crate::store::{self, Accepted, Note, Settlement, StoreError, WriteStore};

#[derive(Default)]
pub(super) struct Batch {
    pub(super) accepted: Vec<Accepted>,
    pub(super) replies: Vec<Reply>,
    pub(super) settled: Vec<Settlement>,
    noted: Vec<Note>,
    /// From this commit on the store knows that everything up to here may have been handed over.
    pub(super) handed_to: Option<RowId>,
    /// What is no longer pending after the commit.
    pub(super) freed_messages: usize,
    pub(super) freed_bytes: usize,
}

impl Batch {
    /// Takes everything that is queued. With `gate`, all of it may be handed over after the commit.
    pub(super) fn take(&mut self, queue: &mut Queue, gate: bool) {
        self.accepted.clear();
        self.settled.clear();
        std::mem::swap(&mut self.accepted, &mut queue.accepted);
        std::mem::swap(&mut self.replies, &mut queue.replies);
        self.freed_messages = queue.settled.len();
        self.freed_bytes = queue.settled.iter().map(|(_, bytes)| bytes).sum();
        self.settled
            .extend(queue.settled.drain(..).map(|(settlement, _)| settlement));
        self.noted = std::mem::take(&mut queue.noted);
        self.handed_to = gate.then(|| queue.last_row());
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
        }
    }

    fn refuse_accepted(&mut self) {
        self.freed_messages += self.accepted.len();
        let bytes = self
            .accepted
            .iter()
            .map(|accepted| accepted.message.footprint_bytes());
        self.freed_bytes += bytes.sum::<usize>();
        self.accepted.clear();
        for reply in self.replies.drain(..) {
            // Whoever has left no longer needs the answer.
            let _ = reply.send(Err(AcceptError::Full));
        }
    }
}
