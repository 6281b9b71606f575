//! More messages that wait than there is memory for: others pass, and all go out once and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::cases;
use super::model::{draft, pending, record};
use crate::broker::{Handover, LaneEvent, Outcome, Room};
use crate::clock;
use crate::domain::order::OrderKey;
use crate::domain::{IdMinter, Message, Reason, ReasonCode, RetrySchedule, RowId, Turn, WallTime};
use crate::relay::dispatch::{
    Dispatch, Ends, MemoryBudget, Moment, Reading, Settings, Settled, Why, Withdrawal,
};
use crate::store::Pending;

const MESSAGES_MAX: usize = 64;
const STALL_AFTER: Duration = Duration::from_secs(1);

/// A lane with its store.
struct Lane {
    dispatch: Dispatch,
    minter: IdMinter,
    /// What is pending, by turn, and whether it was handed over.
    stored: BTreeMap<Turn, (Pending, bool)>,
    ended: Vec<Pending>,
    /// Settlements that the store does not know yet.
    uncommitted: Vec<RowId>,
    reading: Option<(Reading, Vec<Pending>)>,
    in_flight: Vec<Arc<Message>>,
    probes: Vec<Arc<Message>>,
    dead: Vec<&'static str>,
    refusing: Vec<&'static str>,
    began: Instant,
    at: Moment,
}

impl Lane {
    fn new() -> Self {
        Self::pausing(Duration::from_millis(100))
    }

