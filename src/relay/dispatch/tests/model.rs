//! A naive model of a dispatch with its lane, its probation lane and its prober. It knows what was
//! enqueued, what was handed over, and how that ended; it asserts the promises at every step.

mod checks;
mod ends;
mod handing_over;
mod renewal;
mod silence;
mod withdraw;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::{LaneEvent, Outcome, Presence, Room};
use crate::clock;
use crate::domain::order::OrderKey;
use crate::domain::{
    Draft, Message, MessageId, Properties, Reason, ReasonCode, RetrySchedule, RowId, Status,
    WallTime,
};
use crate::relay::dispatch::{Dispatch, Ends, MemoryBudget, Moment, Settings, Settled};
use crate::store::Settlement;
pub(super) use withdraw::{pending, record};

/// The pause after each nack, as the schedule of these tests has it; the third nack is the last.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(150)];
/// How long a destination may be silent.
pub(super) const STALL_AFTER: Duration = Duration::from_secs(1);
/// How long an exchange is known.
pub(super) const KNOWN: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Idle,
    Lane,
    Probation,
    Quarantine,
    Settled,
}

/// A message, and what the model saw of it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "naive on purpose: what was seen, each thing by itself"
)]
pub(super) struct Seen {
    pub(super) message: Arc<Message>,
    pub(super) whereabouts: Whereabouts,
    /// It was handed over at least once.
    pub(super) handed: bool,
    pub(super) attempts: u32,
    pub(super) nacks: u32,
    pub(super) strikes: u32,
    pub(super) doubt: bool,
    /// Its hand-over was lost, and it has not gone out again.
    pub(super) lost: bool,
    /// When it was last handed over.
    sent_at: Option<Instant>,
    /// To be tried alone.
    suspect: bool,
    /// The broker has said that its exchange is missing.
    missing: bool,
    /// Its time was over while it was in flight.
    expired: bool,
    /// The end of its pause, until a pull has come after that.
    due: Option<Instant>,
    reason: Option<ReasonCode>,
}

impl Seen {
    fn key(&self) -> OrderKey<'_> {
        OrderKey::of(&self.message.draft)
    }

    fn destination(&self) -> Destination {
        let draft = &self.message.draft;
        (draft.exchange.clone(), draft.routing_key.clone())
    }

    /// Later ones of its key wait for it.
    fn holds(&self) -> bool {
        let explicit = self.message.draft.ordering_key.is_some();
        self.whereabouts != Whereabouts::Settled && (self.suspect || (explicit && self.nacks > 0))
    }
}

/// Exchange and routing key.
type Destination = (Box<str>, Box<str>);

type Expected = (RowId, Status, Option<ReasonCode>, u32, bool);

pub(super) struct World {
    pub(super) dispatch: Dispatch,
    pub(super) now: Instant,
    began: Instant,
    pub(super) all: Vec<Seen>,
    /// In flight on the lane, in the order of publishing.
    pub(super) lane: Vec<usize>,
    pub(super) probation: Option<usize>,
    /// In flight on quarantine lanes.
    pub(super) probes: Vec<usize>,
    /// How long the last of them may take.
    pub(super) patience: Duration,
    /// Destinations that do not answer.
    quarantined: BTreeSet<Destination>,
    /// When destinations last answered.
    answered: HashMap<Destination, Instant>,
    unblocked_at: Option<Instant>,
    /// Destinations that took a message on the lane's present connection.
    taken: BTreeSet<Destination>,
    /// Some connection was given up since a destination was only refused there.
    renewed: bool,
    /// Questions that were taken and not answered.
    pub(super) asked: BTreeSet<Box<str>>,
    known: HashMap<Box<str>, Instant>,
    pub(super) down: bool,
    pub(super) blocked: bool,
    expected: Vec<Expected>,
}

pub(super) fn reason(code: ReasonCode) -> Reason {
    Reason::own(code, "as the test says")
}

