//! Connections on which a destination is only ever refused.
//!
//! A nack is mostly the queue's own word: it is full. But `RabbitMQ` before 3.13 asks, when a channel
//! publishes to a quorum queue for the first time, the node that led the queue by then; and if that
//! node was lost a moment ago, everything that goes there over this channel is nacked until the node
//! is back, although the queue has had another leader for long and every fresh connection is served.
//! From here the two look the same. So when a connection has known nothing but nacks for a
//! destination, a fresh one is made: after growing pauses, since where the queue is full it helps
//! nothing, and while nothing is in flight, so that nothing is sent twice for it. There one of the
//! refused messages goes out at once; if it is taken, the others need not wait for their time either.

use std::time::{Duration, Instant};

use super::Dispatch;
use super::destinations::Name;
use super::outcomes::Ends;
use crate::domain::{RetrySchedule, RowId};

/// From the first nack of a connection to the next connection. An election takes a second or two.
const PAUSES: RetrySchedule = RetrySchedule {
    tries_max: u32::MAX,
    pause_min: Duration::from_millis(500),
    pause_max: Duration::from_secs(10),
};
/// What is in flight is waited for so long. What has no answer then is sent again, and flagged.
const DRAIN_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Content,
    /// A fresh connection is made at this time, unless the destination takes something before.
    Due(Instant),
    /// Nothing more is handed over, and at this time at the latest the connection is given up.
    Draining(Instant),
    /// It was given up, and the fresh one is not there yet.
    Renewing,
}

/// Whether the lane needs a fresh connection.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    stage: Stage,
    /// The destination that is only refused.
    cause: Option<Name>,
    /// Connections that were made for it in vain, one after the other.
    count: u32,
}

impl Renewal {
    /// Nothing is handed over, so that nothing is in flight when the connection is given up.
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining(_))
    }

    /// It is not. If not for this, the next connection is another matter.
    pub(super) fn lost(&mut self) {
        if !matches!(self.stage, Stage::Renewing) {
            *self = Self::default();
        }
    }
}

impl Dispatch {
    /// The lane is connected.
    pub(super) fn connected(&mut self) {
        self.destinations.connected();
        let before = std::mem::take(&mut self.renewal.stage);
        if let (Stage::Renewing, Some(name)) = (before, self.renewal.cause) {
            self.end_pauses_of(name, 1);
        }
    }

    /// The destination has taken a message on the lane, or its exchange has returned it.
    pub(super) fn accepted(&mut self, name: Name) {
        self.destinations.accepted(name);
        if self.renewal.cause == Some(name) {
            let Renewal { count, .. } = std::mem::take(&mut self.renewal);
            if count > 0 {
                self.end_pauses_of(name, usize::MAX);
            }
        }
    }

    /// The first so many of the messages that go there go out without waiting for their time.
    fn end_pauses_of(&mut self, name: Name, count: usize) {
        let goes_there = |(_, row): &&(Instant, RowId)| {
            let entry = self.entries.get(row);
            entry.is_some_and(|entry| entry.names.destination == name)
        };
        let going = self.pauses.iter().filter(goes_there).take(count);
        for pause in going.copied().collect::<Vec<_>>() {
            self.end_pause(pause);
        }
    }

    /// The lane got a nack for the destination.
    pub(super) fn refused(&mut self, name: Name, ends: &Ends<'_>) {
        if matches!(self.renewal.stage, Stage::Content) && !self.destinations.accepts(name) {
            let pause = PAUSES.pause(self.renewal.count + 1, (ends.dice)());
            self.renewal.stage = Stage::Due(ends.at.now + pause.unwrap_or(PAUSES.pause_max));
            self.renewal.cause = Some(name);
        }
    }

    /// When to ask [`Dispatch::wants_renewal`].
    #[must_use]
    pub fn renewal_check(&self) -> Option<Instant> {
        match self.renewal.stage {
            Stage::Due(at) | Stage::Draining(at) => Some(at),
            Stage::Content | Stage::Renewing => None,
        }
    }

    /// Whether the lane's connection is to be given up, since a destination is only refused there.
    /// Shortly before, nothing more is pulled.
    pub fn wants_renewal(&mut self, now: Instant) -> bool {
        let until = match self.renewal.stage {
            Stage::Due(due) if due <= now => now + DRAIN_MAX,
            Stage::Draining(until) => until,
            _ => return false,
        };
        let cause = self.renewal.cause;
        if !cause.is_some_and(|name| self.destinations.has_nacked(name)) {
            self.renewal.stage = Stage::Content;
            return false;
        }
        self.renewal.stage = Stage::Draining(until);
        if self.destinations.open() > 0 && now < until {
            return false;
        }
        self.renewal.stage = Stage::Renewing;
        self.renewal.count += 1;
        true
    }
}
