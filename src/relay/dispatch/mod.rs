//! What one lane sends next, and what becomes of it: the pure core of the relay.
//!
//! Messages come in the order of their turns ([`Dispatch::enqueue`]), are pulled by a lane
//! ([`Dispatch::pull`]), and end ([`Dispatch::ended`]); nothing here knows a socket, a clock or a
//! random source. What it guarantees:
//!
//! - messages of one order key are first handed over in the order in which they came, and after a
//!   lost connection again in that order before newer ones (contract, section 2.5);
//! - nothing is handed over while it is in flight, and every message ends in one settlement;
//! - everything that must wait does so by one mechanism, a *held key* ([`holds`]): an exchange that is
//!   being asked about, an order key with a suspect, an explicit ordering key after a nack, a
//!   destination that does not answer ([`silence`]). Other keys pass;
//! - a suspect leaves only through [`Dispatch::next_suspect`], alone; what waits for a destination
//!   that does not answer, through [`Dispatch::next_probe`], alone, until it answers;
//! - a connection that a destination is only refused on is not the last word ([`renewal`]);
//! - what is withdrawn ([`withdraw`]) is never handed over afterwards, and was not in flight.

mod backlog;
mod destinations;
mod figures;
mod fresh;
mod holds;
mod outcomes;
mod progress;
mod pulling;
mod put_back;
mod renewal;
mod silence;
#[cfg(test)]
mod tests;
mod withdraw;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::broker::Handover;
use crate::domain::{Life, Message, Reason, RetrySchedule, RowId, Turn, WallTime};
use crate::store::{Note, Pending};
use backlog::Backlog;
pub use backlog::{MemoryBudget, Reading};
use destinations::{Destinations, Name, Names};
pub use figures::{Figures, HandoverEnds};
use fresh::Fresh;
use holds::Holds;
pub use outcomes::{Ends, Group, Settled};
use put_back::PutBack;
use renewal::Renewal;
pub use silence::Stall;
use withdraw::Withdrawn;
pub(in crate::relay) use withdraw::never_due;
pub use withdraw::{Why, Withdrawal};

/// A message that was alone so often when the broker failed is given up.
const STRIKES_MAX: u8 = 3;
/// Whatever the broker closes for, it closes for at once: a suspect that gets no answer in this time
/// is none.
const SUSPECT_PATIENCE: Duration = Duration::from_secs(5);
/// As long is waited for one whose destination does not answer: mostly neither will it.
const SILENT_SUSPECT_PATIENCE: Duration = Duration::from_millis(250);
/// Exchanges that are remembered before those whose time is over are dropped.
const KNOWN_EXCHANGES_MAX: usize = 4096;

/// How a dispatch behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What happens after a nack.
    pub retry: RetrySchedule,
    /// How long it is believed that an exchange exists after the broker last showed it.
    pub exchange_known: Duration,
    /// How long a destination may be silent while something is in flight to it.
    pub stall_after: Duration,
    /// How much of a lane may be in memory.
    pub memory: MemoryBudget,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock.
    pub wall: WallTime,
}

/// Whether the lane publishes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Link {
    /// It does not, and why.
    Down(Reason),
    /// It does.
    Up,
}

/// How a message gets to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// On its lane, with others.
    Lane,
    /// Alone, since the broker may close for it.
    Probation,
    /// Alone, since its destination does not answer.
    Quarantine,
}

/// A message that has left the row of fresh ones.
struct Entry {
    message: Arc<Message>,
    names: Names,
    life: Life,
    /// Its place in the order, which it keeps.
    place: u64,
    /// Why it waits or was sent again.
    reason: Option<Arc<Reason>>,
    /// When it goes out again, if it waits for a time.
    due: Option<Instant>,
    way: Way,
    /// It was handed over on the lane, and goes on there before later ones of its key.
    under_way: bool,
    /// How often the broker closed on it, without a reason that must be its own, while it was alone.
    strikes: u8,
    /// Its outcome shall renew what is known of its exchange.
    renews: bool,
    /// It was in flight when its time was over: it is not tried again.
    expired: bool,
    /// It became a suspect while earlier ones of this key, its own, were under way on the lane, and does not overtake
    /// them over another connection.
    after: Option<Name>,
}

impl Entry {
    fn is_suspect(&self) -> bool {
        self.way == Way::Probation
    }

    /// In flight on the lane.
    fn is_on_lane(&self) -> bool {
        self.life.in_flight && self.way == Way::Lane
    }
}

