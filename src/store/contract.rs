//! The contract of durability as one suite for every store: random sequences of operations, compared
//! with a model that is too simple to be wrong.
//!
//! A store with a tight budget for its history may forget what is settled, and must say so; nothing
//! else may differ between stores.

mod later;
pub(crate) mod model;
mod operations;
pub(crate) mod outbox;
mod outcomes;
mod questions;
pub(crate) mod samples;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::domain::{Caller, Reason, ReasonCode, Status, WallTime};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{
    Accepted, Batch, Lookup, Note, OutboxStore, PartitionFacts, Pending, ReadStore, Settlement,
    UsedKey, WriteStore,
};
use model::Model;
use operations::{CALLERS, caller};
pub(crate) use operations::{Operation, PARTITIONS_MAX, any_operations};
use questions::Browsing;

/// A store under test.
pub(crate) trait Subject {
    fn writer(&mut self) -> &mut dyn WriteStore;
    fn reader(&self) -> &dyn ReadStore;
    fn outbox(&self) -> &dyn OutboxStore;
    /// Ends it in some way and opens it again.
    fn reopen(&mut self, ending: Ending, partitions: u8);
    /// Whether all history is kept.
    fn keeps_everything(&self) -> bool;
    /// What the store finds wrong with itself.
    fn problems(&self) -> Vec<String>;
}

/// How a store ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Closed,
    Killed,
    PowerCut,
}

/// Runs the operations and compares the store with the model after each.
pub(crate) fn follow(subject: &mut dyn Subject, operations: &[Operation]) {
    let mut model = Model::new(4);
    let mut browsing = None;
    for operation in operations {
        step(subject, &mut model, operation);
        compare_facts(subject, &model);
        if let Operation::Browse(question) = operation {
            browsing = Some(Browsing::start(&model, question));
        }
        browsing = browsing.and_then(|list| list.turn(subject, &model));
    }
    while let Some(list) = browsing {
        browsing = list.turn(subject, &model);
    }
    compare_everything(subject, &model);
    assert_eq!(subject.problems(), Vec::<String>::new());
}

fn step(subject: &mut dyn Subject, model: &mut Model, operation: &Operation) {
    match operation {
        Operation::Commit { .. } => commit(subject, model, operation),
        Operation::Pending {
            partition,
            after,
            messages_max,
            bytes_max,
        } => {
            let known = model.known(&[]);
            let after = after.filter(|_| !known.is_empty());
            let after = after.map(|index| known[index.index(known.len())].id.row().into());
            let found = subject
                .reader()
                .pending(*partition, after, *messages_max, *bytes_max);
            let expected = model.pending(*partition, after, *messages_max, *bytes_max);
            assert_eq!(found.expect("read"), expected);
        }
        Operation::Upkeep => {
            subject
                .writer()
                .upkeep(WallTime::from_unix_ms(1))
                .expect("upkeep");
        }
        Operation::Due {
            now,
            messages_max,
            bytes_max,
        } => later::due(subject, model, now, *messages_max, *bytes_max),
        Operation::Overdue { now, max } => later::overdue(subject, model, now, *max),
        Operation::Unconfirmed(question) => later::unconfirmed(subject, model, question),
        Operation::List(question) => questions::list(subject, model, question),
        Operation::Browse(_) => {}
        Operation::LookUp { ids } => questions::look_up(subject, model, ids),
        Operation::Oldest {
            caller,
            examined_max,
        } => questions::oldest(subject, model, *caller, *examined_max),
        Operation::Outcomes { after, entries_max } => {
            outcomes::follow(subject, model, *after, *entries_max);
        }
        Operation::Reopen(ending, partitions) => {
            if subject.writer().survives_restart() {
                subject.reopen(*ending, *partitions);
                model.reopen(*ending == Ending::Closed, *partitions);
            }
        }
    }
}

