//! The dispatches of all lanes, shared between the lanes' tasks, the journal and those who ask.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backlog_reader::Bell;
use super::dispatch::{self, Dispatch, Ends, Moment, Settings, Settled, Why, Withdrawal};
use super::{BrokerHealth, Progress, Start};
use crate::domain::order::OrderKey;
use crate::domain::{Message, Reason, ReasonCode, Turn};
use crate::store::{Accepted, Note, PartitionFacts, Pending, Record};
use crate::{chance, clock};

/// Destinations that are tried at the same time. Each takes a connection while it is tried.
pub(super) const QUARANTINE_LANES: usize = 8;

/// One lane's dispatch, and the bell of the task that works for it.
pub(super) struct LaneDesk {
    pub(super) dispatch: Mutex<Dispatch>,
    pub(super) call: Arc<Notify>,
}

/// See the module.
pub(super) struct Lanes {
    desks: Vec<LaneDesk>,
    /// Rings when some lane has suspects.
    pub(super) suspects: Arc<Notify>,
    /// Ring when something has changed in the quarantine, one for each of its lanes.
    pub(super) quarantine: [Arc<Notify>; QUARANTINE_LANES],
    /// Rings when some lane has questions about exchanges.
    pub(super) questions: Notify,
    /// Rings when some lane may want to read from the store.
    pub(super) backlog: Bell,
}

impl Lanes {
    /// `count` lanes, with what `start` says is pending in the store. When the store is `durable`,
    /// nothing is handed over before it knows that it may have been.
    pub(super) fn new(count: usize, settings: &Settings, start: &Start, durable: bool) -> Self {
        let down = Reason::own(
            ReasonCode::BrokerUnavailable,
            "no connection to the broker was made yet",
        );
        let desk = |lane| {
            let mut dispatch = Dispatch::new(settings.clone(), down.clone());
            if durable {
                dispatch.open_to(Turn::default());
            }
            let pending: Option<&PartitionFacts> = start.pending.get(lane);
            if let Some(last) = start.last_row
                && pending.is_some_and(|pending| pending.messages > 0)
            {
                dispatch.recover(last.into());
            }
            LaneDesk {
                dispatch: Mutex::new(dispatch),
                call: Arc::default(),
            }
        };
        let lanes = Self {
            desks: (0..count.max(1)).map(desk).collect(),
            suspects: Arc::default(),
            quarantine: Default::default(),
            questions: Notify::new(),
            backlog: Bell::default(),
        };
        lanes.backlog.ring();
        lanes
    }

    pub(super) fn all(&self) -> &[LaneDesk] {
        &self.desks
    }

    /// Gives newly committed messages, and those that go at last or again, to their lanes, in the order
    /// of their turns; both lists are in that order, and are left empty. What is scheduled waits in the
    /// store.
    pub(super) fn enqueue(&self, accepted: &mut Vec<Accepted>, going: &mut Vec<(Pending, u8)>) {
        if accepted.is_empty() && going.is_empty() {
            return;
        }
        let mut by_lane: Vec<Vec<Pending>> = vec![Vec::new(); self.desks.len()];
        let mut going = going.drain(..).peekable();
        for one in accepted.drain(..).filter(|one| one.due.is_none()) {
            let new = first_life(one.message);
            while let Some((earlier, partition)) = going.next_if(|(one, _)| one.turn < new.turn) {
                by_lane[usize::from(partition)].push(earlier);
            }
            by_lane[usize::from(one.partition)].push(new);
        }
        for (one, partition) in going {
            by_lane[usize::from(partition)].push(one);
        }
        for (desk, messages) in self.desks.iter().zip(by_lane) {
            if !messages.is_empty() {
                desk.dispatch.lock().enqueue(messages);
                desk.call.notify_one();
            }
        }
    }

    /// Everything up to `turn` may be handed over from now on.
    pub(super) fn open_to(&self, turn: Turn) {
        for desk in &self.desks {
            let mut dispatch = desk.dispatch.lock();
            let waited = dispatch.waits_at_gate();
            dispatch.open_to(turn);
            drop(dispatch);
            if waited {
                desk.call.notify_one();
            }
        }
    }

