//! Changes of the outbox of webhooks, on their way to the writer.

use tokio::sync::oneshot;

use super::{Journal, Phase};
use crate::store::{OutboxChange, StoreError};

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) changes: Vec<OutboxChange>,
    /// Those who wait for the commit of all of them.
    pub(super) written: Vec<oneshot::Sender<()>>,
}

impl Journal {
    /// Keeps changes, together or not at all; returns when they are committed.
    pub(in crate::relay) async fn write_outbox(
        &self,
        mut changes: Vec<OutboxChange>,
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            if queue.phase == Phase::Ending {
                return Err(StoreError::Unavailable("the gateway is stopping".into()));
            }
            queue.outbox.changes.append(&mut changes);
            queue.outbox.written.push(tell);
            self.work.notify_one();
        }
        let lost = |_| StoreError::Unavailable("the commit was not answered".into());
        told.await.map_err(lost)
    }
}
