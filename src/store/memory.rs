//! A store in memory: it survives nothing.

mod asked;
mod groups;
mod kept;
mod keys;
mod outbox;
mod outcomes;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    Batch, BulkReplay, Delivery, DeliveryId, DueMessages, EndpointId, Facts, Filter,
    LoggedDelivery, Lookup, Oldest, OutboxStore, OutcomesPage, Page, PageSize, PayloadLookup,
    Pending, ReadStore, Record, Replayable, StoreError, Tally, Upkeep, UsedKey, Webhook,
    WriteStore,
};
use crate::domain::{Caller, Message, MessageId, RowId, Turn, WallTime};
use kept::Kept;

/// How much settled history is kept. The oldest settlement goes first.
#[derive(Clone, Copy, Debug)]
pub struct HistoryBudget {
    /// Messages with a final status.
    pub messages_max: usize,
    /// Their bytes, as [`Message::footprint_bytes`] accounts them.
    pub bytes_max: usize,
    /// How long idempotency keys are kept.
    pub keys_kept: Duration,
}

/// A handle; all clones see the same messages.
#[derive(Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(budget: HistoryBudget) -> Self {
        Self {
            kept: Arc::new(Mutex::new(Kept::new(budget))),
        }
    }
}

impl WriteStore for MemoryStore {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.kept.lock().commit(batch);
        Ok(())
    }

    fn has_kept_deliveries(&self) -> bool {
        self.kept.lock().outbox.has_added
    }

    fn due(
        &mut self,
        now: WallTime,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<DueMessages, StoreError> {
        Ok(self.kept.lock().due(now, messages_max, bytes_max))
    }

    fn scheduled(&mut self, id: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        Ok(self.kept.lock().scheduled(id))
    }

    fn overdue(
        &mut self,
        now: WallTime,
        after: Option<(WallTime, Turn)>,
        max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(self.kept.lock().overdue(now, after, max))
    }

    fn replayable(&mut self, id: MessageId) -> Result<Replayable, StoreError> {
        Ok(self.kept.lock().replayable(id))
    }

    fn upkeep(&mut self, _now: WallTime) -> Result<Upkeep, StoreError> {
        Ok(Upkeep::default())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn survives_restart(&self) -> bool {
        false
    }
}

impl ReadStore for MemoryStore {
    fn get(&self, id: MessageId) -> Result<Lookup, StoreError> {
        Ok(self.kept.lock().look_up(id))
    }

    fn get_many(&self, ids: &[MessageId]) -> Result<Vec<Lookup>, StoreError> {
        let kept = self.kept.lock();
        Ok(ids.iter().map(|id| kept.look_up(*id)).collect())
    }

    fn used_keys(
        &self,
        keys: &[(Caller, Box<str>)],
        since: WallTime,
    ) -> Result<Vec<Option<UsedKey>>, StoreError> {
        Ok(self.kept.lock().used_keys(keys, since))
    }

    fn payload(&self, id: MessageId) -> Result<PayloadLookup, StoreError> {
        Ok(self.kept.lock().payload(id))
    }

    fn list(
        &self,
        filter: &Filter,
        before: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError> {
        Ok(self.kept.lock().list(filter, before, size))
    }

    fn unconfirmed(
        &self,
        filter: &Filter,
        after: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError> {
        Ok(self.kept.lock().unconfirmed(filter, after, size))
    }

    fn group(&self, caller: Option<&Caller>, group: &str) -> Result<Option<Tally>, StoreError> {
        Ok(self.kept.lock().groups.tally(caller, group))
    }

    fn bulk_replay(&self, id: MessageId) -> Result<Option<BulkReplay>, StoreError> {
        Ok(self.kept.lock().bulk.get(&id).cloned())
    }

    fn bulk_replays_under_way(&self) -> Result<Vec<BulkReplay>, StoreError> {
        let kept = self.kept.lock();
        let under_way = kept.bulk.values().filter(|bulk| !bulk.done);
        Ok(under_way.cloned().collect())
    }

    fn tally(&self, caller: Option<&Caller>) -> Result<Tally, StoreError> {
        Ok(self.kept.lock().tally(caller))
    }

    fn oldest_pending(
        &self,
        caller: Option<&Caller>,
        _examined_max: usize,
    ) -> Result<Oldest, StoreError> {
        Ok(self.kept.lock().oldest_pending(caller))
    }

    fn pending(
        &self,
        partition: u8,
        after: Option<Turn>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        let kept = self.kept.lock();
        Ok(kept.pending(partition, after, messages_max, bytes_max))
    }

    fn outcomes(&self, after: u64, entries_max: usize) -> Result<OutcomesPage, StoreError> {
        Ok(self.kept.lock().outcomes(after, entries_max))
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        Ok(self.kept.lock().facts())
    }
}

impl OutboxStore for MemoryStore {
    fn waiting_endpoints(&self, max: usize) -> Result<Vec<(EndpointId, WallTime)>, StoreError> {
        Ok(self.kept.lock().outbox.waiting_endpoints(max))
    }

    fn due_deliveries(
        &self,
        endpoint: EndpointId,
        now: WallTime,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        Ok(self.kept.lock().outbox.due_deliveries(endpoint, now, max))
    }

    fn waiting_deliveries(&self, max: usize) -> Result<usize, StoreError> {
        Ok(self.kept.lock().outbox.waiting_deliveries().min(max))
    }

    fn webhooks(&self, caller: Option<&Caller>) -> Result<Vec<Webhook>, StoreError> {
        Ok(self.kept.lock().outbox.webhooks(caller))
    }

    fn deliveries(
        &self,
        webhook: MessageId,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Result<Vec<LoggedDelivery>, StoreError> {
        Ok(self.kept.lock().outbox.log(webhook, before, max))
    }
}

#[cfg(test)]
mod tests;
