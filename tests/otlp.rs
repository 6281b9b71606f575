//! Traces of requests, as a collector gets them: a gateway process, and a receiver of the test's own that reads
//! OTLP with the types of its protobuf.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Code};
use parking_lot::Mutex;
use prost::Message as _;
use serde_json::json;
use support::broker_node::shared_broker_url;
use support::callers::message;
use support::gateway::Gateway;
use support::queues::{Kind, Place};
use support::wait::{self, SOON};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// The same trace, of which nobody wants to hear.
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A span, and what its resource says.
#[derive(Clone, Debug)]
struct Told {
    resource: Vec<KeyValue>,
    span: Span,
}

impl Told {
    fn attribute(&self, name: &str) -> Option<String> {
        text(&self.span.attributes, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes it");
        text
    })
}

#[derive(Clone, Default)]
struct Collector {
    told: Arc<Mutex<Vec<Told>>>,
    port: u16,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let collector = Self {
            port: listener.local_addr().expect("it is bound").port(),
            ..Self::default()
        };
        let router = Router::new()
            .route("/base/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/base/", self.port)
    }

    fn told(&self) -> Vec<Told> {
        self.told.lock().clone()
    }

    /// The one span of this name, when it has come.
    async fn wait_for(&self, name: &str) -> Told {
        let mut told = wait::until(name, SOON, || async {
            let told = self.told();
            let named = told.into_iter().filter(|told| told.span.name == name);
            Some(named.collect::<Vec<_>>()).filter(|named| !named.is_empty())
        })
        .await;
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    for resource_spans in request.resource_spans {
        let resource = resource_spans.resource.unwrap_or_default().attributes;
        for span in (resource_spans.scope_spans.into_iter()).flat_map(|scope| scope.spans) {
            let resource = resource.clone();
            collector.told.lock().push(Told { resource, span });
        }
    }
    StatusCode::OK
}

