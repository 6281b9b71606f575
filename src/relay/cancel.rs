//! Cancelling a message.

use super::{AcceptError, Relay};
use crate::store::{Record, Settlement};

/// What came of cancelling a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancellation {
    /// It has ended with this, which is committed.
    Cancelled(Settlement),
    /// It is in flight at this moment, and nobody can call it back.
    InFlight,
    /// It has ended already, or is ending at this moment: the store knows, or will.
    Ended,
}

impl Relay {
    /// Cancels the message of a record that says pending, unless it is in flight; returns when that is
    /// committed. It is never handed over afterwards.
    ///
    /// # Errors
    /// [`AcceptError`]; only after [`AcceptError::OutcomeUnknown`] it may have been cancelled all the
    /// same.
    pub async fn cancel(&self, record: Record) -> Result<Cancellation, AcceptError> {
        self.journal.cancel(record.id).await
    }
}
