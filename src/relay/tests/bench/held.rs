//! The store of the bench.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Control, Note};
use crate::domain::{Message, MessageId, Turn, WallTime};
use crate::store::memory::MemoryStore;
use crate::store::{Batch, DueMessages, Record, Replayable, StoreError, Upkeep, WriteStore};

/// See the module.
pub(super) struct Held {
    pub(super) kept: MemoryStore,
    pub(super) control: Arc<Control>,
    /// One permit for each commit that has begun.
    pub(super) entered: Arc<Semaphore>,
    pub(super) survives: bool,
}

impl WriteStore for Held {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.entered.add_permits(1);
        let mut held = self.control.held.lock();
        while *held {
            self.control.let_go.wait(&mut held);
        }
        drop(held);
        let failure = self.control.failures.lock().pop_front().flatten();
        let result = match failure {
            Some(failure) => Err(failure),
            None => self.kept.commit(batch),
        };
        let accepted = batch
            .accepted
            .iter()
            .map(|one| one.message.id.row())
            .collect();
        let settled = batch.settled.iter().map(|one| one.id.row()).collect();
        let note = match result {
            Ok(()) => Note::Kept(accepted, settled),
            Err(_) => Note::Failed,
        };
        if result.is_ok() {
            self.control.gates.lock().push(batch.handed_to);
        }
        self.control.notes.lock().push(note);
        result
    }

    fn has_kept_deliveries(&self) -> bool {
        self.kept.has_kept_deliveries()
    }

    fn due(
        &mut self,
        now: WallTime,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<DueMessages, StoreError> {
        self.kept.due(now, messages_max, bytes_max)
    }

    fn scheduled(&mut self, id: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        self.kept.scheduled(id)
    }

    fn overdue(
        &mut self,
        now: WallTime,
        after: Option<(WallTime, Turn)>,
        max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.kept.overdue(now, after, max)
    }

    fn replayable(&mut self, id: MessageId) -> Result<Replayable, StoreError> {
        self.kept.replayable(id)
    }

    fn upkeep(&mut self, _now: WallTime) -> Result<Upkeep, StoreError> {
        Ok(Upkeep::default())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn survives_restart(&self) -> bool {
        self.survives
    }
}
