//! A lane that spills: whatever is read back when, all goes out once, in order, within the memory.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::cases;
use super::model::pending;
use crate::broker::{Outcome, Room};
use crate::clock;
use crate::domain::{
    Draft, IdMinter, Message, Properties, Reason, ReasonCode, RetrySchedule, RowId, WallTime,
};
use crate::relay::dispatch::{Dispatch, Ends, MemoryBudget, Moment, Reading, Settings};
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
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (1_usize..8, any::<bool>()).prop_map(|(count, late)| Deed::Accept(count, late)),
        1 => Just(Deed::News),
        3 => (1_usize..5).prop_map(Deed::Pull),
        3 => (1_usize..5).prop_map(Deed::Confirm),
        2 => Just(Deed::Ask),
        2 => Just(Deed::Answer),
    ]
}

/// A dispatch and the store behind it.
struct Spill {
    dispatch: Dispatch,
    minter: IdMinter,
    stored: Vec<Arc<Message>>,
    late: VecDeque<Arc<Message>>,
    reading: Option<(Reading, Vec<Pending>)>,
    in_flight: VecDeque<RowId>,
    pulled: Vec<RowId>,
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
            late: VecDeque::new(),
            reading: None,
            in_flight: VecDeque::new(),
            pulled: Vec::new(),
            at: Moment {
                now: clock::monotonic(),
                wall: WallTime::default(),
            },
        }
    }

    fn accept(&mut self) -> Arc<Message> {
        let message = Arc::new(Message {
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
        });
        self.stored.push(Arc::clone(&message));
        message
    }

    fn news(&mut self) {
        let late = std::mem::take(&mut self.late);
        self.dispatch.enqueue(late.iter().map(pending));
    }

    fn pull(&mut self, messages: usize) -> usize {
        let mut batch = Vec::new();
        let room = Room {
            messages,
            bytes: 1000,
            empty: self.in_flight.is_empty(),
        };
        self.dispatch.pull(self.at.now, room, &mut batch);
        let rows = batch.iter().map(|handover| handover.message.id.row());
        self.in_flight.extend(rows.clone());
        self.pulled.extend(rows);
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
        for (settlement, _) in settled {
            self.stored.retain(|message| message.id != settlement.id);
        }
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
            .filter(|message| Some(message.id.row().into()) > asked.after);
        let read = behind.take(asked.messages_max).map(pending);
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
            spill.dispatch.recover(last.id.row().into());
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
            let asked = spill.ask();
            spill.answer();
            spill.check();
            if pulled == 0 && !asked && idle {
                break;
            }
        }
        prop_assert_eq!(spill.pulled.len(), accepted);
        prop_assert!(spill.stored.is_empty());
    }
}