/// A draft; `ordering_key` is the explicit one.
pub(super) fn draft(exchange: &str, key: &str, ordering_key: Option<&str>, bytes: usize) -> Draft {
    Draft {
        caller: crate::domain::Caller::default(),
        exchange: exchange.into(),
        routing_key: key.into(),
        mandatory: true,
        ordering_key: ordering_key.map(Into::into),
        properties: Properties::default(),
        payload: vec![0; bytes].into(),
        terms: None,
    }
}

impl World {
    /// A dispatch whose lane is down.
    pub(super) fn new() -> Self {
        let settings = Settings {
            retry: RetrySchedule {
                tries_max: 3,
                pause_min: PAUSES[0],
                pause_max: PAUSES[1],
            },
            exchange_known: KNOWN,
            stall_after: STALL_AFTER,
            memory: MemoryBudget {
                messages_max: usize::MAX,
                bytes_max: usize::MAX,
            },
        };
        let now = clock::monotonic();
        Self {
            dispatch: Dispatch::new(settings, reason(ReasonCode::BrokerUnavailable)),
            now,
            began: now,
            all: Vec::new(),
            lane: Vec::new(),
            probation: None,
            probes: Vec::new(),
            patience: Duration::ZERO,
            quarantined: BTreeSet::new(),
            answered: HashMap::new(),
            unblocked_at: None,
            taken: BTreeSet::new(),
            renewed: false,
            asked: BTreeSet::new(),
            known: HashMap::new(),
            down: true,
            blocked: false,
            expected: Vec::new(),
        }
    }

    pub(super) fn moment(&self) -> Moment {
        let passed = self.now - self.began;
        let ms = u64::try_from(passed.as_millis()).expect("tests are short");
        Moment {
            now: self.now,
            wall: WallTime::from_unix_ms(1_000_000 + ms),
        }
    }

    /// Enqueues a message and gives its number, from 0.
    pub(super) fn enqueue(&mut self, draft: Draft) -> usize {
        let index = self.all.len();
        let message = Arc::new(Message {
            id: MessageId::from_parts(RowId::from_stored(index as u64 + 1), 7),
            accepted_at: WallTime::default(),
            draft,
        });
        self.dispatch.enqueue([pending(&message)]);
        self.all.push(Seen {
            message,
            whereabouts: Whereabouts::Idle,
            handed: false,
            attempts: 0,
            nacks: 0,
            strikes: 0,
            doubt: false,
            lost: false,
            sent_at: None,
            suspect: false,
            missing: false,
            expired: false,
            due: None,
            reason: None,
        });
        index
    }

    pub(super) fn row(&self, index: usize) -> RowId {
        self.all[index].message.id.row()
    }

    /// Pulls, and gives the numbers of what came.
    pub(super) fn pull(&mut self, messages: usize, bytes: usize) -> Vec<usize> {
        let room = Room {
            messages,
            bytes,
            empty: self.lane.is_empty(),
        };
        let mut into = Vec::new();
        while self.dispatch.pull(self.now, room, &mut into) {}
        for seen in &mut self.all {
            seen.due = seen.due.filter(|due| *due > self.now);
        }
        let sizes = || into.iter().map(|one| one.message.draft.payload.len());
        let (sum, first) = (sizes().sum::<usize>(), sizes().next().unwrap_or(0));
        assert!(into.len() <= messages, "more than the window takes");
        // Next to a message that is too large for the window there is still room for empty ones.
        assert!(
            sum <= bytes || (room.empty && sum == first),
            "{sum} bytes into {room:?}"
        );
        let pulled: Vec<_> = into
            .iter()
            .map(|one| self.handed_over(one, Whereabouts::Lane))
            .collect();
        self.lane.extend(&pulled);
        pulled
    }