/// A gateway at the shared broker that exports to `endpoint` every `pause_ms`.
async fn gateway(endpoint: &str, pause_ms: u32) -> Gateway {
    let pause = pause_ms.to_string();
    let url = shared_broker_url();
    Gateway::start([
        ("AMQPOST_BROKER_URL", url.as_str()),
        ("AMQPOST_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", &pause),
    ])
    .await
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_and_what_it_leads_to_is_below_it() {
    let collector = Collector::start().await;
    let gateway = gateway(&collector.endpoint(), 50).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let headers = [
        ("traceparent", PARENT),
        ("tracestate", "a=1,b=2"),
        ("x-request-id", "order-4711"),
    ];
    let answer = gateway.post_with(&message(&place, "x"), &headers).await;
    assert_eq!(answer.status, 202, "{}", answer.text);

    let told = collector.wait_for("POST /v1/messages").await;
    let span = &told.span;
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.trace_state, "a=1,b=2");
    assert_eq!(span.kind, SpanKind::Server as i32);
    assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/v1/messages"),
        ("http.response.status_code", "202"),
        ("amqpost.request_id", "order-4711"),
    ] {
        assert_eq!(told.attribute(name).as_deref(), Some(value), "{span:?}");
    }
    let name = text(&told.resource, "service.name");
    assert_eq!(name.as_deref(), Some("amqpost"));

    let arrived = place.take(1).await.remove(0);
    let below = format!("00-{TRACE}-{}-01", hex(&span.span_id));
    assert_eq!(arrived.header_text("traceparent"), Some(below));
    assert_eq!(
        arrived.header_text("tracestate").as_deref(),
        Some("a=1,b=2")
    );
    let published = format!("publish {}", place.exchange);
    let published = collector.wait_for(&published).await;
    let message = &published.span;
    assert_eq!(hex(&message.trace_id), TRACE);
    assert_eq!(message.parent_span_id, span.span_id);
    assert_eq!(message.kind, SpanKind::Producer as i32);
    assert!(message.end_time_unix_nano >= message.start_time_unix_nano);
    for (name, value) in [
        ("messaging.destination.name", &*place.exchange),
        (
            "messaging.rabbitmq.destination.routing_key",
            &place.routing_key,
        ),
        ("messaging.message.id", &answer.id()),
        ("amqpost.status", "confirmed"),
        ("amqpost.attempts", "1"),
    ] {
        let told = published.attribute(name);
        assert_eq!(told.as_deref(), Some(value), "{message:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_not_confirmed_says_why_also_after_a_restart() {
    let collector = Collector::start().await;
    let mut gateway = gateway(&collector.endpoint(), 50).await;
    gateway.set("AMQPOST_BROKER_URL", "amqp://127.0.0.1:1");
    gateway.restart().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut lost = message(&place, "x");
    lost["routing_key"] = json!("nobody");
    let headers = [("traceparent", PARENT)];
    let id = gateway.post_with(&lost, &headers).await.id();
    let request = collector.wait_for("POST /v1/messages").await;
    gateway.set("AMQPOST_BROKER_URL", &shared_broker_url());
    gateway.restart().await;
    gateway.wait_final(&id).await;
    let published = format!("publish {}", place.exchange);
    let told = collector.wait_for(&published).await;
    assert_eq!(told.span.parent_span_id, request.span.span_id);
    assert_eq!(
        told.attribute("amqpost.status").as_deref(),
        Some("returned")
    );
    assert_eq!(told.attribute("error.type").as_deref(), Some("no_route"));
    let status = told.span.status.clone().unwrap_or_default();
    assert_eq!(status.code, Code::Error as i32);
}

#[tokio::test]
async fn who_brings_no_trace_begins_one_and_who_wants_none_gets_none() {
    let collector = Collector::start().await;
    let gateway = gateway(&collector.endpoint(), 50).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let unsampled = [("traceparent", NOT_SAMPLED)];
    gateway
        .post_with(&message(&place, "quiet"), &unsampled)
        .await;
    let arrived = place.take(1).await.remove(0);
    assert_eq!(
        arrived.header_text("traceparent").as_deref(),
        Some(NOT_SAMPLED)
    );
    // What is asked again and again is no trace either; what is refused is.
    gateway.get_path("/healthz").await;
    gateway.get_path("/metrics").await;
    let refused = gateway.get("0193a5c4-0000-7000-8000-000000000000").await;
    assert_eq!(refused.status, 404);
    gateway.post(&message(&place, "told")).await;
    let arrived = place.take(1).await.remove(0);
    let refused = collector.wait_for("GET /v1/messages/{id}").await;
    assert_eq!(
        refused.attribute("error.type").as_deref(),
        Some("not_found")
    );
    let status = refused.span.status.clone().unwrap_or_default();
    assert_eq!(status.code, Code::Unset as i32, "it is the caller's fault");
    let Span {
        trace_id,
        span_id,
        parent_span_id,
        ..
    } = &collector.wait_for("POST /v1/messages").await.span;
    assert!(parent_span_id.is_empty());
    let begun = format!("00-{}-{}-01", hex(trace_id), hex(span_id));
    assert_eq!(arrived.header_text("traceparent"), Some(begun));
    let published = format!("publish {}", place.exchange);
    collector.wait_for(&published).await;
    assert_eq!(collector.told().len(), 3, "{:?}", collector.told());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_sent_before_the_process_ends() {
    let collector = Collector::start().await;
    let mut gateway = gateway(&collector.endpoint(), 3_600_000).await;
    for _ in 0..3 {
        gateway.get_path("/v1/stats").await;
    }
    assert!(collector.told().is_empty());
    assert!(gateway.terminate().success());
    assert_eq!(collector.told().len(), 3);
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_hurts_nobody() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().map(|address| (silent, address));
    let (_silent, address) = silent.expect("it is bound");
    for (endpoint, words) in [
        ("http://127.0.0.1:1", "refused"),
        (&format!("http://{address}"), "no answer in time"),
    ] {
        let mut gateway = gateway(endpoint, 50).await;
        // More than the queue holds.
        for _ in 0..2_500 {
            assert_eq!(gateway.get_path("/v1/stats").await.status, 200);
        }
        wait::until("it is told", SOON, || async {
            gateway.log().contains(words).then_some(())
        })
        .await;
        let told = gateway.log().matches("takes no traces").count();
        assert_eq!(told, 1, "{}", gateway.log());
        let accepted = gateway
            .post(&json!({"routing_key": "nobody", "payload": 1}))
            .await;
        assert_eq!(accepted.status, 202, "{}", accepted.text);
        gateway.wait_final(&accepted.id()).await;
        let ended = gateway.terminate_within(Duration::from_secs(30));
        assert!(ended.success());
    }
}
