//! What the endpoints work with.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::body::BodyBudget;
use super::failures::Failures;
use super::parse::Intake;
use super::quotas::Quotas;
use super::request_counts::RequestCounts;
use super::serve::Http2Limits;
use super::webhooks::Webhooks;
use crate::clock;
use crate::domain::access::{Access, Callers};
use crate::domain::{Draft, Message, MessageId, Rules, WallTime, topology};
use crate::metrics::Metrics;
use crate::notify::{Events, Rates, Waiters};
use crate::relay::{AcceptError, Acceptance, Cancellation, Health, Keyed, Progress, Relay, Replay};
use crate::store::{BulkReplay, Filter, ReadStore, Record};

/// What accepting a message will have come to.
pub type Accepting<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<Message>, AcceptError>> + Send + 'a>>;

/// What accepting several will have come to, in their order.
pub type AcceptingAll<'a> =
    Pin<Box<dyn Future<Output = Vec<Result<Arc<Message>, AcceptError>>> + Send + 'a>>;

/// What accepting several of which some have keys will have come to, in their order.
pub type AcceptingKeyed<'a> =
    Pin<Box<dyn Future<Output = Vec<Result<Acceptance, AcceptError>>> + Send + 'a>>;

/// What a caller's wish about messages will have come to.
pub type Acting<'a, T> = Pin<Box<dyn Future<Output = Result<T, AcceptError>> + Send + 'a>>;

/// What takes the messages over: the [`Relay`], or a model of it in tests.
pub trait Backend: Send + Sync + 'static {
    /// Accepts a message that has passed the rules; done when it is safe in the store.
    fn accept(&self, draft: Draft) -> Accepting<'_>;

    /// As [`Self::accept`]. `queued` is told the message's id before it can be settled: who starts to
    /// wait there need not ask the store afterwards.
    fn accept_watched<'a>(
        &'a self,
        draft: Draft,
        queued: &'a mut (dyn FnMut(MessageId) + Send),
    ) -> Accepting<'a>;

    /// Accepts messages that have passed the rules, in their order and each on its own; done when all
    /// that are accepted are safe in the store. The answers are in the order of `drafts`.
    fn accept_all(&self, drafts: Vec<Draft>) -> AcceptingAll<'_>;

    /// As [`Self::accept_all`]; one whose idempotency key was used within `kept`, as `store` knows it or
    /// because its message is being committed, is a repeat.
    fn accept_keyed<'a>(
        &'a self,
        messages: Vec<Keyed>,
        store: &'a Arc<dyn ReadStore>,
        kept: Duration,
    ) -> AcceptingKeyed<'a>;

    /// Stops trying to publish a message whose record says pending; done when that is safe in the store.
    fn cancel(&self, record: Record) -> Acting<'_, Cancellation>;

    /// Sends a message again that was returned or has failed; done when that is safe in the store.
    fn replay(&self, id: MessageId) -> Acting<'_, Replay>;

    /// Sends again whatever matches `filter`, which has a final status, at this moment; done
    /// when the wish is safe in the store, while the messages themselves follow in their time.
    fn replay_matching(&self, filter: Filter) -> Acting<'_, BulkReplay>;

    /// How a message whose record says pending is getting on.
    fn progress(&self, record: &Record) -> Progress;

    /// The state of the relay.
    fn health(&self) -> Health;
}

impl Backend for Relay {
    fn accept(&self, draft: Draft) -> Accepting<'_> {
        Box::pin(Relay::accept(self, draft))
    }

    fn accept_watched<'a>(
        &'a self,
        draft: Draft,
        queued: &'a mut (dyn FnMut(MessageId) + Send),
    ) -> Accepting<'a> {
        Box::pin(Relay::accept_watched(self, draft, queued))
    }

    fn accept_all(&self, drafts: Vec<Draft>) -> AcceptingAll<'_> {
        Box::pin(Relay::accept_all(self, drafts))
    }

    fn accept_keyed<'a>(
        &'a self,
        messages: Vec<Keyed>,
        store: &'a Arc<dyn ReadStore>,
        kept: Duration,
    ) -> AcceptingKeyed<'a> {
        Box::pin(Relay::accept_keyed(self, messages, store, kept))
    }

    fn cancel(&self, record: Record) -> Acting<'_, Cancellation> {
        Box::pin(Relay::cancel(self, record))
    }

    fn replay(&self, id: MessageId) -> Acting<'_, Replay> {
        Box::pin(Relay::replay(self, id))
    }

    fn replay_matching(&self, filter: Filter) -> Acting<'_, BulkReplay> {
        Box::pin(Relay::replay_matching(self, filter))
    }

    fn progress(&self, record: &Record) -> Progress {
        Relay::progress(self, record)
    }

    fn health(&self) -> Health {
        Relay::health(self)
    }
}