    /// A lane that pauses so long after a nack.
    fn pausing(pause: Duration) -> Self {
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

    fn accept(&mut self, key: &str, ordering_key: Option<&str>, count: usize) {
        for _ in 0..count {
            let message = Arc::new(Message {
                id: self.minter.mint(WallTime::default(), 0),
                accepted_at: WallTime::default(),
                draft: draft("", key, ordering_key, 1),
            });
            self.put(pending(&message));
        }
    }

    fn put(&mut self, one: Pending) {
        self.stored.insert(one.turn, (one.clone(), false));
        self.dispatch.enqueue([one]);
    }

    /// One that has ended is sent again.
    fn replay(&mut self, which: prop::sample::Index) {
        if !self.ended.is_empty() {
            let mut one = self.ended.swap_remove(which.index(self.ended.len()));
            one.turn = self.minter.turn(WallTime::default());
            one.replays += 1;
            self.put(one);
        }
    }

    /// Ends a message that waits, unless it is in flight or has ended.
    fn withdraw(&mut self, which: prop::sample::Index, why: Why) {
        if self.stored.is_empty() {
            return;
        }
        let at = which.index(self.stored.len());
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

    fn tell(&mut self, events: impl IntoIterator<Item = LaneEvent>) {
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

    fn commit(&mut self) {
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

    fn pull(&mut self, messages: usize) -> usize {
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

    fn answer(&mut self, count: usize) {
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

    fn look(&mut self) {
        if self.dispatch.stalled(self.at.now, self.began).is_some() {
            let lost = std::mem::take(&mut self.in_flight);
            let lost = lost
                .into_iter()
                .map(|one| LaneEvent::Ended(one.id.row(), Outcome::Unknown));
            self.tell(lost.collect::<Vec<_>>());
        }
    }

    fn probe(&mut self) {
        if let Some(probe) = self.dispatch.next_probe(self.at.now) {
            let message = self.handed_over(&probe);
            self.probes.push(message);
        }
    }

    fn probed(&mut self) {
        if let Some(message) = self.probes.pop() {
            let outcome = self.outcome(&message).unwrap_or(Outcome::Unanswered);
            self.tell([LaneEvent::Ended(message.id.row(), outcome)]);
        }
    }

    fn ask(&mut self) {
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

    fn refill(&mut self) {
        if let Some((asked, read)) = self.reading.take() {
            self.dispatch.refill(asked, read);
        }
        let in_memory = self.dispatch.fresh.len() + self.dispatch.entries.len();
        assert!(in_memory <= MESSAGES_MAX, "{in_memory} in memory");
    }

    /// Everything happens that can, once.
    fn round(&mut self) {
        self.pull(MESSAGES_MAX);
        self.answer(8);
        self.commit();
        self.look();
        self.probe();
        self.probed();
        self.ask();
        self.refill();
        self.at.now += Duration::from_millis(50);
    }

    fn pending_for(&self, key: &str) -> usize {
        let all = self.stored.values();
        all.filter(|(one, _)| &*one.message.draft.routing_key == key)
            .count()
    }
}

#[test]
fn a_backlog_for_a_silent_destination_lets_others_pass_and_goes_out_in_order_later() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick"];
    lane.accept("sick", None, 300);
    lane.accept("well", None, 20);
    lane.accept("sick", None, 300);
    lane.accept("well", None, 20);
    for _ in 0..400 {
        lane.round();
    }
    assert_eq!(lane.pending_for("well"), 0, "others wait behind it");
    assert_eq!(lane.pending_for("sick"), 600);
    lane.accept("well", None, 1);
    lane.round();
    assert_eq!(lane.pending_for("well"), 0);
    lane.dead.clear();
    for _ in 0..2000 {
        lane.round();
    }
    assert_eq!(lane.pending_for("sick"), 0);
}

#[test]
fn what_waits_between_tries_lets_others_pass() {
    let mut lane = Lane::pausing(Duration::from_mins(1));
    lane.refusing = vec!["full"];
    lane.accept("full", None, 500);
    lane.accept("well", None, 20);
    let mut rounds = 0;
    while lane.pending_for("well") > 0 {
        lane.round();
        rounds += 1;
        assert!(rounds < 200, "others wait behind it");
    }
    assert_eq!(lane.pending_for("full"), 500);
    for _ in 0..3000 {
        lane.round();
        lane.at.now += Duration::from_secs(5);
    }
    assert_eq!(lane.pending_for("full"), 0);
}

#[test]
fn one_that_recovers_goes_on_beside_one_that_does_not() {
    let mut lane = Lane::new();
    lane.dead = vec!["first", "second"];
    for _ in 0..100 {
        lane.accept("first", None, 3);
        lane.accept("second", None, 3);
    }
    for _ in 0..200 {
        lane.round();
    }
    lane.dead = vec!["first"];
    for _ in 0..2000 {
        lane.round();
    }
    assert_eq!(
        (lane.pending_for("first"), lane.pending_for("second")),
        (300, 0)
    );
}

const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Deed {
    Accept(usize, Option<usize>, usize),
    Pull(usize),
    Answer(usize),
    Commit,
    Look,
    Probe,
    Probed,
    Ask,
    Refill,
    /// Messages come between a reading and its answer.
    Race(usize, usize),
    Pass(u64),
    Dead(u8),
    Refusing(u8),
    Rounds(usize),
    Withdraw(prop::sample::Index, bool),
    Replay(prop::sample::Index),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..3_usize, prop::option::of(0..3_usize), 1..30_usize)
            .prop_map(|(key, ordering_key, count)| Deed::Accept(key, ordering_key, count)),
        3 => (1..50_usize).prop_map(Deed::Pull),
        3 => (1..9_usize).prop_map(Deed::Answer),
        2 => Just(Deed::Commit),
        2 => Just(Deed::Look),
        2 => Just(Deed::Probe),
        2 => Just(Deed::Probed),
        3 => Just(Deed::Ask),
        3 => Just(Deed::Refill),
        3 => (0..3_usize, 1..9_usize).prop_map(|(key, count)| Deed::Race(key, count)),
        3 => (0..1500_u64).prop_map(Deed::Pass),
        1 => (0..8_u8).prop_map(Deed::Dead),
        1 => (0..8_u8).prop_map(Deed::Refusing),
        2 => (1..40_usize).prop_map(Deed::Rounds),
        4 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, why)| Deed::Withdraw(which, why)),
        2 => any::<prop::sample::Index>().prop_map(Deed::Replay),
    ]
}

fn those(mask: u8) -> Vec<&'static str> {
    let marked = |(at, key): (usize, &&'static str)| (mask >> at & 1 == 1).then_some(*key);
    KEYS.iter().enumerate().filter_map(marked).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(300)) })]

    #[test]
    fn whatever_waits_however_long_everything_goes_out_once_and_in_order(
        deeds in prop::collection::vec(any_deed(), 0..80),
    ) {
        let mut lane = Lane::new();
        for deed in deeds {
            match deed {
                Deed::Accept(key, ordering_key, count) => {
                    lane.accept(KEYS[key], ordering_key.map(|key| KEYS[key]), count);
                }
                Deed::Pull(count) => { lane.pull(count); }
                Deed::Answer(count) => lane.answer(count),
                Deed::Commit => lane.commit(),
                Deed::Look => lane.look(),
                Deed::Probe => lane.probe(),
                Deed::Probed => lane.probed(),
                Deed::Ask => lane.ask(),
                Deed::Refill => lane.refill(),
                Deed::Race(key, count) => {
                    lane.answer(MESSAGES_MAX);
                    lane.ask();
                    lane.accept(KEYS[key], None, count);
                    lane.pull(count);
                    lane.refill();
                }
                Deed::Pass(ms) => lane.at.now += Duration::from_millis(ms),
                Deed::Dead(mask) => lane.dead = those(mask),
                Deed::Refusing(mask) => lane.refusing = those(mask),
                Deed::Withdraw(which, expired) => {
                    lane.withdraw(which, if expired { Why::Expired } else { Why::Cancelled });
                }
                Deed::Replay(which) => lane.replay(which),
                Deed::Rounds(count) => for _ in 0..count { lane.round(); },
            }
        }
        lane.dead.clear();
        lane.refusing.clear();
        let mut rounds = 0;
        while !lane.stored.is_empty() {
            lane.round();
            rounds += 1;
            prop_assert!(rounds < 5000, "{} are stuck", lane.stored.len());
        }
        let left = &lane.dispatch;
        prop_assert!(left.entries.is_empty() && left.fresh.is_empty() && left.holds.is_empty());
        prop_assert_eq!((left.entry_bytes, left.in_flight_bytes, left.in_flight), (0, 0, 0));
    }
}
