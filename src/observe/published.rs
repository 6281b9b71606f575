//! Spans of messages: from acceptance, or the time it was due, to the first outcome.
//!
//! Nothing of them is kept while a message waits, since the trace that it belongs to is a part of it. So there
//! is a span also when the gateway has been started anew meanwhile.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Status as SpanStatus, Tracer as _};

use super::Ending;
use super::spans::{context_below, tracer};
use crate::domain::{Draft, TraceContext, WallTime};

/// What is needed of a message for its span, once it has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traced(Option<Box<Place>>);

#[derive(Clone, Debug, PartialEq)]
struct Place {
    trace: TraceContext,
    exchange: Box<str>,
    routing_key: Box<str>,
}

/// The endings of one commit, which are told after it.
#[derive(Default)]
pub struct Endings(Vec<(Box<Place>, Ending)>);

impl Traced {
    /// Of a message that belongs to a trace, while traces are exported.
    #[must_use]
    pub fn of(draft: &Draft) -> Self {
        let trace = || draft.terms.as_ref()?.trace.clone();
        let traced = tracer().and_then(|_| trace());
        Self(traced.map(|trace| {
            Box::new(Place {
                trace,
                exchange: draft.exchange.clone(),
                routing_key: draft.routing_key.clone(),
            })
        }))
    }
}

impl Endings {
    /// One more.
    pub fn add(&mut self, traced: Traced, ending: impl FnOnce() -> Ending) {
        if let Some(place) = traced.0 {
            self.0.push((place, ending()));
        }
    }

    /// They are kept, and may be told.
    pub fn tell(&mut self) {
        for (place, ending) in self.0.drain(..) {
            tell(&place, &ending);
        }
    }
}

fn tell(place: &Place, ending: &Ending) {
    let (Some(tracer), Some(parent)) = (tracer(), context_below(&place.trace)) else {
        return;
    };
    let attributes = [
        KeyValue::new("messaging.system", "rabbitmq"),
        KeyValue::new("messaging.operation.name", "publish"),
        KeyValue::new("messaging.operation.type", "send"),
        KeyValue::new("messaging.destination.name", place.exchange.to_string()),
        KeyValue::new(
            "messaging.rabbitmq.destination.routing_key",
            place.routing_key.to_string(),
        ),
        KeyValue::new("messaging.message.id", ending.id.to_string()),
        KeyValue::new("amqpost.status", ending.status.as_str()),
        KeyValue::new("amqpost.attempts", i64::from(ending.attempts)),
    ];
    let mut span = tracer
        .span_builder(format!("publish {}", place.exchange))
        .with_kind(SpanKind::Producer)
        .with_start_time(system_time(ending.began_at))
        .with_attributes(attributes)
        .start_with_context(tracer, &parent);
    if let Some(reason) = ending.reason {
        span.set_attribute(KeyValue::new("error.type", reason.as_str()));
        span.set_status(SpanStatus::Error {
            description: Cow::Borrowed(reason.as_str()),
        });
    }
    span.end_with_timestamp(system_time(ending.settled_at));
}

fn system_time(time: WallTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(time.unix_ms())
}
