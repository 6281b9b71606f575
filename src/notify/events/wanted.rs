//! What a listener wants.

use std::time::Duration;

use super::{Event, PAGE_ENTRIES_MAX};
use crate::clock;
use crate::domain::Caller;
use crate::store::{Filter, KeptSince, ReadStore, Record, StoreError};

/// Which outcomes.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of messages that match.
    pub filter: Filter,
    /// Only of the message that an idempotency key stands for.
    pub key: Option<WantedKey>,
}

/// An idempotency key.
#[derive(Clone, Debug)]
pub struct WantedKey {
    /// Whose.
    pub caller: Caller,
    /// The key.
    pub key: Box<str>,
    /// For how long it stands for its message.
    pub kept: Duration,
}

/// What is wanted of a page.
pub(super) struct WantedPage {
    pub(super) events: std::vec::IntoIter<Event>,
    pub(super) reached: u64,
    pub(super) last: u64,
    /// Behind this nothing that is wanted is missing.
    pub(super) kept_since: u64,
}

impl Wanted {
    /// Whether the ring can tell what is wanted. Records do not say by which key they came.
    pub(super) fn is_in_ring(&self) -> bool {
        self.key.is_none()
    }

    pub(super) fn matches(&self, record: &Record) -> bool {
        self.filter.matches(record)
    }

    /// Everything that is wanted and was settled behind this is kept.
    pub(super) fn kept_since(&self, kept: KeptSince) -> u64 {
        kept.of(&self.filter)
    }

    /// What of it was settled behind `after`: a page.
    pub(super) fn read(&self, store: &dyn ReadStore, after: u64) -> Result<WantedPage, StoreError> {
        let page = store.outcomes(after, PAGE_ENTRIES_MAX)?;
        let mut events: Vec<_> = (page.outcomes.into_iter())
            .filter(|(_, record)| self.matches(record))
            .map(Event::new)
            .collect();
        if let Some(key) = self.key.as_ref().filter(|_| !events.is_empty()) {
            // A key is kept in the transaction of its message, so it is known by the time of the outcome.
            let since = clock::wall().minus(key.kept);
            let key = (key.caller.clone(), key.key.clone());
            let used = store.used_keys(&[key], since)?.into_iter().flatten().next();
            events.retain(|event| used.is_some_and(|used| used.id == event.record.id));
        }
        Ok(WantedPage {
            events: events.into_iter(),
            reached: page.reached,
            last: page.last,
            kept_since: self.kept_since(page.kept),
        })
    }
}
