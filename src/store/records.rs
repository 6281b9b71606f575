//! What is told of a message.

use super::Settlement;
use crate::domain::{Caller, Message, MessageId, TraceContext, Turn, WallTime};

/// What is known of a message, without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its one id.
    pub id: MessageId,
    /// Who handed it over.
    pub caller: Caller,
    /// `""` is the default exchange.
    pub exchange: Box<str>,
    /// As the caller gave it.
    pub routing_key: Box<str>,
    /// The caller's explicit key, if any.
    pub ordering_key: Option<Box<str>>,
    /// Whether the broker returns what it cannot route.
    pub mandatory: bool,
    /// The caller's `message_id`; without one, the id is sent.
    pub message_id: Option<Box<str>>,
    /// Bytes of the payload.
    pub size_bytes: u64,
    /// When it was accepted.
    pub accepted_at: WallTime,
    /// Times it was replayed.
    pub replays: u32,
    /// The caller's label, if any.
    pub group: Option<Box<str>>,
    /// Not before when it is handed over, if its caller said so.
    pub deliver_at: Option<WallTime>,
    /// When it is not tried any more, if its caller said so: of its present life while it is
    /// pending, of its last one once it has ended.
    pub give_up_at: Option<WallTime>,
    /// Where its request belongs in a trace.
    pub trace: Option<Box<TraceContext>>,
    /// Its place among those who go out; `None` for one that is scheduled or has ended.
    pub standing: Option<Standing>,
    /// Hand-overs that left a doubt before a restart or a replay, for a pending message whose doubt the
    /// store knows.
    pub doubt: Option<u32>,
    /// Its final status, once it is kept.
    pub outcome: Option<Settlement>,
}

impl Record {
    /// What is known of `message` that was never replayed, its standing and doubts apart.
    #[must_use]
    pub fn of(message: &Message, outcome: Option<Settlement>) -> Self {
        let draft = &message.draft;
        Self {
            id: message.id,
            caller: draft.caller.clone(),
            exchange: draft.exchange.clone(),
            routing_key: draft.routing_key.clone(),
            ordering_key: draft.ordering_key.clone(),
            mandatory: draft.mandatory,
            message_id: draft.properties.message_id.clone(),
            size_bytes: draft.payload.len() as u64,
            accepted_at: message.accepted_at,
            replays: 0,
            group: draft.group().map(Into::into),
            deliver_at: message.due().map(|due| due.at),
            give_up_at: message.give_up_at(message.starts_at()),
            trace: (draft.terms.as_ref())
                .and_then(|terms| terms.trace.clone())
                .map(Box::new),
            standing: None,
            doubt: None,
            outcome,
        }
    }
}

impl Record {
    /// Whether it tells times that may move along with steps of the wall clock until it has ended.
    #[must_use]
    pub fn has_moving_times(&self) -> bool {
        self.deliver_at.is_some() || self.give_up_at.is_some()
    }

    /// Whether a settlement is the end of the life that the record tells of, and not of an earlier or
    /// a later one.
    #[must_use]
    pub fn is_ended_by(&self, settlement: &Settlement) -> bool {
        settlement.revision == 2 * self.replays + 2
    }
}

/// The place of a pending message among those who go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When its turn comes.
    pub turn: Turn,
    /// Bytes, as [`Message::footprint_bytes`] accounts them.
    pub footprint_bytes: u64,
}

/// What a store answers when asked for an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// It is kept.
    Found(Box<Record>),
    /// It was never accepted, as far as anybody can tell.
    NotFound,
    /// It is older than the history that is kept.
    Expired,
}
