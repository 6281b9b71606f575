//! Which faults come when: it follows from the seed alone.
//!
//! Three tracks run side by side, so that faults meet: what happens to the gateway, to the broker, and to
//! the networks. Each deals its kinds of faults as a deck of cards: all of them, in any order, and again.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::choices::dice;
use super::support::tcp_proxy::{Direction, End};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    GatewayKilled,
    GatewayTerminated,
    GatewayFrozen,
    FullDisk,
    SlowDisk,
    FailedSync,
    ClockStep,
    BrokerKilled,
    BrokerStopped,
    BrokerFrozen,
    ConnectionsClosed,
    Alarm,
    Unbound,
    ExchangeDeleted,
    BrokerNetwork(Trouble),
    CallersNetwork(Trouble),
}

/// What a network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    Cut,
    Reset,
    CutInside,
    ResetInside,
    Silence,
    HalfSilence,
}

impl Trouble {
    const ALL: [Self; 6] = [
        Self::Cut,
        Self::Reset,
        Self::CutInside,
        Self::ResetInside,
        Self::Silence,
        Self::HalfSilence,
    ];
}

/// Faults that cannot happen at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Track {
    Gateway,
    Broker,
    Networks,
}

impl Track {
    fn deck(self) -> Vec<Fault> {
        match self {
            Self::Gateway => vec![
                Fault::GatewayKilled,
                Fault::GatewayKilled,
                Fault::GatewayTerminated,
                Fault::GatewayFrozen,
                Fault::FullDisk,
                Fault::SlowDisk,
                Fault::FailedSync,
                Fault::ClockStep,
                Fault::ClockStep,
            ],
            Self::Broker => vec![
                Fault::BrokerKilled,
                Fault::BrokerStopped,
                Fault::BrokerFrozen,
                Fault::ConnectionsClosed,
                Fault::ConnectionsClosed,
                Fault::Alarm,
                Fault::Unbound,
                Fault::Unbound,
                Fault::ExchangeDeleted,
                Fault::ExchangeDeleted,
            ],
            Self::Networks => (Trouble::ALL.into_iter())
                .flat_map(|one| [Fault::BrokerNetwork(one), Fault::CallersNetwork(one)])
                .collect(),
        }
    }
}

/// One fault, and its particulars. Not all kinds need all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) pause_ms: u64,
    pub(crate) fault: Fault,
    pub(crate) lasts_ms: u64,
    /// Which direction, where it has one.
    pub(crate) direction: Direction,
    /// Bytes that pass before it.
    pub(crate) bytes: u64,
    /// What each sync of a slow disk takes.
    pub(crate) sync_ms: u64,
    /// By how much the gateway's clock is set ahead, or back when it is negative: mostly by more than the
    /// campaign waits at its end, so that what follows such a step is seen never to end.
    pub(crate) clock_step_seconds: i64,
}

impl Fault {
    /// How the connections end, where they do.
    pub(crate) fn end(self) -> End {
        match self {
            Self::BrokerNetwork(Trouble::Reset | Trouble::ResetInside)
            | Self::CallersNetwork(Trouble::Reset | Trouble::ResetInside) => End::Reset,
            _ => End::Close,
        }
    }
}

/// The faults of a track, without end.
pub(crate) struct Plan {
    track: Track,
    dice: StdRng,
    deck: Vec<Fault>,
}

impl Plan {
    pub(crate) fn new(seed: u64, track: Track) -> Self {
        Self {
            track,
            dice: dice(seed, &format!("{track:?}"), 0),
            deck: Vec::new(),
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.deck.is_empty() {
            self.deck = self.track.deck();
            self.deck.shuffle(&mut self.dice);
        }
        let dice = &mut self.dice;
        Some(Step {
            pause_ms: dice.random_range(200..4_000),
            fault: self.deck.pop()?,
            // Mostly short, now and then longer than any time limit.
            lasts_ms: if dice.random_bool(0.8) {
                dice.random_range(50..3_000)
            } else {
                dice.random_range(3_000..12_000)
            },
            direction: if dice.random_bool(0.5) {
                Direction::ToServer
            } else {
                Direction::ToClient
            },
            bytes: dice.random_range(1..60_000),
            sync_ms: dice.random_range(20..400),
            clock_step_seconds: dice.random_range(1..3_600)
                * if dice.random_bool(0.5) { 1 } else { -1 },
        })
    }
}
