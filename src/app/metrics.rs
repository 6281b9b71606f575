//! Who has figures for operators.

use std::sync::Arc;

use super::storage::Readers;
use crate::config::{Config, StoreUrl};
use crate::metrics::{Metrics, OfProcess, OfRelay, OfStore, OfTelling};
use crate::notify::{Everybody, webhooks};
use crate::relay::Relay;

/// All of them; those of the requests come from where they are answered.
pub(super) fn all(
    config: &Config,
    relay: &Relay,
    readers: &Readers,
    told: &Everybody,
    webhooks: &Arc<webhooks::Counts>,
) -> Metrics {
    let on_disk = config.store != StoreUrl::Memory;
    let store = OfStore {
        messages: Arc::clone(&readers.messages),
        outbox: Arc::clone(&readers.outbox),
        bytes_max: on_disk.then_some(config.store_bytes_max),
        history_bytes_max: config.limits.history_bytes_max as u64,
    };
    let telling = OfTelling {
        waiters: Arc::clone(&told.waiters),
        events: Arc::clone(&told.events),
        event_streams_max: config.http.event_streams_max,
        webhooks: Arc::clone(webhooks),
    };
    Metrics::default()
        .with(OfRelay(relay.clone()))
        .with(store)
        .with(telling)
        .with(OfProcess)
}
