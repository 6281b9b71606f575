//! Webhooks and their deliveries are kept by the one writer too.

use super::Relay;
use crate::store::{OutboxChange, OutboxWriter, Writing};

impl OutboxWriter for Relay {
    fn write(&self, changes: Vec<OutboxChange>) -> Writing<'_> {
        Box::pin(self.journal.write_outbox(changes))
    }
}
