//! The outbox of webhooks: which outcomes somebody wants to be told of, and how the telling goes.
//!
//! A delivery is kept in the transaction of the outcome that it tells ([`super::Batch::settled`]): one
//! for the message's own `callback_url`, and one for each enabled standing webhook that wants it. It
//! holds the message as of that outcome, so a later replay or forgotten history takes nothing from it,
//! and it is never forgotten before it was delivered or given up.
//!
//! Reading is [`OutboxStore`]'s, writing goes through the one writer ([`OutboxWriter`]).

use std::future::Future;
use std::pin::Pin;

use super::{Record, StoreError};
use crate::domain::{Caller, MessageId, Status, WallTime};

/// Where deliveries go: those of one endpoint wait for each other, those of different ones do not. By
/// number, given by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u64);

/// What the callbacks of a caller to `url` wait for each other by: its scheme, host and port, and the
/// caller. Many receivers share a host, and whoever can make it answer `429` with a long `Retry-After`
/// must not hold up anybody else's.
#[must_use]
pub fn callback_endpoint(caller: &Caller, url: &str) -> Box<str> {
    let host = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(host..).unwrap_or_default();
    let end = rest
        .find(['/', '?', '#', '\\'])
        .map_or(url.len(), |at| host + at);
    let host = url.get(..end).unwrap_or(url).to_ascii_lowercase();
    format!("{host} {}", caller.as_str()).into_boxed_str()
}

/// The number of a delivery, which grows with each outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// Which outcomes a standing webhook wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedEvents {
    /// `message.confirmed`
    pub confirmed: bool,
    /// `message.returned`
    pub returned: bool,
    /// `message.failed`
    pub failed: bool,
}

impl WantedEvents {
    /// All of them.
    pub const ALL: Self = Self {
        confirmed: true,
        returned: true,
        failed: true,
    };

    /// Whether an outcome is wanted.
    #[must_use]
    pub fn wants(self, status: Status) -> bool {
        match status {
            Status::Pending => false,
            Status::Confirmed => self.confirmed,
            Status::Returned => self.returned,
            Status::Failed => self.failed,
        }
    }
}

/// Why a standing webhook was disabled by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledFor {
    /// It answered `410 Gone`.
    Gone,
    /// It has failed for days.
    Failing,
}

/// A standing webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id; minted like those of messages.
    pub id: MessageId,
    /// Whose it is: it sees this caller's messages.
    pub caller: Caller,
    /// Where to.
    pub url: Box<str>,
    /// Which outcomes.
    pub events: WantedEvents,
    /// Only messages to this exchange.
    pub exchange: Option<Box<str>>,
    /// Only messages with this label.
    pub group: Option<Box<str>>,
    /// Whether outcomes are delivered; of what happens meanwhile nothing is delivered later, and what
    /// waits goes on waiting.
    pub enabled: bool,
    /// Why the gateway has disabled it, if it has.
    pub disabled_for: Option<DisabledFor>,
    /// Since when every try has failed.
    pub failing_since: Option<WallTime>,
    /// Signs deliveries.
    pub secret: Box<str>,
    /// Signs as well until this time: the secret before the last rotation.
    pub old_secret: Option<(Box<str>, WallTime)>,
    /// When it was made.
    pub created_at: WallTime,
}

/// Secrets are not shown.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("caller", &self.caller)
            .field("url", &self.url)
            .field("events", &self.events)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

impl Webhook {
    /// What its owner wants of it from now on.
    pub fn patch(&mut self, patch: &WebhookPatch) {
        let WebhookPatch {
            url,
            events,
            exchange,
            group,
            enabled,
        } = patch;
        if let Some(url) = url {
            self.url.clone_from(url);
        }
        if let Some(events) = events {
            self.events = *events;
        }
        if let Some(exchange) = exchange {
            self.exchange.clone_from(exchange);
        }
        if let Some(group) = group {
            self.group.clone_from(group);
        }
        if let Some(enabled) = *enabled {
            self.enabled = enabled;
            self.disabled_for = None;
            self.failing_since = None;
        }
    }

    /// It gets another secret.
    pub fn rotate(&mut self, secret: &str, old_until: WallTime) {
        let old = std::mem::replace(&mut self.secret, secret.into());
        self.old_secret = Some((old, old_until));
    }

    /// Whether the outcome of a message is to be delivered to it.
    #[must_use]
    pub fn wants(&self, record: &Record) -> bool {
        let status = record.outcome.as_ref().map(|outcome| outcome.status);
        self.enabled
            && self.caller == record.caller
            && status.is_some_and(|status| self.events.wants(status))
            && (self.exchange.as_ref()).is_none_or(|exchange| *exchange == record.exchange)
            && (self.group.as_ref()).is_none_or(|group| record.group.as_ref() == Some(group))
    }
}

/// Who gets a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The message's own `callback_url`.
    Callback(Box<str>),
    /// A standing webhook.
    Webhook(MessageId),
}

