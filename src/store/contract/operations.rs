//! What may happen to a store, drawn at random.

use proptest::prelude::*;
use proptest::sample::Index;

use super::Ending;
use super::model::GROUPS;
use crate::domain::{Caller, ReasonCode, Status};
use crate::store::PageSize;

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Commit {
        /// Each with its partition, the bytes of its payload, its caller, and what decides its terms.
        accepted: Vec<(u8, usize, u8, u8)>,
        /// Each with the partition that it gets.
        due: Vec<(Index, u8)>,
        settled: Vec<(Index, u8)>,
        replayed: Vec<(Index, u8)>,
        noted: Vec<(Index, u32)>,
        handed_to: Option<Index>,
        bulk: Option<BulkKind>,
        clock_step_ms: i64,
        twice: bool,
    },
    Due {
        now: (Index, i64),
        messages_max: usize,
        bytes_max: usize,
    },
    Overdue {
        now: (Index, i64),
        max: usize,
    },
    Pending {
        partition: u8,
        after: Option<Index>,
        messages_max: usize,
        bytes_max: usize,
    },
    Upkeep,
    Reopen(Ending, u8),
    /// A whole list at once.
    List(Question),
    /// What has ended without being confirmed, oldest first.
    Unconfirmed(Question),
    /// A list of which a page is read after each of the following operations.
    Browse(Question),
    LookUp {
        ids: Vec<(Index, IdKind)>,
    },
    Outcomes {
        after: Index,
        entries_max: usize,
    },
    Oldest {
        caller: Option<u8>,
        examined_max: usize,
    },
}

/// What is told of a bulk replay.
#[derive(Clone, Debug)]
pub(crate) enum BulkKind {
    New(Question),
    /// One that is known goes on.
    Further(Index, bool),
}

/// What is asked of a list.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(super) caller: Option<u8>,
    pub(super) status: Option<Status>,
    pub(super) reason: Option<ReasonCode>,
    pub(super) default_exchange: Option<bool>,
    pub(super) routing_key: Option<u8>,
    /// The time of a message, and milliseconds more.
    pub(super) since: Option<(Index, u64)>,
    pub(super) until: Option<(Index, u64)>,
    pub(super) group: Option<u8>,
    pub(super) settled_to: Option<Index>,
    pub(super) size: PageSize,
}

/// What is asked for by id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IdKind {
    Known,
    /// The place is right, the rest is not.
    Guessed,
    /// Nothing was ever accepted there.
    Unknown,
}

pub(crate) const PARTITIONS_MAX: u8 = 16;
/// Callers; the first has no name.
pub(super) const CALLERS: u8 = 4;

pub(super) fn caller(number: u8) -> Caller {
    match number {
        0 => Caller::default(),
        _ => Caller::named(&format!("caller-{number}")).expect("a name"),
    }
}

fn any_question() -> impl Strategy<Value = Question> {
    let status = prop_oneof![
        Just(Status::Pending),
        Just(Status::Confirmed),
        Just(Status::Returned),
        Just(Status::Failed),
    ];
    let reason = prop_oneof![Just(ReasonCode::NoRoute), Just(ReasonCode::Nacked)];
    let time = || prop::option::weighted(0.2, (any::<Index>(), 0..3_u64));
    let sizes = (1..6_usize, 1..20_usize);
    (
        // One more than there are: somebody who never had anything accepted.
        prop::option::weighted(0.4, 0..=CALLERS),
        prop::option::weighted(0.6, status),
        prop::option::weighted(0.2, reason),
        prop::option::weighted(0.15, any::<bool>()),
        prop::option::weighted(0.15, 0..7_u8),
        (time(), time()),
        (
            prop::option::weighted(0.2, 0..=GROUPS),
            prop::option::weighted(0.2, any::<Index>()),
        ),
        sizes,
    )
        .prop_map(
            |(
                caller,
                status,
                reason,
                default_exchange,
                routing_key,
                (since, until),
                (group, settled_to),
                sizes,
            )| {
                Question {
                    group,
                    settled_to,
                    caller,
                    status,
                    reason,
                    default_exchange,
                    routing_key,
                    since,
                    until,
                    size: PageSize {
                        records_max: sizes.0,
                        examined_max: sizes.1,
                    },
                }
            },
        )
}

fn any_look_up() -> impl Strategy<Value = Operation> {
    let kind = prop_oneof![
        4 => Just(IdKind::Known),
        1 => Just(IdKind::Guessed),
        1 => Just(IdKind::Unknown),
    ];
    prop::collection::vec((any::<Index>(), kind), 0..10).prop_map(|ids| Operation::LookUp { ids })
}

fn any_commit() -> impl Strategy<Value = Operation> {
    let one = (any::<u8>(), 0..6000_usize, 0..CALLERS, any::<u8>());
    // With some commits there are enough for statements of several.
    let accepted = prop_oneof![
        4 => prop::collection::vec(one.clone(), 0..8),
        1 => prop::collection::vec(one, 8..20),
    ];
    let due = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    let settled = prop::collection::vec((any::<Index>(), 0..8_u8), 0..8);
    let replayed = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let noted = prop::collection::vec((any::<Index>(), 0..5_u32), 0..3);
    let handed_to = prop::option::of(any::<Index>());
    let bulk = prop_oneof![
        any_question().prop_map(BulkKind::New),
        (any::<Index>(), any::<bool>()).prop_map(|(which, done)| BulkKind::Further(which, done)),
    ];
    let clock_step_ms = prop_oneof![9 => Just(0), 1 => -20..20_i64];
    (
        (accepted, due, settled, replayed, noted),
        handed_to,
        prop::option::weighted(0.1, bulk),
        clock_step_ms,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(lists, handed_to, bulk, clock_step_ms, twice)| {
            let (accepted, due, settled, replayed, noted) = lists;
            Operation::Commit {
                accepted,
                due,
                settled,
                replayed,
                noted,
                handed_to,
                bulk,
                clock_step_ms,
                twice,
            }
        })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let ending = prop_oneof![
        Just(Ending::Closed),
        Just(Ending::Killed),
        Just(Ending::PowerCut)
    ];
    let partitions = prop_oneof![4 => Just(4), 1 => 1..=PARTITIONS_MAX];
    prop_oneof![
        12 => any_commit(),
        3 => (0..PARTITIONS_MAX, any::<Option<Index>>(), 1..10_usize, 0..20_000_usize).prop_map(
            |(partition, after, messages_max, bytes_max)| Operation::Pending {
                partition, after, messages_max, bytes_max,
            }
        ),
        2 => Just(Operation::Upkeep),
        2 => any_question().prop_map(Operation::List),
        2 => any_question().prop_map(Operation::Browse),
        2 => any_question().prop_map(Operation::Unconfirmed),
        2 => ((any::<Index>(), -30..800_i64), 1..6_usize, 0..20_000_usize).prop_map(
            |(now, messages_max, bytes_max)| Operation::Due { now, messages_max, bytes_max }
        ),
        2 => ((any::<Index>(), -30..800_i64), 1..6_usize)
            .prop_map(|(now, max)| Operation::Overdue { now, max }),
        2 => any_look_up(),
        3 => (any::<Index>(), 0..12_usize)
            .prop_map(|(after, entries_max)| Operation::Outcomes { after, entries_max }),
        2 => (prop::option::of(0..=CALLERS), 0..20_usize)
            .prop_map(|(caller, examined_max)| Operation::Oldest { caller, examined_max }),
        1 => (ending, partitions).prop_map(|(ending, n)| Operation::Reopen(ending, n)),
    ]
}

pub(crate) fn any_operations() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(any_operation(), 1..40)
}
