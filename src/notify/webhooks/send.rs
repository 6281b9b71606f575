//! One try: a signed request to one receiver, and how it ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Connector, Failure};
use super::idle::{Idle, IdleLimits, Opened, Origin};
use super::link::Link;
use super::resolve::Resolve;
use crate::clock;
use crate::domain::TraceContext;
use crate::domain::trace::{TRACEPARENT, TRACESTATE};
use crate::domain::webhook::retry_after::retry_after;
use crate::domain::webhook::{AllowList, ErrorClass, Target, TryEnd};

/// Limits of one try.
#[derive(Clone, Debug)]
pub struct SendLimits {
    /// For resolving the name, and then for connecting to one of its addresses.
    pub connect: Duration,
    /// For everything up to the head of the answer.
    pub total: Duration,
    /// For the answer's body, which nobody reads, before the connection is given up.
    pub drain: Duration,
    /// Bytes of that body, likewise.
    pub drain_bytes_max: usize,
    /// For connections that are kept.
    pub idle: IdleLimits,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(15),
            drain: Duration::from_secs(1),
            drain_bytes_max: 64 << 10,
            idle: IdleLimits::default(),
        }
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Post {
    /// `webhook-id`
    pub id: String,
    /// `webhook-timestamp`, Unix seconds.
    pub timestamp_seconds: u64,
    /// `webhook-signature`
    pub signatures: String,
    /// JSON.
    pub body: Bytes,
    /// `traceparent` and `tracestate`
    pub trace: Option<Box<TraceContext>>,
}

/// Sends webhooks. It follows no redirect, speaks through no proxy, and connects to checked addresses
/// only.
pub struct Sender {
    connector: Connector,
    idle: Idle,
    limits: SendLimits,
}

impl Sender {
    /// A sender that trusts what `tls` trusts; without it every `https` fails. `allow` opens addresses
    /// that are not public.
    #[must_use]
    pub fn new(
        resolver: Arc<dyn Resolve>,
        tls: Option<Arc<ClientConfig>>,
        allow: AllowList,
        limits: SendLimits,
    ) -> Self {
        let tls = tls.map(|tls| {
            let mut tls = ClientConfig::clone(&tls);
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(tls)
        });
        Self {
            connector: Connector {
                resolver,
                tls,
                allow,
                time: limits.connect,
            },
            idle: Idle::new(limits.idle.clone()),
            limits,
        }
    }

    /// Reads a URL by the rules of this sender.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn target(&self, url: &str) -> Result<Target, crate::domain::webhook::InvalidTarget> {
        Target::parse(url, &self.connector.allow)
    }

    /// Makes one try.
    pub async fn send(&self, target: &Target, post: &Post) -> TryEnd {
        let deadline = Instant::from_std(clock::monotonic()) + self.limits.total;
        let ended = match timeout_at(deadline, self.exchange(target, post)).await {
            Ok(ended) => ended,
            Err(late) => Err(Failure::new(ErrorClass::Timeout, &late)),
        };
        match ended {
            Ok((opened, answer)) => {
                let end = TryEnd::Answered {
                    status: answer.status().as_u16(),
                    retry_after: asked(&answer),
                };
                self.keep(target, opened, answer.into_body()).await;
                end
            }
            Err(Failure { class, detail }) => {
                let (host, error) = (&target.host, class.as_str());
                tracing::debug!(%host, error, detail, "a webhook got no answer");
                TryEnd::NoAnswer(class)
            }
        }
    }

    /// Closes connections that have idled for too long; to be called now and then.
    pub fn prune(&self) {
        self.idle.prune(clock::monotonic());
    }

    /// Sends over a connection that is open, or else over a new one. A connection that breaks when it
    /// is used again without a word says nothing about the receiver, so a new one is tried at once;
    /// whoever got the request twice knows it by its id.
    async fn exchange(
        &self,
        target: &Target,
        post: &Post,
    ) -> Result<(Opened, Response<Incoming>), Failure> {
        let origin = Origin::of(target);
        while let Some(mut opened) = self.idle.take(&origin, clock::monotonic()) {
            if !opened.link.is_usable().await {
                continue;
            }
            match opened.link.ask(request(target, post)?).await {
                Ok(answer) => return Ok((opened, answer)),
                Err(no_answer) if no_answer.unheard => break,
                Err(no_answer) => return Err(no_answer.failure),
            }
        }
        let stream = self.connector.open(target).await?;
        let mut opened = Opened {
            link: Link::open(stream).await?,
            at: clock::monotonic(),
        };
        let answer = opened.link.ask(request(target, post)?).await;
        let answer = answer.map_err(|no_answer| no_answer.failure)?;
        Ok((opened, answer))
    }

    /// Makes a connection ready for its next request, if that is soon done.
    async fn keep(&self, target: &Target, mut opened: Opened, body: Incoming) {
        let draining = opened.link.drain(body, self.limits.drain_bytes_max);
        if timeout(self.limits.drain, draining).await == Ok(true) {
            let origin = Origin::of(target);
            self.idle.put(origin, opened, clock::monotonic());
        }
    }

    #[cfg(test)]
    pub(super) fn idle_connections(&self) -> usize {
        self.idle.count()
    }
}

fn request(target: &Target, post: &Post) -> Result<Request<Full<Bytes>>, Failure> {
    let refused = |error: hyper::http::Error| Failure::new(ErrorClass::AddressRefused, &error);
    let uri = Uri::builder()
        .path_and_query(&*target.path_and_query)
        .build()
        .map_err(refused)?;
    let agent = HeaderValue::from_static(concat!("amqpost/", env!("CARGO_PKG_VERSION")));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::HOST, target.authority())
        .header(header::USER_AGENT, agent)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", &post.id)
        .header("webhook-timestamp", post.timestamp_seconds)
        .header("webhook-signature", &post.signatures);
    if let Some(trace) = &post.trace {
        request = request.header(TRACEPARENT, trace.parent());
        if let Some(state) = trace.state() {
            request = request.header(TRACESTATE, state);
        }
    }
    request.body(Full::new(post.body.clone())).map_err(refused)
}

fn asked(answer: &Response<Incoming>) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    retry_after(value, clock::wall())
}
