//! What the endpoints work with, put together.

use std::sync::Arc;

use tokio::sync::watch;

use super::storage::Readers;
use super::{Running, descriptors, webhooks};
use crate::config::Config;
use crate::domain::Rules;
use crate::domain::access::Callers;
use crate::domain::topology::Status;
use crate::http::{self, CallersLoaded, Gateway, Parts};
use crate::metrics::Metrics;
use crate::notify::{Everybody, Rates};
use crate::relay::Relay;

/// What is told of the gateway itself.
pub(super) struct Watched {
    pub(super) topology: watch::Receiver<Status>,
    pub(super) rates: Arc<Rates>,
    pub(super) metrics: Metrics,
    pub(super) callers: watch::Receiver<Arc<Callers>>,
    pub(super) reloads: watch::Receiver<CallersLoaded>,
}

/// The parts behind one handle.
pub(super) fn over(
    config: &Config,
    relay: &Relay,
    readers: Readers,
    told: &Everybody,
    watched: Watched,
    parts: &Running,
) -> Gateway {
    let rules = Rules {
        limits: config.limits.clone(),
        broker_user: config.brokers.user().map(Into::into),
        webhook_allow: config.webhook_allow.clone(),
    };
    let changes = webhooks::Told {
        relay: relay.clone(),
        doorbell: Arc::clone(&told.doorbell),
    };
    Gateway::new(Parts {
        backend: Arc::new(relay.clone()),
        store: readers.messages,
        webhooks: http::Webhooks::new(readers.outbox, Arc::new(changes)),
        waiters: Arc::clone(&told.waiters),
        events: Arc::clone(&told.events),
        rates: watched.rates,
        metrics: watched.metrics,
        callers: watched.callers,
        reloads: watched.reloads,
        rules,
        settings: http::Settings {
            connections_max: descriptors::connections_max(config.http.connections_max),
            ..config.http.clone()
        },
        topology: watched.topology,
        leaving: parts.leaving.watch(),
        stop: parts.stop_http.watch(),
    })
}