/// How this room behaves, beside the limits of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections that are open at the same time; for one more, one that idles is closed, or it waits.
    pub connections_max: usize,
    /// Bytes of all bodies that are being received at the same time, beyond the first 64 KiB of each.
    pub bodies_bytes_max: usize,
    /// Seconds that the head of a request may take to arrive.
    pub header_read_seconds_max: u32,
    /// Seconds that a TLS handshake may take, from the accepted connection on.
    pub tls_handshake_seconds_max: u32,
    /// Seconds that a connection may idle between two requests. A time much shorter than clients
    /// keep theirs would close connections that they are about to use.
    pub idle_seconds_max: u32,
    /// Seconds that a body may take to arrive.
    pub body_read_seconds_max: u32,
    /// Seconds for which a connection may take nothing of what is written to it.
    pub write_stall_seconds_max: u32,
    /// What one connection of HTTP/2 may ask for.
    pub http2: Http2Limits,
    /// Streams of events that are open at the same time; more are refused.
    pub event_streams_max: usize,
    /// Seconds for which an idempotency key stands for its first message.
    pub idempotency_seconds: u32,
    /// Standing webhooks of one caller.
    pub webhooks_per_caller_max: usize,
    /// Seconds for which a webhook's secret goes on signing after it was rotated.
    pub webhook_secret_overlap_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            bodies_bytes_max: 256 << 20,
            header_read_seconds_max: 10,
            tls_handshake_seconds_max: 10,
            idle_seconds_max: 75,
            body_read_seconds_max: 30,
            write_stall_seconds_max: 30,
            http2: Http2Limits::default(),
            event_streams_max: 2000,
            idempotency_seconds: 86_400,
            webhooks_per_caller_max: 100,
            webhook_secret_overlap_seconds: 86_400,
        }
    }
}

/// What has become of the last tries to read the callers anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallersLoaded {
    /// When those that are in force were read.
    pub loaded_at: WallTime,
    /// When some were last refused for a mistake, if that was later.
    pub refused_at: Option<WallTime>,
}

/// The parts behind the endpoints.
pub struct Parts {
    /// Takes messages over.
    pub backend: Arc<dyn Backend>,
    /// Answers questions.
    pub store: Arc<dyn ReadStore>,
    /// The standing webhooks of callers.
    pub webhooks: Webhooks,
    /// Those who wait for a final status.
    pub waiters: Arc<Waiters>,
    /// Those who follow final statuses.
    pub events: Arc<Events>,
    /// How many messages go through.
    pub rates: Arc<Rates>,
    /// What operators ask about, the requests apart.
    pub metrics: Metrics,
    /// Who may come, and what each may do, as it is now.
    pub callers: watch::Receiver<Arc<Callers>>,
    /// What has become of the last tries to read the callers anew.
    pub reloads: watch::Receiver<CallersLoaded>,
    /// What a message must fulfil; its limits are also those of the requests.
    pub rules: Rules,
    /// How this room behaves.
    pub settings: Settings,
    /// What has become of the topology at the broker.
    pub topology: watch::Receiver<topology::Status>,
    /// Becomes true when the process is about to stop, perhaps a while before it does: from then on it
    /// is not ready, and still serves.
    pub leaving: watch::Receiver<bool>,
    /// Becomes true when the process stops: who waits is answered at once. A sender that is gone
    /// means the same.
    pub stop: watch::Receiver<bool>,
}

/// A handle on the parts.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    parts: Parts,
    bodies: BodyBudget,
    requests: RequestCounts,
    quotas: Quotas,
    failures: Failures,
}

impl Gateway {
    /// Puts the parts behind one handle.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let bodies = BodyBudget::new(parts.settings.bodies_bytes_max);
        Self(Arc::new(Inner {
            parts,
            bodies,
            requests: RequestCounts::default(),
            quotas: Quotas::default(),
            failures: Failures::default(),
        }))
    }

    /// Where bodies take their room from.
    pub(super) fn bodies(&self) -> &BodyBudget {
        &self.0.bodies
    }

    /// Where requests are counted.
    pub(super) fn requests(&self) -> &RequestCounts {
        &self.0.requests
    }

    /// What callers have used of their rates.
    pub(super) fn quotas(&self) -> &Quotas {
        &self.0.quotas
    }

    /// Where failed tries to prove a key are counted.
    pub(super) fn failures(&self) -> &Failures {
        &self.0.failures
    }

    /// What messages that come now through `access` are read with.
    pub(super) fn intake<'a>(&'a self, access: &'a Access) -> Intake<'a> {
        let has_secret = !self.callers.borrow().secrets(&access.caller).is_empty();
        Intake {
            access,
            has_secret,
            rules: &self.rules,
            now: clock::wall(),
        }
    }
}

impl Deref for Gateway {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

/// Returns when `stop` says so.
pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that nobody is left who could say it.
    let _ = stop.wait_for(|stopping| *stopping).await;
}