/// An outcome that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// Where it waits.
    pub endpoint: EndpointId,
    /// To whom.
    pub to: Recipient,
    /// The message as of the outcome, which is in it.
    pub record: Record,
    /// Tries before.
    pub attempts: u32,
    /// Not before this time.
    pub next_at: WallTime,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// When.
    pub at: WallTime,
    /// The status code that was answered, if one was.
    pub status_code: Option<u16>,
    /// A word for what went wrong (`timeout`, `dns`, …), if something did.
    pub error: Option<Box<str>>,
}

/// What a try leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It waits for its next try.
    Waiting {
        /// Not before this time.
        next_at: WallTime,
    },
    /// It was taken.
    Delivered,
    /// It is not tried any more.
    Failed,
}

/// What is told of a delivery of a standing webhook. Those of callbacks are not kept once they have
/// ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedDelivery {
    /// Its number.
    pub id: DeliveryId,
    /// Of which message.
    pub message: MessageId,
    /// Of which outcome: its [`super::Settlement::revision`].
    pub revision: u32,
    /// Which outcome.
    pub outcome: Status,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Tries.
    pub attempts: u32,
    /// The last try.
    pub last: Option<Tried>,
}

/// What an owner may change of a webhook; `None` leaves it as it is. To set [`Webhook::enabled`]
/// forgets why it was disabled and since when it has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookPatch {
    /// Where to.
    pub url: Option<Box<str>>,
    /// Which outcomes.
    pub events: Option<WantedEvents>,
    /// Only messages to this exchange, or to any.
    pub exchange: Option<Option<Box<str>>>,
    /// Only messages with this label, or with any and none.
    pub group: Option<Option<Box<str>>>,
    /// Whether outcomes are delivered.
    pub enabled: Option<bool>,
}

/// A change of the outbox that is not an outcome. One of a webhook that is not there changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum OutboxChange {
    /// A try has ended; of a delivery that is not kept any more, nothing is kept.
    Tried {
        /// Which delivery.
        id: DeliveryId,
        /// How the try ended.
        tried: Tried,
        /// What it leads to.
        status: DeliveryStatus,
    },
    /// A new webhook.
    Put(Box<Webhook>),
    /// What its owner changes of a webhook.
    Patch(MessageId, Box<WebhookPatch>),
    /// A webhook gets another secret; the one before is good until a time, the one before that no more.
    Rotate {
        /// Which webhook.
        id: MessageId,
        /// The new secret.
        secret: Box<str>,
        /// Until when the present one signs as well.
        old_until: WallTime,
    },
    /// Since when every try of a webhook has failed, or that one has not.
    Failing(MessageId, Option<WallTime>),
    /// The gateway disables a webhook.
    Disable(MessageId, DisabledFor),
    /// A webhook goes, with everything that waits for it.
    Delete(MessageId),
    /// A delivery of a standing webhook is to be tried again now, whatever became of it.
    Resend(DeliveryId, WallTime),
}

/// For the delivering of webhooks.
pub trait OutboxStore: Send + Sync + 'static {
    /// Endpoints with something waiting, and when the first of it is to be tried: at most `max`, those
    /// whose time comes first. What waits for a disabled webhook does not count.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn waiting_endpoints(&self, max: usize) -> Result<Vec<(EndpointId, WallTime)>, StoreError>;

    /// What of an endpoint is to be tried at `now`, in the order of that time: at most `max`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn due_deliveries(
        &self,
        endpoint: EndpointId,
        now: WallTime,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// How many deliveries wait for a try, those for disabled webhooks included; counted up to `max`, since
    /// each one costs.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn waiting_deliveries(&self, max: usize) -> Result<usize, StoreError>;

    /// The standing webhooks of `caller`, or of everybody, oldest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn webhooks(&self, caller: Option<&Caller>) -> Result<Vec<Webhook>, StoreError>;

    /// Deliveries of a webhook before `before` (or all), newest first, at most `max`. The newest
    /// thousand that have ended are kept, at least.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn deliveries(
        &self,
        webhook: MessageId,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Result<Vec<LoggedDelivery>, StoreError>;
}

/// What writing to the outbox will have come to.
pub type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;

/// Has changes of the outbox kept by the one writer.
pub trait OutboxWriter: Send + Sync + 'static {
    /// Keeps changes, together or not at all; done when they are committed.
    fn write(&self, changes: Vec<OutboxChange>) -> Writing<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_wait_for_each_other_by_host_and_port_and_caller() {
        for (url, endpoint) in [
            ("https://Example.org:8443/a/b?c", "https://example.org:8443"),
            ("http://example.org", "http://example.org"),
            ("http://example.org?x=/y", "http://example.org"),
            ("http://[::1]:80/", "http://[::1]:80"),
            ("ä", "ä"),
        ] {
            for caller in ["a", "b"] {
                let named = Caller::named(caller).expect("a name");
                let expected = format!("{endpoint} {caller}");
                assert_eq!(*callback_endpoint(&named, url), *expected);
            }
        }
    }
}
