//! Everybody who is told of final statuses after their commit.

use std::sync::Arc;

use super::webhooks::Doorbell;
use super::{Events, Waiters};
use crate::domain::{Caller, MessageId};
use crate::store::{Audience, Settlement};

/// Those who wait for single messages, and those who follow all of them.
pub struct Everybody {
    /// They are in a hurry.
    pub waiters: Arc<Waiters>,
    /// They are not: a stream does not make commits more frequent.
    pub events: Arc<Events>,
    /// Deliveries are kept with the outcomes.
    pub doorbell: Arc<Doorbell>,
}

impl Audience for Everybody {
    fn settled(&self, settled: &[Settlement]) {
        self.waiters.settled(settled);
        if !settled.is_empty() {
            self.events.settled();
            self.doorbell.ring();
        }
    }

    fn awaits(&self, ids: &mut dyn Iterator<Item = MessageId>) -> bool {
        self.waiters.awaits(ids)
    }

    fn groups_changed(&self, groups: &mut dyn Iterator<Item = (&Caller, &str)>) {
        self.waiters.groups_changed(groups);
    }
}
