//! Those who are told of final statuses: requests that wait, streams of events, webhooks.

use std::sync::Arc;

use super::{Families, Source};
use crate::notify::{Events, Waiters, webhooks};

/// Tells of them.
pub struct OfTelling {
    /// Requests that wait.
    pub waiters: Arc<Waiters>,
    /// Streams.
    pub events: Arc<Events>,
    /// How many streams there may be.
    pub event_streams_max: usize,
    /// Webhooks.
    pub webhooks: Arc<webhooks::Counts>,
}

impl Source for OfTelling {
    fn tell(&self, told: &mut Families) {
        told.gauge(
            "amqpost_waiting_requests",
            "Requests that wait for a final status or a group.",
            self.waiters.waiting() as u64,
        );
        told.gauge(
            "amqpost_event_streams",
            "Streams of events that are open.",
            self.events.listening() as u64,
        );
        told.gauge(
            "amqpost_event_streams_max",
            "How many there may be.",
            self.event_streams_max as u64,
        );
        let webhooks = &self.webhooks;
        told.counters(
            "amqpost_webhook_deliveries_total",
            "Deliveries of webhooks that have ended.",
            [
                ("delivered", webhooks.delivered()),
                ("failed", webhooks.given_up()),
            ]
            .map(|(result, count)| ([("result", result)], count)),
        );
        told.counters(
            "amqpost_webhook_failed_tries_total",
            "Tries to deliver a webhook that failed, by why; most are tried again.",
            (webhooks.failed_tries().iter())
                .map(|(class, count)| ([("error", class.as_str())], *count)),
        );
        told.gauge(
            "amqpost_webhook_deliveries_in_flight",
            "Deliveries of webhooks whose receiver has not answered yet.",
            webhooks.under_way(),
        );
        told.counter(
            "amqpost_webhooks_disabled_total",
            "Webhooks that the gateway has disabled, since they answered 410 or failed for days.",
            webhooks.disabled(),
        );
    }
}
