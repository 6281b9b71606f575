//! A lane with the store behind it, which asserts the promises at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::model::{draft, pending, record};
use crate::broker::{Handover, LaneEvent, Outcome, Presence, Room};
use crate::clock;
use crate::domain::order::OrderKey;
use crate::domain::{
    Draft, IdMinter, Message, Reason, ReasonCode, RetrySchedule, RowId, Turn, WallTime,
};
use crate::relay::dispatch::{
    Dispatch, Ends, MemoryBudget, Moment, Reading, Settings, Settled, Why, Withdrawal,
};
use crate::store::Pending;

pub(super) const MESSAGES_MAX: usize = 64;
const STALL_AFTER: Duration = Duration::from_secs(1);

/// A lane with its store.
pub(super) struct Lane {
    pub(super) dispatch: Dispatch,
    minter: IdMinter,
    /// What is pending, by turn, and whether it was handed over.
    pub(super) stored: BTreeMap<Turn, (Pending, bool)>,
    ended: Vec<Pending>,
    /// Settlements that the store does not know yet.
    uncommitted: Vec<RowId>,
    reading: Option<(Reading, Vec<Pending>)>,
    in_flight: Vec<Arc<Message>>,
    probes: Vec<Arc<Message>>,
    pub(super) dead: Vec<&'static str>,
    pub(super) refusing: Vec<&'static str>,
    began: Instant,
    pub(super) at: Moment,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self::pausing(Duration::from_millis(100))
    }

    /// A lane that pauses so long after a nack.
    pub(super) fn pausing(pause: Duration) -> Self {
        let settings = Settings {
            retry: RetrySchedule {
                tries_max: 3,
                pause_min: pause,
                pause_max: pause,
            },
            exchange_known: Duration::from_secs(1),
            stall_after: STALL_AFTER,
            memory: MemoryBudget {
                messages_max: MESSAGES_MAX,
                bytes_max: usize::MAX,
            },
        };
        let down = Reason::own(ReasonCode::BrokerUnavailable, "not yet");
        let began = clock::monotonic();
        let mut lane = Self {
            began,
            dispatch: Dispatch::new(settings, down),
            minter: IdMinter::default(),
            stored: BTreeMap::new(),
            ended: Vec::new(),
            uncommitted: Vec::new(),
            reading: None,
            in_flight: Vec::new(),
            probes: Vec::new(),
            dead: Vec::new(),
            refusing: Vec::new(),
            at: Moment {
                now: began,
                wall: WallTime::default(),
            },
        };
        lane.tell([LaneEvent::Up]);
        lane
    }

    pub(super) fn accept(&mut self, key: &str, ordering_key: Option<&str>, count: usize) {
        self.accept_to("", key, ordering_key, count);
    }

    /// Through an exchange that is asked about.
    pub(super) fn accept_to(
        &mut self,
        exchange: &str,
        key: &str,
        ordering_key: Option<&str>,
        count: usize,
    ) {
        for _ in 0..count {
            let message = Arc::new(Message {
                id: self.minter.mint(WallTime::default(), 0),
                accepted_at: WallTime::default(),
                draft: draft(exchange, key, ordering_key, 1),
            });
            self.put(pending(&message));
        }
    }

    pub(super) fn put(&mut self, one: Pending) {
        self.stored.insert(one.turn, (one.clone(), false));
        self.dispatch.enqueue([one]);
    }

    /// One that has ended is sent again.
    pub(super) fn replay(&mut self, which: prop::sample::Index) {
        if !self.ended.is_empty() {
            let mut one = self.ended.swap_remove(which.index(self.ended.len()));
            one.turn = self.minter.turn(WallTime::default());
            one.replays += 1;
            self.put(one);
        }
    }

    /// Ends a message that waits, unless it is in flight or has ended.
    pub(super) fn withdraw(&mut self, which: prop::sample::Index, why: Why) {
        if !self.stored.is_empty() {
            self.withdraw_at(which.index(self.stored.len()), why);
        }
    }

    /// As [`Self::withdraw`], by the place among all that the store holds as pending.
    pub(super) fn withdraw_at(&mut self, at: usize, why: Why) {
        let (one, _) = self.stored.values().nth(at).expect("within");
        let (one, row) = (one.clone(), one.message.id.row());
        let mut out = self.in_flight.iter().chain(&self.probes);
        let expected = if out.any(|out| out.id.row() == row) {
            Withdrawal::InFlight
        } else if self.uncommitted.contains(&row) {
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
        let told = self.dispatch.withdraw(&record(&one), why, &mut ends);
        assert_eq!(told, expected, "{one:?}");
        self.note(&settled);
    }

    pub(super) fn tell(&mut self, events: impl IntoIterator<Item = LaneEvent>) {
        let mut settled = Vec::new();
        let mut ends = Ends {
            at: self.at,
            dice: || 0.0,
            settled: &mut settled,
        };
        self.dispatch.report(events, &mut ends);
        self.note(&settled);
    }

    fn note(&mut self, settled: &[Settled]) {
        for row in settled.iter().map(|one| one.settlement.id.row()) {
            assert!(!self.uncommitted.contains(&row), "settled twice");
            self.uncommitted.push(row);
        }
    }

    pub(super) fn commit(&mut self) {
        for row in self.uncommitted.drain(..) {
            let is_it = |one: &(&Turn, &(Pending, bool))| one.1.0.message.id.row() == row;
            let turn = self.stored.iter().find(is_it).map(|(turn, _)| *turn);
            let ended = self.stored.remove(&turn.expect("it is pending"));
            self.ended.extend(ended.map(|(one, _)| one));
        }
        self.dispatch.withdrawals_are_kept();
    }

    fn handed_over(&mut self, handover: &Handover) -> Arc<Message> {
        let row = handover.message.id.row();
        assert!(!self.uncommitted.contains(&row), "it was settled");
        let out = self.in_flight.iter().chain(&self.probes);
        assert!(out.clone().all(|one| one.id.row() != row), "it is out");
        let key = OrderKey::of(&handover.message.draft);
        for (one, handed) in self.stored.values_mut() {
            if one.message.id.row() == row {
                *handed = true;
                return Arc::clone(&one.message);
            }
            let same = OrderKey::of(&one.message.draft) == key;
            let ended = self.uncommitted.contains(&one.message.id.row());
            assert!(!same || *handed || ended, "{row:?} came before {one:?}");
        }
        panic!("{row:?} is not pending");
    }

    pub(super) fn pull(&mut self, messages: usize) -> usize {
        let mut batch = Vec::new();
        let room = Room {
            messages,
            bytes: 1000,
            empty: self.in_flight.is_empty(),
        };
        while self.dispatch.pull(self.at.now, room, &mut batch) {}
        for one in &batch {
            let message = self.handed_over(one);
            self.in_flight.push(message);
        }
        batch.len()
    }

    /// The broker is asked about exchanges; all of them are there.
    pub(super) fn know(&mut self) {
        for exchange in self.dispatch.take_questions() {
            (self.dispatch).answered(&exchange, Some(Presence::There), self.at);
        }
    }

    fn outcome(&self, message: &Message) -> Option<Outcome> {
        let key = &*message.draft.routing_key;
        if self.dead.contains(&key) {
            None
        } else if self.refusing.contains(&key) {
            Some(Outcome::Nacked)
        } else {
            Some(Outcome::Confirmed)
        }
    }

    pub(super) fn answer(&mut self, count: usize) {
        let answered = self.in_flight.iter().filter_map(|one| {
            let outcome = self.outcome(one)?;
            Some(LaneEvent::Ended(one.id.row(), outcome))
        });
        let answered: Vec<_> = answered.take(count).collect();
        let is_out = |one: &Arc<Message>| {
            !answered
                .iter()
                .any(|event| matches!(event, LaneEvent::Ended(row, _) if *row == one.id.row()))
        };
        self.in_flight.retain(is_out);
        self.tell(answered);
    }

    pub(super) fn look(&mut self) {
        if self.dispatch.stalled(self.at.now, self.began).is_some() {
            let lost = std::mem::take(&mut self.in_flight);
            let lost = lost
                .into_iter()
                .map(|one| LaneEvent::Ended(one.id.row(), Outcome::Unknown));
            self.tell(lost.collect::<Vec<_>>());
        }
    }

    pub(super) fn probe(&mut self) {
        if let Some(probe) = self.dispatch.next_probe(self.at.now) {
            let message = self.handed_over(&probe);
            self.probes.push(message);
        }
    }

    pub(super) fn probed(&mut self) {
        if let Some(message) = self.probes.pop() {
            let outcome = self.outcome(&message).unwrap_or(Outcome::Unanswered);
            self.tell([LaneEvent::Ended(message.id.row(), outcome)]);
        }
    }

    pub(super) fn ask(&mut self) {
        if self.reading.is_none()
            && let Some(asked) = self.dispatch.wants_reading()
        {
            let from = asked.after.map_or(0, |turn| turn.get() + 1);
            let behind = self.stored.range(Turn::from_stored(from)..);
            let read = behind
                .take(asked.messages_max)
                .map(|(_, (one, _))| one.clone());
            self.reading = Some((asked, read.collect()));
        }
    }

    pub(super) fn refill(&mut self) {
        if let Some((asked, read)) = self.reading.take() {
            self.dispatch.refill(asked, read);
        }
        let in_memory = self.dispatch.fresh.len() + self.dispatch.entries.len();
        assert!(in_memory <= MESSAGES_MAX, "{in_memory} in memory");
    }

    /// Everything happens that can, once.
    pub(super) fn round(&mut self) {
        self.pull(MESSAGES_MAX);
        self.know();
        self.answer(8);
        self.commit();
        self.look();
        self.probe();
        self.probed();
        self.ask();
        self.refill();
        self.at.now += Duration::from_millis(50);
    }

    pub(super) fn pending_for(&self, key: &str) -> usize {
        let all = self.stored.values();
        all.filter(|(one, _)| &*one.message.draft.routing_key == key)
            .count()
    }

    /// Whether messages are pending whose destination answers, and those of all others of their order key.
    pub(super) fn has_pending_that_pass(&self) -> bool {
        let drafts = || self.stored.values().map(|(one, _)| &one.message.draft);
        let dead: BTreeSet<_> = drafts()
            .filter(|draft| self.dead.contains(&&*draft.routing_key))
            .map(key)
            .collect();
        drafts().any(|draft| !dead.contains(&key(draft)))
    }
}

/// What the draft keeps its order by.
fn key(draft: &Draft) -> (&str, &str) {
    let OrderKey { exchange, key } = OrderKey::of(draft);
    (exchange, key)
}
