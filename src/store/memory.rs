//! A store in memory: it survives nothing.

mod keys;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{
    Accepted, Batch, Facts, Filter, Lookup, Note, Oldest, Page, PageSize, PartitionFacts, Payload,
    PayloadLookup, ReadStore, Record, Recovered, Settlement, StoreError, Tally, Upkeep, UsedKey,
    WriteStore,
};
use crate::domain::{Caller, Message, MessageId, RowId, Status, WallTime};

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

struct Kept {
    rows: BTreeMap<RowId, Row>,
    tallies: FxHashMap<Caller, Tally>,
    keys: keys::Keys,
    /// The pending ones of each partition, with the last doubt about each.
    pending: Vec<BTreeMap<RowId, Option<Note>>>,
    pending_bytes: Vec<u64>,
    history: VecDeque<RowId>,
    history_bytes: usize,
    facts: Facts,
    budget: HistoryBudget,
}

struct Row {
    message: Arc<Message>,
    partition: u8,
    outcome: Option<Box<Settlement>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(budget: HistoryBudget) -> Self {
        let kept = Kept {
            rows: BTreeMap::new(),
            tallies: FxHashMap::default(),
            keys: keys::Keys::default(),
            pending: Vec::new(),
            pending_bytes: Vec::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            facts: Facts::default(),
            budget,
        };
        Self {
            kept: Arc::new(Mutex::new(kept)),
        }
    }
}

