//! What a store should hold, as lists.

use std::sync::Arc;

use super::{PARTITIONS_MAX, payload, samples};
use crate::domain::{Caller, Fingerprint, Message, MessageId, RowId, Status};
use crate::store::{
    Accepted, Batch, Filter, KeyUse, Note, PartitionFacts, Record, Pending, Settlement, Tally,
    UsedKey,
};

pub(super) struct Model {
    partitions: u8,
    rows: u64,
    kept: Vec<Kept>,
    handed_to: Option<RowId>,
}

struct Kept {
    message: Arc<Message>,
    key: Option<Box<KeyUse>>,
    partition: u8,
    settled: Option<Settlement>,
    note: Option<Note>,
    doubtful: bool,
}

impl Kept {
    fn doubt(&self) -> Option<u32> {
        let noted = self.note.map(|note| note.attempts);
        noted.or(self.doubtful.then_some(0))
    }
}

/// What a reopening with another number of partitions spreads by.
pub(crate) fn partition_of(message: &Message, partitions: u8) -> u8 {
    (message.id.row().get() / 3 % u64::from(partitions)).to_le_bytes()[0]
}

/// One of a few keys.
fn key_use(bytes: usize) -> KeyUse {
    KeyUse {
        key: format!("key {}", bytes % KEYS).into(),
        fingerprint: Fingerprint([bytes.to_le_bytes()[0]; 32]),
    }
}

/// Idempotency keys that messages are accepted with.
pub(super) const KEYS: usize = 4;

impl Model {
    pub(super) fn new(partitions: u8) -> Self {
        Self {
            partitions,
            rows: 1 << 40,
            kept: Vec::new(),
            handed_to: None,
        }
    }

    /// A new message.
    pub(super) fn next(&mut self, partition: u8, bytes: usize, caller: u8) -> Accepted {
        // Some in the same millisecond, others not.
        self.rows += 1 + bytes as u64 % 3 * 1500;
        let mut one = samples::one(self.rows, payload(self.rows, bytes));
        let draft = &mut Arc::make_mut(&mut one.message).draft;
        draft.caller = super::caller(caller);
        if bytes.is_multiple_of(4) {
            draft.exchange = "".into();
        }
        if bytes.is_multiple_of(5) {
            draft.properties.content_type = Some("text/plain".into());
        }
        Accepted {
            partition: partition % self.partitions,
            key: (bytes % 3 == 1).then(|| Box::new(key_use(bytes))),
            ..one
        }
    }

    /// The message that the key was last used for, with its fingerprint.
    pub(super) fn used_key(&self, caller: &Caller, key: &str) -> Option<UsedKey> {
        let used = |kept: &Kept| {
            let used = kept.key.as_ref().filter(|used| &*used.key == key)?;
            (kept.message.draft.caller == *caller).then_some(UsedKey {
                id: kept.message.id,
                fingerprint: used.fingerprint,
            })
        };
        self.kept.iter().rev().find_map(used)
    }

    /// All messages, those of `more` included.
    pub(super) fn known(&self, more: &[Accepted]) -> Vec<Arc<Message>> {
        let kept = self.kept.iter().map(|kept| &kept.message);
        kept.chain(more.iter().map(|one| &one.message))
            .cloned()
            .collect()
    }

    pub(super) fn commit(&mut self, batch: &Batch<'_>) {
        for one in batch.accepted {
            if !self
                .kept
                .iter()
                .any(|kept| kept.message.id == one.message.id)
            {
                self.kept.push(Kept {
                    message: Arc::clone(&one.message),
                    key: one.key.clone(),
                    partition: one.partition,
                    settled: None,
                    note: None,
                    doubtful: false,
                });
            }
        }
        for settlement in batch.settled {
            for kept in &mut self.kept {
                if kept.message.id == settlement.id && kept.settled.is_none() {
                    kept.settled = Some(settlement.clone());
                }
            }
        }
        for note in batch.noted {
            for kept in &mut self.kept {
                if kept.message.id == note.id && kept.settled.is_none() {
                    kept.note = Some(*note);
                }
            }
        }
        self.handed_to = self.handed_to.max(batch.handed_to);
    }

