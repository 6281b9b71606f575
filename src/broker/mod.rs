//! The publisher: what the rest of the gateway knows of a broker.
//!
//! Work is pulled, not pushed: a lane (one connection, one confirm channel, one owner task) asks its
//! [`Feed`] for hand-overs whenever its window and its socket have room, and reports what became of
//! each. **Every hand-over that was pulled is reported exactly once**, also when connections end;
//! what is not pulled stays with the feed, where it can wait, be held or be cancelled. There is no
//! queue in between, so nothing can pile up there.
//!
//! This room knows no store and no HTTP. Only `rabbitmq` speaks AMQP.

pub mod rabbitmq;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::domain::{Message, Reason, RowId};

/// A message given to a lane.
#[derive(Clone, Debug)]
pub struct Handover {
    /// What to publish.
    pub message: Arc<Message>,
    /// Whether consumers are told that they may have seen it before.
    pub duplicate_possible: bool,
    /// The connection is given up when there was no answer for so long after the message was written.
    /// Only for one that is alone on its connection.
    pub patience: Option<Duration>,
}

/// How one hand-over ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged, and not returned before.
    Confirmed,
    /// Returned as unroutable, then acknowledged.
    Returned(Box<Reason>),
    /// `basic.nack`.
    Nacked,
    /// The channel or connection ended; nobody knows.
    Unknown,
    /// As `Unknown`, and the broker closed nothing: it was alone, and no word came in time.
    Unanswered,
    /// As `Unknown`, and it may be what the broker closed for. Send it again alone.
    Suspect(Arc<Reason>),
    /// Not completely written: no broker can have taken it.
    Unsent,
    /// It was the only one that the broker can have closed for. `maybe_taken`: a queue may hold it
    /// all the same.
    Refused {
        /// The broker's words.
        reason: Box<Reason>,
        /// Whether a queue may hold it.
        maybe_taken: bool,
    },
}

/// What a lane reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneEvent {
    /// How the hand-over of the message at this place ended.
    Ended(RowId, Outcome),
    /// The lane publishes.
    Up,
    /// The lane does not publish, and why; the hand-overs have been reported before.
    Down(Reason),
    /// The broker takes no messages at present.
    Blocked(Reason),
    /// It takes messages again.
    Unblocked,
}

/// How much a lane can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload. A message that is larger may be handed over when nothing is in flight.
    pub bytes: usize,
    /// Nothing is in flight.
    pub empty: bool,
}

/// What a lane works for.
pub trait Feed: Send + 'static {
    /// Appends what shall be published now, in order, within `room`. `now` is the monotonic time.
    fn pull(&mut self, now: Instant, room: Room, into: &mut Vec<Handover>);

    /// Takes all of `events`, in the order in which they happened.
    fn report(&mut self, now: Instant, events: &mut Vec<LaneEvent>);

    /// When to pull again although nobody called.
    fn deadline(&self) -> Option<Instant>;

    /// Whether the connection is to be given up and another one made at once, since something in
    /// flight gets no answer. Up to `slow_until` the socket took bytes only slowly.
    fn is_stalled(&mut self, now: Instant, slow_until: Instant) -> bool;

    /// When [`Feed::is_stalled`] may turn true.
    fn stall_check(&self) -> Option<Instant>;

    /// Is notified when there may be something to pull.
    fn call(&self) -> Arc<Notify>;

    /// Whether a connection is wanted at all. A lane that is not wanted connects later.
    fn wanted(&self) -> bool;
}

/// Whether an exchange is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It exists.
    There,
    /// The broker says that it does not.
    Missing,
}

/// The broker could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker could not be asked: {0}")]
pub struct ProbeError(pub String);

/// Asks about exchanges on a connection that does not publish.
pub trait Probe: Send + Sync + 'static {
    /// Whether `exchange`, which is not the default one, exists.
    fn presence<'a>(
        &'a self,
        exchange: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Presence, ProbeError>> + Send + 'a>>;
}
