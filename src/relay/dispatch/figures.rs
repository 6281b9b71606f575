//! A lane in numbers, for whoever watches it.

use super::{Dispatch, Link};
use crate::broker::Outcome;

/// How hand-overs have ended since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandoverEnds {
    /// Acknowledged.
    pub confirmed: u64,
    /// Returned.
    pub returned: u64,
    /// Nacked, and mostly tried again.
    pub nacked: u64,
    /// Cut off, suspected or not answered: sent again, and possibly a second time.
    pub unknown: u64,
    /// Cut off before a broker can have had it.
    pub unsent: u64,
    /// Refused for its own sake.
    pub refused: u64,
}

impl HandoverEnds {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Confirmed => &mut self.confirmed,
            Outcome::Returned(_) => &mut self.returned,
            Outcome::Nacked => &mut self.nacked,
            Outcome::Unknown | Outcome::Unanswered | Outcome::Suspect(_) => &mut self.unknown,
            Outcome::Unsent => &mut self.unsent,
            Outcome::Refused { .. } => &mut self.refused,
        };
        *counter += 1;
    }
}

/// A lane at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// It publishes.
    pub up: bool,
    /// It is up, and the broker takes nothing.
    pub blocked: bool,
    /// Messages that were handed over and have not ended.
    pub in_flight: usize,
    /// Messages in memory.
    pub in_memory: usize,
    /// Destinations that do not answer.
    pub quarantined: usize,
    /// Connections that were up and have ended.
    pub connections_lost: u64,
    /// How hand-overs have ended, also those on other connections.
    pub handovers: HandoverEnds,
}

impl Dispatch {
    /// The lane at this moment.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let up = self.is_up();
        Figures {
            up,
            blocked: up && self.is_blocked(),
            in_flight: self.in_flight(),
            in_memory: self.backlog.messages(),
            quarantined: self.quarantined(),
            connections_lost: self.connections_lost,
            handovers: self.handovers,
        }
    }

    /// The connection has ended, or could not be made.
    pub(super) fn count_loss(&mut self) {
        self.connections_lost += u64::from(self.link == Link::Up);
    }
}