    /// The next suspect goes out, unless one is out.
    pub(super) fn try_alone(&mut self) -> Option<usize> {
        if self.probation.is_some() {
            return None;
        }
        let suspects = self.dispatch.has_suspects();
        let handover = self.dispatch.next_suspect();
        assert_eq!(
            suspects,
            handover.is_some(),
            "a connection is wanted in vain"
        );
        self.patience = handover
            .as_ref()
            .and_then(|handover| handover.patience)
            .unwrap_or_default();
        self.probation =
            handover.map(|handover| self.handed_over(&handover, Whereabouts::Probation));
        self.probation
    }

    /// The lane reports in one batch how hand-overs ended.
    pub(super) fn report(&mut self, ends: impl IntoIterator<Item = (usize, Outcome)>) {
        let mut events = Vec::new();
        for (index, outcome) in ends {
            assert_eq!(self.all[index].whereabouts, Whereabouts::Lane);
            self.lane.retain(|other| *other != index);
            events.push(LaneEvent::Ended(self.row(index), outcome.clone()));
            self.end(index, &outcome);
        }
        self.tell(&events);
    }

    /// Events reach the dispatch; what it settles must be what the model expects.
    pub(super) fn tell(&mut self, events: &[LaneEvent]) {
        for event in events {
            match event {
                LaneEvent::Ended(..) => {}
                LaneEvent::Up => self.down = false,
                LaneEvent::Down(_) => (self.down, self.blocked) = (true, false),
                LaneEvent::Blocked(_) => self.blocked = true,
                LaneEvent::Unblocked => {
                    self.blocked = false;
                    self.unblocked_at = Some(self.now);
                }
            }
        }
        let told = events.to_vec();
        self.settles(|dispatch, ends| dispatch.report(told, ends));
        self.after(events);
        self.forget_the_empty();
    }

    /// How the hand-over on probation ended.
    pub(super) fn tried(&mut self, outcome: Outcome) {
        let index = self.probation.take().expect("somebody is on probation");
        let row = self.row(index);
        self.end(index, &outcome);
        self.settles(|dispatch, ends| dispatch.ended(row, outcome, ends));
        self.forget_the_empty();
    }

    fn settles(&mut self, act: impl FnOnce(&mut Dispatch, &mut Ends<'_>)) {
        let at = self.moment();
        let mut settled = Vec::new();
        let mut ends = Ends {
            at,
            dice: || 0.0,
            settled: &mut settled,
        };
        act(&mut self.dispatch, &mut ends);
        let told: Vec<Expected> = settled.iter().map(|one| summary(&one.settlement)).collect();
        assert_eq!(told, std::mem::take(&mut self.expected));
        for Settled {
            settlement, bytes, ..
        } in &settled
        {
            let index = usize::try_from(settlement.id.row().get()).expect("small") - 1;
            let message = &self.all[index].message;
            assert_eq!(
                (settlement.id, *bytes),
                (message.id, message.footprint_bytes())
            );
            assert_eq!((settlement.revision, settlement.settled_at), (2, at.wall));
        }
    }

    /// Takes the questions, and gives their number.
    pub(super) fn ask(&mut self) -> usize {
        let questions = self.dispatch.take_questions();
        let count = questions.len();
        for exchange in questions {
            assert!(!exchange.is_empty(), "the default exchange always exists");
            assert!(self.asked.insert(exchange), "asked twice");
        }
        count
    }

    pub(super) fn answer(&mut self, exchange: &str, answer: Option<Presence>) {
        self.asked.remove(exchange);
        if answer == Some(Presence::Missing) {
            self.known.remove(exchange);
            let of_it = |seen: &&mut Seen| {
                seen.whereabouts == Whereabouts::Idle && &*seen.message.draft.exchange == exchange
            };
            for seen in self.all.iter_mut().filter(of_it) {
                seen.missing = true;
            }
        } else {
            self.known.insert(exchange.into(), self.now + KNOWN);
        }
        let at = self.moment();
        self.dispatch.answered(exchange, answer, at);
    }
}

fn summary(one: &Settlement) -> Expected {
    let code = one.reason.as_ref().map(|reason| reason.code);
    let doubt = one.duplicate_possible;
    (one.id.row(), one.status, code, one.attempts, doubt)
}