/// See the module.
pub struct Dispatch {
    settings: Settings,
    fresh: Fresh,
    backlog: Backlog,
    /// The last turn that may be handed over, since the store knows that it may have been.
    gate: Option<Turn>,
    /// Looked at before, by place: all of them come before everything fresh.
    again: BTreeMap<u64, RowId>,
    entries: FxHashMap<RowId, Entry>,
    next_place: u64,
    holds: Holds,
    pauses: BTreeSet<(Instant, RowId)>,
    /// To be tried alone, by place: of each key the first, unless somebody earlier holds the key.
    suspects: BTreeMap<u64, RowId>,
    /// Exchanges that exist, and until when that is believed.
    known: HashMap<Box<str>, Instant>,
    /// Exchanges to ask about.
    questions: Vec<Box<str>>,
    destinations: Destinations,
    put_back: PutBack,
    renewal: Renewal,
    withdrawn: Withdrawn,
    /// Bytes of those that were looked at, and of those of them in flight.
    entry_bytes: usize,
    in_flight_bytes: usize,
    /// Nobody can have been silent for too long before.
    check_at: Option<Instant>,
    /// When the broker last took up publishing again.
    unblocked_at: Option<Instant>,
    in_flight: usize,
    handovers: HandoverEnds,
    connections_lost: u64,
    halted: bool,
    link: Link,
    blocked: Option<Reason>,
}

impl Dispatch {
    /// A dispatch without messages, whose lane is `down`.
    #[must_use]
    pub fn new(settings: Settings, down: Reason) -> Self {
        Self {
            settings,
            fresh: Fresh::default(),
            backlog: Backlog::default(),
            gate: None,
            again: BTreeMap::new(),
            entries: FxHashMap::default(),
            next_place: 0,
            holds: Holds::default(),
            pauses: BTreeSet::new(),
            suspects: BTreeMap::new(),
            known: HashMap::new(),
            questions: Vec::new(),
            destinations: Destinations::default(),
            put_back: PutBack::default(),
            renewal: Renewal::default(),
            withdrawn: Withdrawn::default(),
            entry_bytes: 0,
            in_flight_bytes: 0,
            check_at: None,
            unblocked_at: None,
            in_flight: 0,
            handovers: HandoverEnds::default(),
            connections_lost: 0,
            halted: false,
            link: Link::Down(down),
            blocked: None,
        }
    }

    /// Nothing with a later turn than `turn` is handed over for the first time until this is called
    /// again. Without a call, everything may be.
    pub fn open_to(&mut self, turn: Turn) {
        self.gate = self.gate.max(Some(turn));
    }

    /// Whether the next message waits for [`Dispatch::open_to`].
    #[must_use]
    pub fn waits_at_gate(&self) -> bool {
        let shut = |fresh: &Pending| self.gate.is_some_and(|gate| gate < fresh.turn);
        self.again.is_empty() && self.fresh.first().is_some_and(shut)
    }

    /// Hands nothing over any more.
    pub fn halt(&mut self) {
        self.halted = true;
    }

    /// The messages some hand-over of which left a doubt, to be remembered over a restart.
    #[must_use]
    pub fn doubts(&self) -> Vec<Note> {
        let doubtful = self
            .entries
            .values()
            .filter(|entry| entry.life.duplicate_possible);
        doubtful
            .map(|entry| Note {
                id: entry.message.id,
                attempts: entry.life.attempts,
            })
            .collect()
    }

    /// Messages that were handed over and have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When [`Dispatch::pull`] may give more although nothing has happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let first = self.pauses.first().map(|(due, _)| *due);
        first.filter(|_| !self.halted)
    }

    /// The next suspect, which must be published while nothing else is in flight on its connection.
    pub fn next_suspect(&mut self) -> Option<Handover> {
        if self.halted {
            return None;
        }
        let (place, row) = self.first_suspect()?;
        self.suspects.remove(&place);
        let name = self.entries.get(&row)?.names.destination;
        let patience = if self.destinations.is_quarantined(name) {
            SILENT_SUSPECT_PATIENCE
        } else {
            SUSPECT_PATIENCE
        };
        self.hand_over(row, Some(patience))
    }

    /// Whether [`Dispatch::next_suspect`] would say something.
    #[must_use]
    pub fn has_suspects(&self) -> bool {
        !self.halted && self.first_suspect().is_some()
    }

    fn first_suspect(&self) -> Option<(u64, RowId)> {
        let waits = |row: &RowId| {
            let after = self.entries.get(row).and_then(|entry| entry.after);
            after.is_some_and(|key| self.destinations.is_under_way(key))
        };
        let mut suspects = self.suspects.iter();
        let (&place, &row) = suspects.find(|(_, row)| !waits(row))?;
        Some((place, row))
    }

    /// Exchanges that somebody must ask the broker about; each is named once until it is answered.
    pub fn take_questions(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.questions)
    }

    /// Whether there are questions to take.
    #[must_use]
    pub fn has_questions(&self) -> bool {
        !self.questions.is_empty()
    }
}