    pub(super) fn reopen(&mut self, clean: bool, partitions: u8) {
        for kept in &mut self.kept {
            if !clean && self.handed_to.is_some_and(|to| kept.message.id.row() <= to) {
                kept.doubtful = true;
            }
            if partitions != self.partitions {
                kept.partition = partition_of(&kept.message, partitions);
            }
        }
        self.handed_to = None;
        self.partitions = partitions;
    }

    pub(super) fn pending(
        &self,
        partition: u8,
        after: Option<RowId>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Vec<Pending> {
        let mut bytes = 0;
        let fits = |(at, kept): &(usize, &Kept)| {
            bytes += kept.message.footprint_bytes();
            *at == 0 || (*at < messages_max && bytes <= bytes_max)
        };
        self.kept
            .iter()
            .filter(|kept| kept.settled.is_none() && kept.partition == partition)
            .filter(|kept| after.is_none_or(|after| kept.message.id.row() > after))
            .enumerate()
            .take_while(fits)
            .map(|(_, kept)| Pending {
                message: Arc::clone(&kept.message),
                duplicate_possible: kept.doubt().is_some(),
                attempts: kept.doubt().unwrap_or(0),
            })
            .collect()
    }

    pub(super) fn settled(&self) -> impl Iterator<Item = &Settlement> {
        self.kept.iter().filter_map(|kept| kept.settled.as_ref())
    }

    pub(super) fn partitions(&self) -> Vec<PartitionFacts> {
        let mut facts = vec![PartitionFacts::default(); usize::from(PARTITIONS_MAX)];
        for kept in self.kept.iter().filter(|kept| kept.settled.is_none()) {
            let facts = &mut facts[usize::from(kept.partition)];
            facts.messages += 1;
            facts.bytes += kept.message.footprint_bytes() as u64;
        }
        facts
    }

    pub(super) fn oldest_pending(&self) -> Option<RowId> {
        let pending = self.kept.iter().find(|kept| kept.settled.is_none());
        pending.map(|kept| kept.message.id.row())
    }

    pub(super) fn last_row(&self) -> Option<RowId> {
        self.kept.last().map(|kept| kept.message.id.row())
    }

    pub(super) fn tally(&self, caller: Option<&Caller>) -> Tally {
        let mut tally = Tally::default();
        for (record, _) in self.records() {
            if caller.is_none_or(|caller| *caller == record.caller) {
                let status = record.outcome.map_or(Status::Pending, |end| end.status);
                *tally.of(status) += 1;
            }
        }
        tally
    }

    /// What is pending of a caller, or of everybody, oldest first.
    pub(super) fn waiting(&self, caller: Option<&Caller>) -> Vec<MessageId> {
        let waiting = self.kept.iter().filter(|kept| kept.settled.is_none());
        let messages = waiting.map(|kept| &kept.message);
        let theirs =
            messages.filter(|message| caller.is_none_or(|caller| *caller == message.draft.caller));
        theirs.map(|message| message.id).collect()
    }

    /// What matches, newest first.
    pub(super) fn list(&self, filter: &Filter) -> Vec<Record> {
        let records = self.records().map(|(record, _)| record);
        let mut matching: Vec<_> = records.filter(|record| filter.matches(record)).collect();
        matching.reverse();
        matching
    }

    pub(super) fn records(&self) -> impl Iterator<Item = (Record, &Message)> {
        let record = |kept: &Kept| Record {
            doubt: kept.doubt().filter(|_| kept.settled.is_none()),
            ..Record::of(&kept.message, kept.settled.clone())
        };
        self.kept
            .iter()
            .map(move |kept| (record(kept), &*kept.message))
    }
}
