//! The only room that writes the store and drives the broker: admission, dispatch, settlement.

use std::sync::Arc;

use crate::domain::{Draft, Message, Reason, WallTime};
use crate::store::Record;

/// Why a message was not accepted. Nothing of it will be published, [`AcceptError::OutcomeUnknown`]
/// apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The budget for pending messages is used up.
    #[error("the gateway holds as many pending messages as it may")]
    Full,
    /// The process is about to end.
    #[error("the gateway is stopping")]
    Stopping,
    /// The commit failed or its answer was lost: it may or may not have been accepted.
    #[error("whether the message was accepted is not known")]
    OutcomeUnknown,
}

/// How a pending message is getting on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Hand-overs so far.
    pub attempts: u32,
    /// Whether some hand-over left a doubt.
    pub duplicate_possible: bool,
    /// When a message that waits between two tries goes out again.
    pub next_attempt_at: Option<WallTime>,
    /// Why it waits or what happened to it; `None` while the first try goes well.
    pub reason: Option<Reason>,
}

/// Whether the broker takes messages.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerHealth {
    /// Lanes that publish.
    pub lanes_up: usize,
    /// Lanes that the broker has blocked, among those that are up.
    pub lanes_blocked: usize,
    /// Lanes in all.
    pub lanes: usize,
    /// Why a lane is down or blocked, if any is.
    pub reason: Option<Reason>,
}

/// The state of the relay at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Whether new messages are accepted.
    pub accepting: bool,
    /// Pending messages.
    pub pending_messages: usize,
    /// The broker as the lanes see it.
    pub broker: BrokerHealth,
}

/// PLACEHOLDER
pub struct Desk;
impl Desk {
    /// Accepts a message that has passed the rules; returns when it is safe in the store.
    pub async fn accept(&self, _draft: Draft) -> Result<Arc<Message>, AcceptError> {
        Err(AcceptError::Stopping)
    }
    /// How a message whose record says pending is getting on.
    pub fn progress(&self, _record: &Record) -> Progress {
        Progress::default()
    }
    /// The state.
    pub fn health(&self) -> Health {
        Health {
            accepting: false,
            pending_messages: 0,
            broker: BrokerHealth {
                lanes_up: 0,
                lanes_blocked: 0,
                lanes: 4,
                reason: None,
            },
        }
    }
}