    /// Something has changed in the quarantine.
    pub(super) fn ring_quarantine(&self) {
        for bell in &self.quarantine {
            bell.notify_one();
        }
    }

    /// Whether some lane publishes.
    pub(super) fn any_up(&self) -> bool {
        self.desks.iter().any(|desk| desk.dispatch.lock().is_up())
    }

    /// The doubts of all lanes.
    pub(super) fn doubts(&self) -> Vec<Note> {
        self.desks
            .iter()
            .flat_map(|desk| desk.dispatch.lock().doubts())
            .collect()
    }

    /// Ends a message that is not in flight; the record is what the store holds at this moment.
    pub(super) fn withdraw(
        &self,
        record: &Record,
        why: Why,
        at: Moment,
        settled: &mut Vec<Settled>,
    ) -> Withdrawal {
        let desk = &self.desks[order_key(record).lane(self.desks.len())];
        let mut ends = Ends {
            at,
            dice: chance::fraction,
            settled,
        };
        let mut dispatch = desk.dispatch.lock();
        let withdrawal = dispatch.withdraw(record, why, &mut ends);
        let (suspects, quarantined) = (dispatch.has_suspects(), dispatch.quarantined() > 0);
        drop(dispatch);
        // Others may go on for that.
        if withdrawal == Withdrawal::Settled {
            desk.call.notify_one();
            if suspects {
                self.suspects.notify_one();
            }
            if quarantined {
                self.ring_quarantine();
            }
        }
        withdrawal
    }

    /// Everything that was withdrawn is committed.
    pub(super) fn withdrawals_are_kept(&self) {
        for desk in &self.desks {
            desk.dispatch.lock().withdrawals_are_kept();
        }
    }

    /// How a message whose record says pending is getting on.
    pub(super) fn progress(&self, record: &Record) -> Progress {
        // One that is scheduled is in the store only.
        let Some(standing) = record.standing else {
            return Progress::default();
        };
        let key = order_key(record);
        let desk = &self.desks[key.lane(self.desks.len())];
        let dispatch = desk.dispatch.lock();
        dispatch.progress_of(key, record.id.row(), standing.turn, moment())
    }

    pub(super) fn health(&self) -> BrokerHealth {
        let mut health = BrokerHealth {
            lanes_up: 0,
            lanes_blocked: 0,
            lanes: self.desks.len(),
            quarantined: 0,
            reason: None,
        };
        for desk in &self.desks {
            let dispatch = desk.dispatch.lock();
            health.lanes_up += usize::from(dispatch.is_up());
            health.lanes_blocked += usize::from(dispatch.is_up() && dispatch.is_blocked());
            health.quarantined += dispatch.quarantined();
            health.reason = health.reason.or_else(|| dispatch.trouble());
        }
        health
    }

    /// Each lane at this moment.
    pub(super) fn figures(&self) -> Vec<dispatch::Figures> {
        let desks = self.desks.iter();
        desks.map(|desk| desk.dispatch.lock().figures()).collect()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.desks
            .iter()
            .map(|desk| desk.dispatch.lock().in_flight())
            .sum()
    }

    /// No lane hands anything over any more.
    pub(super) fn halt(&self) {
        for desk in &self.desks {
            desk.dispatch.lock().halt();
        }
    }
}

/// A message that was just accepted and goes at once.
fn first_life(message: Arc<Message>) -> Pending {
    Pending {
        turn: message.id.row().into(),
        message,
        replays: 0,
        duplicate_possible: false,
        attempts: 0,
    }
}

/// What the message of a record is kept in order by.
fn order_key(record: &Record) -> OrderKey<'_> {
    OrderKey {
        exchange: &record.exchange,
        key: (record.ordering_key.as_deref()).unwrap_or(&record.routing_key),
    }
}

/// This moment.
pub(super) fn moment() -> Moment {
    Moment {
        now: clock::monotonic(),
        wall: clock::wall(),
    }
}
