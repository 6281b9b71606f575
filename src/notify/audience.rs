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
        }
    }

    fn deliveries_kept(&self) {
        self.doorbell.ring();
    }

    fn awaits(&self, ids: &mut dyn Iterator<Item = MessageId>) -> bool {
        self.waiters.awaits(ids)
    }

    fn groups_changed(&self, groups: &mut dyn Iterator<Item = (&Caller, &str)>) {
        self.waiters.groups_changed(groups);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::store::contract::samples;

    #[test]
    fn whoever_delivers_is_woken_for_deliveries_and_not_for_every_end() {
        let everybody = Everybody {
            waiters: Arc::default(),
            events: Arc::new(Events::new(1)),
            doorbell: Arc::default(),
        };
        let is_rung = || everybody.doorbell.rung().now_or_never().is_some();
        everybody.settled(&samples::confirmed(&samples::accepted(1)));
        assert!(!is_rung());
        everybody.deliveries_kept();
        assert!(is_rung());
    }
}