fn commit(subject: &mut dyn Subject, model: &mut Model, operation: &Operation) {
    let Operation::Commit {
        accepted,
        due,
        settled,
        replayed,
        noted,
        handed_to,
        bulk,
        clock_step_ms,
        twice,
    } = operation
    else {
        return;
    };

    let accepted: Vec<_> = accepted
        .iter()
        .map(|(partition, bytes, caller, kind)| {
            let mut one = model.next(*partition, *bytes, *caller, *kind);
            // Some were accepted before the step, others after it.
            if bytes.is_multiple_of(2) {
                one.step_clock(*clock_step_ms);
            }
            one
        })
        .collect();
    let known = model.known(&accepted);
    if known.is_empty() {
        return;
    }
    let pick = |index: &Index| Arc::clone(&known[index.index(known.len())]);
    let settled: Vec<_> = settled
        .iter()
        .map(|(index, kind)| ending(model, &pick(index), *kind))
        .collect();
    let ids: Vec<_> = known.iter().map(|message| message.id).collect();
    let due = later::becoming_due(model, &ids, due);
    let replayed = later::replayed(subject, model, &ids, replayed);
    let bulk = bulk.as_ref().map(|kind| later::bulk(model, kind));
    let note = |(index, attempts): &(Index, u32)| Note {
        id: pick(index).id,
        attempts: *attempts,
    };
    let batch = Batch {
        accepted: &accepted,
        due: &due,
        settled: &settled,
        replayed: &replayed,
        noted: &noted.iter().map(note).collect::<Vec<_>>(),
        bulk: bulk.as_ref(),
        handed_to: handed_to.as_ref().map(|index| pick(index).id.row().into()),
        clock_step_ms: *clock_step_ms,
        // Not each tells it.
        wall: (!due.is_empty()).then(|| WallTime::from_unix_ms(1000).moved_by_ms(*clock_step_ms)),
        outbox: &[],
    };
    subject.writer().commit(&batch).expect("commit");
    model.commit(&batch);
    if *twice && subject.keeps_everything() {
        let batch = Batch {
            clock_step_ms: 0,
            ..batch
        };
        subject.writer().commit(&batch).expect("commit again");
        // Everything in it is known by now, but a doubt may be about what only now is settled.
        model.commit(&batch);
    }
}

fn ending(model: &Model, message: &crate::domain::Message, kind: u8) -> Settlement {
    let replays = model.find(message.id).map_or(0, |kept| kept.replays);
    let status = match kind {
        0 => Status::Returned,
        1 | 6 => Status::Failed,
        _ => Status::Confirmed,
    };
    let reason = match kind {
        0 => Some(Reason::told(
            ReasonCode::NoRoute,
            312,
            "NO_ROUTE",
            "nobody wants it",
        )),
        1 => Some(Reason::own(ReasonCode::Nacked, "")),
        6 => Some(Reason::own(ReasonCode::Cancelled, "by its caller")),
        _ => None,
    };
    Settlement {
        reason,
        attempts: u32::from(kind),
        duplicate_possible: kind % 2 == 1,
        // The last kind is late: it speaks of the first life.
        revision: if kind == 7 { 2 } else { 2 + 2 * replays },
        ..samples::settlement(message.id, status, 5)
    }
}

fn compare_facts(subject: &dyn Subject, model: &Model) {
    let facts = subject.reader().facts().expect("facts");
    let mut pending = facts.pending.clone();
    pending.resize(usize::from(PARTITIONS_MAX), PartitionFacts::default());
    assert_eq!(pending, model.partitions());
    assert_eq!(facts.oldest_pending, model.oldest_pending());
    assert_eq!(facts.scheduled, model.scheduled());
    assert_eq!(facts.last_row, model.last_row);
    assert_eq!(facts.last_position, model.positions);
    assert_eq!(facts.wall, model.wall);
    let callers = (0..=CALLERS).map(|number| Some(caller(number)));
    for caller in callers.chain([None]) {
        let tally = subject.reader().tally(caller.as_ref());
        assert_eq!(tally, Ok(model.tally(caller.as_ref())), "{caller:?}");
    }
    later::compare_groups(subject, model);
}

