//! Sending again what was returned or has failed.

use super::{AcceptError, Relay};
use crate::domain::MessageId;
use crate::store::{BulkReplay, Filter};

/// What came of replaying a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It is pending again, which is committed.
    Pending,
    /// It is pending already, or was confirmed or cancelled.
    No,
    /// Its caller may not publish it (any more).
    Forbidden,
    /// Its payload is not kept any more.
    PayloadGone,
    /// It is not kept, or never was.
    Unknown,
}

impl Relay {
    /// Sends a message again that was returned or has failed; returns when it is pending again. Of two
    /// that race one comes second, and is told that it is pending.
    ///
    /// # Errors
    /// [`AcceptError`]; only after [`AcceptError::OutcomeUnknown`] it may be pending all the same.
    pub async fn replay(&self, id: MessageId) -> Result<Replay, AcceptError> {
        self.journal.replay(id).await
    }

    /// Begins to send again whatever matches `filter` now; returns when the beginning is committed, and
    /// goes on in the background, over restarts too. The answer says what was fixed.
    ///
    /// # Errors
    /// [`AcceptError`]; [`AcceptError::Full`] too when many are under way.
    pub async fn replay_matching(&self, filter: Filter) -> Result<BulkReplay, AcceptError> {
        self.journal.replay_matching(filter).await
    }
}