impl WriteStore for MemoryStore {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let mut kept = self.kept.lock();
        for accepted in batch.accepted {
            kept.accept(accepted);
        }
        for settlement in batch.settled {
            kept.settle(settlement);
        }
        for note in batch.noted {
            kept.note(*note);
        }
        kept.forget();
        Ok(())
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
        let kept = self.kept.lock();
        Ok(keys.iter().map(|key| kept.keys.get(key, since)).collect())
    }

    fn payload(&self, id: MessageId) -> Result<PayloadLookup, StoreError> {
        let kept = self.kept.lock();
        Ok(match kept.look_up(id) {
            Lookup::Found(record) => {
                let confirmed = record
                    .outcome
                    .is_some_and(|outcome| outcome.status == Status::Confirmed);
                let row = kept.rows.get(&id.row()).filter(|_| !confirmed);
                let draft = row.map(|row| &row.message.draft);
                let properties = draft.map(|draft| &draft.properties);
                PayloadLookup::Found(Box::new(Payload {
                    caller: record.caller,
                    content_type: properties.and_then(|all| all.content_type.clone()),
                    content_encoding: properties.and_then(|all| all.content_encoding.clone()),
                    bytes: draft.map(|draft| draft.payload.clone()),
                }))
            }
            Lookup::NotFound => PayloadLookup::NotFound,
            Lookup::Expired => PayloadLookup::Expired,
        })
    }

    fn list(
        &self,
        filter: &Filter,
        before: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError> {
        let kept = self.kept.lock();
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut page, mut last) = (Page::default(), None);
        for (examined, (row_id, row)) in kept.rows.range((Bound::Unbounded, end)).rev().enumerate()
        {
            if filter.since.is_some_and(|since| row_id.time() < since) {
                return Ok(page);
            }
            if page.records.len() >= size.records_max.max(1) || examined >= size.examined_max.max(1)
            {
                page.next = last;
                return Ok(page);
            }
            last = Some(*row_id);
            let record = kept.record(*row_id, row);
            if filter.matches(&record) {
                page.records.push(record);
            }
        }
        Ok(page)
    }

    fn tally(&self, caller: Option<&Caller>) -> Result<Tally, StoreError> {
        let kept = self.kept.lock();
        Ok(match caller {
            Some(caller) => kept.tallies.get(caller).copied().unwrap_or_default(),
            None => kept
                .tallies
                .values()
                .fold(Tally::default(), |all, one| Tally {
                    pending: all.pending + one.pending,
                    confirmed: all.confirmed + one.confirmed,
                    returned: all.returned + one.returned,
                    failed: all.failed + one.failed,
                }),
        })
    }

    fn oldest_pending(
        &self,
        caller: Option<&Caller>,
        _examined_max: usize,
    ) -> Result<Oldest, StoreError> {
        let kept = self.kept.lock();
        let theirs = |row: &&RowId| {
            let draft = kept.rows.get(row).map(|row| &row.message.draft);
            draft.is_some_and(|draft| caller.is_none_or(|caller| *caller == draft.caller))
        };
        let oldest = (kept.pending.iter())
            .filter_map(|rows| rows.keys().find(theirs))
            .min()
            .and_then(|row| kept.rows.get(row));
        Ok(oldest.map_or(Oldest::None, |row| Oldest::Message(row.message.id)))
    }

    fn pending(
        &self,
        partition: u8,
        after: Option<RowId>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Recovered>, StoreError> {
        let kept = self.kept.lock();
        let mut found = Vec::new();
        let mut bytes = 0;
        let Some(pending) = kept.pending.get(usize::from(partition)) else {
            return Ok(found);
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (row, note) in pending.range((from, Bound::Unbounded)) {
            let Some(row) = kept.rows.get(row) else {
                continue;
            };
            bytes += row.message.footprint_bytes();
            if found.len() >= messages_max.max(1) || (bytes > bytes_max && !found.is_empty()) {
                break;
            }
            found.push(Recovered {
                message: Arc::clone(&row.message),
                duplicate_possible: note.is_some(),
                attempts: note.map_or(0, |note| note.attempts),
            });
        }
        Ok(found)
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        let kept = self.kept.lock();
        let partition = |(rows, &bytes): (&BTreeMap<_, _>, &u64)| PartitionFacts {
            messages: rows.len() as u64,
            bytes,
        };
        let oldest = |rows: &BTreeMap<RowId, _>| rows.keys().next().copied();
        Ok(Facts {
            pending: kept
                .pending
                .iter()
                .zip(&kept.pending_bytes)
                .map(partition)
                .collect(),
            oldest_pending: kept.pending.iter().filter_map(oldest).min(),
            history_bytes: kept.history_bytes as u64,
            ..kept.facts.clone()
        })
    }
}

impl Kept {
    fn look_up(&self, id: MessageId) -> Lookup {
        match self.rows.get(&id.row()) {
            Some(row) if row.message.id == id => {
                Lookup::Found(Box::new(self.record(id.row(), row)))
            }
            None if self.facts.horizon.is_some_and(|row| id.row() <= row) => Lookup::Expired,
            _ => Lookup::NotFound,
        }
    }

    fn tally(&mut self, caller: &Caller) -> &mut Tally {
        self.tallies.entry(caller.clone()).or_default()
    }

    fn accept(&mut self, accepted: &Accepted) {
        let row_id = accepted.message.id.row();
        if self.rows.contains_key(&row_id) {
            return;
        }
        let partition = usize::from(accepted.partition);
        if self.pending.len() <= partition {
            self.pending.resize_with(partition + 1, BTreeMap::new);
            self.pending_bytes.resize(partition + 1, 0);
        }
        self.pending[partition].insert(row_id, None);
        self.pending_bytes[partition] += accepted.message.footprint_bytes() as u64;
        let row = Row {
            message: Arc::clone(&accepted.message),
            partition: accepted.partition,
            outcome: None,
        };
        self.rows.insert(row_id, row);
        if let Some(used) = &accepted.key {
            (self.keys).keep(&accepted.message, used, self.budget.keys_kept);
        }
        self.tally(&accepted.message.draft.caller).pending += 1;
        self.facts.last_row = self.facts.last_row.max(Some(row_id));
    }

    fn settle(&mut self, settlement: &Settlement) {
        let row_id = settlement.id.row();
        let Some(row) = self.rows.get_mut(&row_id) else {
            return;
        };
        if row.message.id != settlement.id || row.outcome.is_some() {
            return;
        }
        row.outcome = Some(Box::new(settlement.clone()));
        let message = Arc::clone(&row.message);
        let bytes = message.footprint_bytes();
        let partition = usize::from(row.partition);
        let tally = self.tally(&message.draft.caller);
        tally.pending = tally.pending.saturating_sub(1);
        *tally.of(settlement.status) += 1;
        self.pending[partition].remove(&row_id);
        let pending_bytes = &mut self.pending_bytes[partition];
        *pending_bytes = pending_bytes.saturating_sub(bytes as u64);
        self.history.push_back(row_id);
        self.history_bytes += bytes;
        self.facts.last_position += 1;
        *self.facts.of(settlement.status) += 1;
    }

    fn note(&mut self, note: Note) {
        let row_id = note.id.row();
        if let Some(row) = self.rows.get(&row_id)
            && row.message.id == note.id
            && let Some(kept) = self.pending[usize::from(row.partition)].get_mut(&row_id)
        {
            *kept = Some(note);
        }
    }

    fn record(&self, row_id: RowId, row: &Row) -> Record {
        let pending = self.pending.get(usize::from(row.partition));
        let note = pending.and_then(|rows| *rows.get(&row_id)?);
        Record {
            doubt: note.map(|note| note.attempts),
            ..Record::of(&row.message, 0, row.outcome.as_deref().cloned())
        }
    }

    fn forget(&mut self) {
        while self.history.len() > self.budget.messages_max
            || self.history_bytes > self.budget.bytes_max
        {
            let Some(oldest) = self.history.pop_front() else {
                return;
            };
            if let Some(row) = self.rows.remove(&oldest) {
                let bytes = row.message.footprint_bytes();
                self.history_bytes = self.history_bytes.saturating_sub(bytes);
                if let Some(outcome) = row.outcome {
                    let count = self.facts.of(outcome.status);
                    *count = count.saturating_sub(1);
                }
            }
            self.facts.horizon = self.facts.horizon.max(Some(oldest));
        }
    }
}

impl Facts {
    /// The count of a final status; settlements have no other.
    fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Confirmed => &mut self.confirmed,
            Status::Returned => &mut self.returned,
            Status::Failed | Status::Pending => &mut self.failed,
        }
    }
}

#[cfg(test)]
mod tests;
