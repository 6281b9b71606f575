//! A message on its way into the store.

use std::sync::Arc;

use super::KeyUse;
use crate::domain::{Due, Message, WallTime};

/// A message to be kept.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The message.
    pub message: Arc<Message>,
    /// What must be read back in order together (the relay's lane). The store keeps it and never
    /// computes it.
    pub partition: u8,
    /// The idempotency key that it was accepted with, which lives as long as keys do.
    pub key: Option<Box<KeyUse>>,
    /// It is *scheduled*: pending, and with no turn before it has become due ([`super::Batch::due`]).
    /// Without this its turn is its row.
    pub due: Option<Due>,
    /// By how much the wall clock has stepped between its acceptance and [`super::Batch::wall`]. It is in `due`
    /// already, and in the time to give it up at.
    pub clock_step_ms: i64,
}

impl Accepted {
    /// The wall clock has stepped since it was accepted: the ends of its durations move along, as those
    /// of what is kept do by [`super::Batch::clock_step_ms`].
    pub fn step_clock(&mut self, by_ms: i64) {
        self.clock_step_ms = self.clock_step_ms.saturating_add(by_ms);
        if let Some(due) = self.due.as_mut().filter(|due| due.moves) {
            due.at = due.at.moved_by_ms(by_ms);
        }
    }

    /// When it is given up, unless it is scheduled: then its time begins when it is due.
    #[must_use]
    pub fn give_up_at(&self) -> Option<WallTime> {
        let at = self.message.give_up_at(self.message.starts_at())?;
        Some(at.moved_by_ms(self.clock_step_ms))
    }
}
