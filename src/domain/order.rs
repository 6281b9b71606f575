//! Which messages must keep their order.

use std::hash::{Hash, Hasher};

use super::message::Draft;

/// What messages are kept in order by: the exchange and the ordering key (contract, section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderKey<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The caller's ordering key, or the routing key.
    pub key: &'a str,
}

impl<'a> OrderKey<'a> {
    /// The key of a message.
    #[must_use]
    pub fn of(draft: &'a Draft) -> Self {
        Self {
            exchange: &draft.exchange,
            key: draft.ordering_key.as_deref().unwrap_or(&draft.routing_key),
        }
    }

    /// The lane, below `lanes`, that all messages of this key take. The same in every process, so
    /// that a restart does not mix up the order.
    #[must_use]
    pub fn lane(self, lanes: usize) -> usize {
        let mut hasher = rustc_hash::FxHasher::default();
        self.hash(&mut hasher);
        // The upper half is the better mixed one; the remainder fits wherever `lanes` did.
        (hasher.finish() >> 32) as usize % lanes.max(1)
    }
}
