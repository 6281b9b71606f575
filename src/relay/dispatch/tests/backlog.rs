//! A lane that spills: whatever is read back when, all goes out once, in order, within the memory.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::cases;
use super::model::{pending, record};
use crate::broker::{Outcome, Room};
use crate::clock;
use crate::domain::{
    Draft, IdMinter, Message, MessageId, Properties, Reason, ReasonCode, RetrySchedule, RowId,
    Turn, WallTime,
};
use crate::relay::dispatch::{
    Dispatch, Ends, MemoryBudget, Moment, Reading, Settings, Settled, Why, Withdrawal,
};
use crate::store::Pending;

const MESSAGES_MAX: usize = 16;

#[derive(Clone, Debug)]
enum Deed {
    /// So many are committed; their news comes to the dispatch at once, or late.
    Accept(usize, bool),
    /// Late news arrives.
    News,
    Pull(usize),
    Confirm(usize),
    /// A reading begins with what the store holds now.
    Ask,
    /// Its answer arrives.
    Answer,
    /// One of those that are pending is withdrawn.
    Withdraw(prop::sample::Index),
    /// What was settled is committed.
    Commit,
    /// One that has ended is sent again; its news comes at once, or late.
    Replay(prop::sample::Index, bool),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (1_usize..8, any::<bool>()).prop_map(|(count, late)| Deed::Accept(count, late)),
        1 => Just(Deed::News),
        3 => (1_usize..5).prop_map(Deed::Pull),
        3 => (1_usize..5).prop_map(Deed::Confirm),
        2 => Just(Deed::Ask),
        2 => Just(Deed::Answer),
        3 => any::<prop::sample::Index>().prop_map(Deed::Withdraw),
        2 => Just(Deed::Commit),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, late)| Deed::Replay(which, late)),
    ]
}

/// A dispatch and the store behind it.
struct Spill {
    dispatch: Dispatch,
    minter: IdMinter,
    /// What the store holds as pending, in the order of turns.
    stored: Vec<Pending>,
    /// Settled, and the store does not know it.
    uncommitted: Vec<MessageId>,
    ended: Vec<Pending>,
    late: VecDeque<Pending>,
    reading: Option<(Reading, Vec<Pending>)>,
    in_flight: VecDeque<RowId>,
    pulled: Vec<Turn>,
    withdrawn: usize,
    at: Moment,
}

impl Spill {
    fn new() -> Self {
        let settings = Settings {
            retry: RetrySchedule::default(),
            exchange_known: std::time::Duration::from_secs(1),
            stall_after: std::time::Duration::from_secs(1),
            memory: MemoryBudget {
                messages_max: MESSAGES_MAX,
                bytes_max: usize::MAX,
            },
        };
        let down = Reason::own(ReasonCode::BrokerUnavailable, "not yet");
        Self {
            dispatch: Dispatch::new(settings, down),
            minter: IdMinter::default(),
            stored: Vec::new(),
            uncommitted: Vec::new(),
            ended: Vec::new(),
            late: VecDeque::new(),
            reading: None,
            in_flight: VecDeque::new(),
            pulled: Vec::new(),
            withdrawn: 0,
            at: Moment {
                now: clock::monotonic(),
                wall: WallTime::default(),
            },
        }
    }

    fn accept(&mut self) -> Pending {
        let message = Message {
            id: self.minter.mint(WallTime::default(), 0),
            accepted_at: WallTime::default(),
            draft: Draft {
                caller: crate::domain::Caller::default(),
                exchange: "".into(),
                routing_key: "k".into(),
                mandatory: true,
                ordering_key: None,
                properties: Properties::default(),
                payload: "p".into(),
                terms: None,
            },
        };
        let pending = pending(&Arc::new(message));
        self.stored.push(pending.clone());
        pending
    }

    /// Ends a message that waits, unless it is in flight or has ended.
    fn withdraw(&mut self, which: prop::sample::Index) {
        if self.stored.is_empty() {
            return;
        }
        let one = &self.stored[which.index(self.stored.len())];
        // The dispatch is asked after it has heard of what was committed.
        if self.late.iter().any(|late| late.turn <= one.turn) {
            return;
        }
        let expected = if self.in_flight.contains(&one.message.id.row()) {
            Withdrawal::InFlight
        } else if self.uncommitted.contains(&one.message.id) {
            Withdrawal::Ended
        } else {
            Withdrawal::Settled
        };
        let mut settled = Vec::new();
        let mut ends = Ends {
            at: self.at,
            dice: || 0.0,
            settled: &mut settled,
        };
        let told = self
            .dispatch
            .withdraw(&record(one), Why::Cancelled, &mut ends);
        assert_eq!(told, expected, "{one:?}");
        if told == Withdrawal::Settled {
            self.withdrawn += 1;
            assert_eq!(settled[0].bytes, one.message.footprint_bytes());
        }
        self.note(settled);
    }