fn compare_keys(subject: &dyn Subject, model: &Model) {
    let key = |number| Box::from(format!("key {number}"));
    let keys: Vec<(Caller, Box<str>)> = (0..CALLERS)
        .map(caller)
        .flat_map(|caller| (0..=model::KEYS).map(move |number| (caller.clone(), key(number))))
        .collect();
    let expected: Vec<_> = keys
        .iter()
        .map(|(caller, key)| model.used_key(caller, key))
        .collect();
    let ask = |since| subject.reader().used_keys(&keys, since).expect("keys");
    assert_eq!(ask(WallTime::default()), expected);
    // The last one is of its own time and no later.
    if let Some(last) = expected.iter().flatten().map(|used| used.id.row()).max() {
        let since = last.time();
        let young = |used: &UsedKey| used.id.row().time() >= since;
        let expected: Vec<_> = expected.iter().map(|used| used.filter(young)).collect();
        assert_eq!(ask(since), expected);
    }
}

fn compare_everything(subject: &mut dyn Subject, model: &Model) {
    later::compare_scheduled(subject, model);
    let subject = &*subject;
    compare_keys(subject, model);
    later::compare_bulk_replays(subject, model);
    let facts = subject.reader().facts().expect("facts");
    for partition in 0..PARTITIONS_MAX {
        let mut found: Vec<Pending> = Vec::new();
        loop {
            let after = found.last().map(|last| last.turn);
            let more = subject
                .reader()
                .pending(partition, after, 3, usize::MAX)
                .expect("read");
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        assert_eq!(
            found,
            model.pending(partition, None, usize::MAX, usize::MAX)
        );
    }
    let mut counts = [0; 3];
    for (record, message) in model.records() {
        let found = subject.reader().get(message.id).expect("read");
        if found == Lookup::Expired {
            assert!(!subject.keeps_everything());
            assert!(record.outcome.is_some(), "a pending message was forgotten");
            assert!(facts.horizon >= Some(message.id.row()));
            continue;
        }
        match record.outcome.as_ref().map(|outcome| outcome.status) {
            Some(Status::Confirmed) => counts[0] += 1,
            Some(Status::Returned) => counts[1] += 1,
            Some(_) => counts[2] += 1,
            None => {}
        }
        assert_eq!(found, Lookup::Found(Box::new(record)));
        let guessed =
            crate::domain::MessageId::from_parts(message.id.row(), message.id.random() ^ 1);
        assert_eq!(subject.reader().get(guessed), Ok(Lookup::NotFound));
    }
    assert_eq!(counts, [facts.confirmed, facts.returned, facts.failed]);
}

/// Draws the payload of a message, all of it different from its neighbours'.
fn payload(row: u64, bytes: usize) -> Bytes {
    let byte = |at: usize| row.wrapping_mul(31).wrapping_add(at as u64).to_le_bytes()[0];
    (0..bytes).map(byte).collect()
}

struct InMemory {
    store: MemoryStore,
    messages_max: usize,
}

impl Subject for InMemory {
    fn writer(&mut self) -> &mut dyn WriteStore {
        &mut self.store
    }

    fn reader(&self) -> &dyn ReadStore {
        &self.store
    }

    fn outbox(&self) -> &dyn OutboxStore {
        &self.store
    }

    fn reopen(&mut self, _: Ending, _: u8) {}

    fn keeps_everything(&self) -> bool {
        self.messages_max == usize::MAX
    }

    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

fn in_memory(messages_max: usize) -> InMemory {
    let bytes_max = usize::MAX;
    InMemory {
        store: MemoryStore::new(HistoryBudget {
            keys_kept: std::time::Duration::from_hours(24),
            messages_max,
            bytes_max,
        }),
        messages_max,
    }
}

proptest! {
    #[test]
    fn the_store_in_memory_keeps_the_contract(operations in any_operations()) {
        follow(&mut in_memory(usize::MAX), &operations);
    }

    #[test]
    fn the_outbox_in_memory_keeps_the_contract(operations in outbox::any_outbox_operations()) {
        outbox::follow_outbox(&mut in_memory(usize::MAX), &operations);
    }

    #[test]
    fn the_store_in_memory_forgets_only_what_is_settled(operations in any_operations()) {
        follow(&mut in_memory(5), &operations);
    }
}

/// For other suites that need a message with everything in it.
pub(crate) fn full_message(row: u64, properties: crate::domain::Properties) -> Accepted {
    let mut one = samples::one(row, payload(row, 300));
    let message = Arc::make_mut(&mut one.message);
    message.draft.properties = properties;
    message.draft.ordering_key = Some("order".into());
    message.draft.mandatory = false;
    one
}
