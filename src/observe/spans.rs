//! Spans, and where they go.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::CannotExport;
use super::collector::Collector;
use crate::domain::TraceContext;

/// What OpenTelemetry calls a program that has not said its name.
const NAMELESS: &str = "unknown_service";

/// The process has one place to export to, as it has one log.
static EXPORTED: OnceLock<Exported> = OnceLock::new();

struct Exported {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Exports spans from now on to the collector at `endpoint`, a URL without `/v1/traces`. What else there is to
/// say is said by the variables of OpenTelemetry, such as `OTEL_SERVICE_NAME` and `OTEL_TRACES_SAMPLER`.
///
/// # Errors
/// [`CannotExport`], when the variables of OpenTelemetry say what cannot be.
pub fn start(endpoint: &str) -> Result<(), CannotExport> {
    let failed = |error: &dyn std::fmt::Display| CannotExport(error.to_string());
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(endpoint)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()
        .map_err(|error| failed(&error))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource())
        .build();
    let tracer = provider.tracer("amqpost");
    EXPORTED
        .set(Exported { provider, tracer })
        .map_err(|_| failed(&"they are exported already"))
}

/// Sends what is left, for `limit` at most, and exports nothing more. It blocks.
pub fn stop(limit: Duration) {
    let Some(exported) = EXPORTED.get() else {
        return;
    };
    if let Err(error) = exported.provider.shutdown_with_timeout(limit) {
        tracing::warn!(%error, "some traces were not exported");
    }
}

/// The span of a request, which ends with it, also when nobody waits for its answer any more.
pub struct RequestSpan(Span);

/// Begins the span of a request, if there is somebody to tell of it; `parent` is the trace that it belongs to.
#[must_use]
pub fn begin_request(
    method: &str,
    route: &str,
    parent: impl FnOnce() -> Option<TraceContext>,
) -> Option<RequestSpan> {
    let tracer = tracer()?;
    let parent = parent().and_then(|parent| context_below(&parent));
    let parent = parent.unwrap_or_default();
    let span = tracer
        .span_builder(format!("{method} {route}"))
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
        ])
        .start_with_context(tracer, &parent);
    Some(RequestSpan(span))
}

impl RequestSpan {
    /// Where what the request leads to belongs, unless the span is one that is not exported.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        let own = self.0.span_context();
        if !own.is_sampled() {
            return None;
        }
        let flags = own.trace_flags().to_u8();
        let parent = format!("00-{}-{}-{flags:02x}", own.trace_id(), own.span_id());
        TraceContext::of(&parent, [own.trace_state().header().as_str()])
    }

    /// The request was answered with this status, and `code` if that is a problem.
    pub fn end(mut self, status: u16, code: Option<&'static str>, request_id: &str) {
        let span = &mut self.0;
        span.set_attribute(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        span.set_attribute(KeyValue::new("amqpost.request_id", request_id.to_owned()));
        if let Some(code) = code {
            span.set_attribute(KeyValue::new("error.type", code));
        }
        if status >= 500 {
            span.set_status(Status::Error {
                description: Cow::Borrowed(code.unwrap_or_default()),
            });
        }
        span.end();
    }
}

/// What spans are begun with, while they are exported.
pub(super) fn tracer() -> Option<&'static SdkTracer> {
    EXPORTED.get().map(|exported| &exported.tracer)
}

/// Where spans begin whose parent is the one that a `traceparent` names.
pub(super) fn context_below(parent: &TraceContext) -> Option<Context> {
    Some(Context::new().with_remote_span_context(remote(parent)?))
}

/// The span that a `traceparent` names. One that is proper for W3C is for OpenTelemetry too.
fn remote(context: &TraceContext) -> Option<SpanContext> {
    let mut parts = context.parent().split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let state = TraceState::from_str(context.state().unwrap_or_default()).unwrap_or_default();
    Some(SpanContext::new(
        trace,
        span,
        TraceFlags::new(flags),
        true,
        state,
    ))
}

/// Who exports: as the variables of OpenTelemetry say it, else under the program's name.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let told = Resource::builder().build();
    let name = told.get(&"service.name".into());
    let is_named = name.is_some_and(|name| !name.as_str().starts_with(NAMELESS));
    let named = Resource::builder().with_attribute(version);
    if is_named {
        named.build()
    } else {
        named.with_service_name("amqpost").build()
    }
}
