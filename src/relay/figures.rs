//! The relay in numbers at a moment, for whoever watches it.

use super::{Budget, Counts, Relay, dispatch};

/// What is pending.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Whether new messages are accepted.
    pub accepting: bool,
    /// Messages.
    pub messages: usize,
    /// Their bytes, as the budget accounts them.
    pub bytes: usize,
    /// Those of the messages that are not due.
    pub scheduled_messages: usize,
    /// How much may be pending.
    pub budget: Budget,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What is pending.
    pub backlog: Backlog,
    /// Each lane.
    pub lanes: Vec<dispatch::Figures>,
}

impl Relay {
    /// The state at this moment.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            backlog: self.journal.backlog(),
            lanes: self.lanes.figures(),
        }
    }

    /// What was done since the start.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.journal.counts
    }
}