    fn note(&mut self, settled: Vec<Settled>) {
        for Settled { settlement, .. } in settled {
            let id = settlement.id;
            assert!(!self.uncommitted.contains(&id), "settled twice");
            let one = self.stored.iter().find(|one| one.message.id == id);
            let one = one.expect("it is pending");
            assert_eq!(settlement.revision, 2 * one.replays + 2);
            self.uncommitted.push(id);
        }
    }

    fn commit(&mut self) {
        let uncommitted = std::mem::take(&mut self.uncommitted);
        let ended = |one: &mut Pending| uncommitted.contains(&one.message.id);
        self.ended.extend(self.stored.extract_if(.., ended));
        self.dispatch.withdrawals_are_kept();
    }

    fn replay(&mut self, which: prop::sample::Index) -> Option<Pending> {
        if self.ended.is_empty() {
            return None;
        }
        let mut one = self.ended.swap_remove(which.index(self.ended.len()));
        one.turn = self.minter.turn(WallTime::default());
        one.replays += 1;
        self.stored.push(one.clone());
        Some(one)
    }

    fn news(&mut self) {
        let late = std::mem::take(&mut self.late);
        self.dispatch.enqueue(late);
    }

    fn pull(&mut self, messages: usize) -> usize {
        let mut batch = Vec::new();
        let room = Room {
            messages,
            bytes: 1000,
            empty: self.in_flight.is_empty(),
        };
        self.dispatch.pull(self.at.now, room, &mut batch);
        for handover in &batch {
            let id = handover.message.id;
            assert!(!self.uncommitted.contains(&id), "it has ended");
            let one = self.stored.iter().find(|one| one.message.id == id);
            self.in_flight.push_back(id.row());
            self.pulled.push(one.expect("it is pending").turn);
        }
        batch.len()
    }

    fn confirm(&mut self, count: usize) {
        let mut settled = Vec::new();
        for _ in 0..count {
            let Some(row) = self.in_flight.pop_front() else {
                break;
            };
            let mut ends = Ends {
                at: self.at,
                dice: || 0.0,
                settled: &mut settled,
            };
            self.dispatch.ended(row, Outcome::Confirmed, &mut ends);
        }
        self.note(settled);
    }

    fn ask(&mut self) -> bool {
        let needed = self.dispatch.needs_reading();
        let Some(asked) = self.dispatch.wants_reading() else {
            assert!(!needed);
            return false;
        };
        assert!(needed && self.reading.is_none(), "one reading at a time");
        let behind = self
            .stored
            .iter()
            .filter(|one| Some(one.turn) > asked.after);
        let read = behind.take(asked.messages_max).cloned();
        self.reading = Some((asked, read.collect()));
        true
    }

    fn answer(&mut self) {
        if let Some((asked, read)) = self.reading.take() {
            self.dispatch.refill(asked, read);
        }
    }

    fn check(&self) {
        let in_memory = self.dispatch.fresh.len() + self.dispatch.entries.len();
        assert!(in_memory <= MESSAGES_MAX, "{in_memory} in memory");
        assert!(self.pulled.is_sorted_by(|a, b| a < b), "{:?}", self.pulled);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(500)))]
    #[test]
    fn a_lane_that_spills_hands_everything_over_once_and_in_order(
        deeds in prop::collection::vec(any_deed(), 0..80), recovered in 0_usize..20,
    ) {
        let mut spill = Spill::new();
        for _ in 0..recovered {
            spill.accept();
        }
        if let Some(last) = spill.stored.last() {
            spill.dispatch.recover(last.turn);
        }
        let mut accepted = recovered;
        for deed in deeds {
            match deed {
                Deed::Accept(count, late) => {
                    accepted += count;
                    for _ in 0..count {
                        let message = spill.accept();
                        spill.late.push_back(message);
                    }
                    if !late {
                        spill.news();
                    }
                }
                Deed::News => spill.news(),
                Deed::Pull(room) => {
                    spill.pull(room);
                }
                Deed::Confirm(count) => spill.confirm(count),
                Deed::Ask => {
                    spill.ask();
                }
                Deed::Answer => spill.answer(),
                Deed::Withdraw(which) => spill.withdraw(which),
                Deed::Commit => spill.commit(),
                Deed::Replay(which, late) => {
                    if let Some(one) = spill.replay(which) {
                        accepted += 1;
                        spill.late.push_back(one);
                    }
                    if !late {
                        spill.news();
                    }
                }
            }
            spill.check();
        }
        spill.news();
        spill.answer();
        for round in 0.. {
            prop_assert!(round < 10_000, "it never comes to rest");
            let idle = spill.in_flight.is_empty();
            let pulled = spill.pull(3);
            spill.confirm(3);
            spill.commit();
            let asked = spill.ask();
            spill.answer();
            spill.check();
            if pulled == 0 && !asked && idle {
                break;
            }
        }
        prop_assert_eq!(spill.pulled.len() + spill.withdrawn, accepted);
        prop_assert!(spill.stored.is_empty());
    }
}
