//! Whether who follows events may still see them: a stream may last longer than a key.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::access::{Access, Callers};

/// What a stream was opened with, and the callers as they are now.
pub(super) struct Seeing {
    access: Access,
    callers: watch::Receiver<Arc<Callers>>,
}

impl Seeing {
    pub(super) fn new(access: Access, mut callers: watch::Receiver<Arc<Callers>>) -> Self {
        // What has changed since the access was given shall be looked at.
        callers.mark_changed();
        Self { access, callers }
    }

    /// Whether it was taken away.
    pub(super) fn has_ended(&mut self) -> bool {
        // Nobody who could take it away is left when the sender is gone.
        self.callers.has_changed().unwrap_or(false)
            && !self
                .callers
                .borrow_and_update()
                .still_lets_see(&self.access)
    }

    /// Returns when it is taken away.
    pub(super) async fn ended(&mut self) {
        while !self.has_ended() {
            if self.callers.changed().await.is_err() {
                return std::future::pending().await;
            }
            self.callers.mark_changed();
        }
    }
}
