//! Traces of requests, for a collector that speaks OTLP (over HTTP, in protobuf).
//!
//! They are built in by the feature `otlp` only: without it everything here is empty and compiled away. With
//! it, and with a collector configured, each request of the API is a span that joins the trace of its
//! `traceparent`, each message of it is a span below that, and consumers are told of the former. Exporting is on nobody's way: spans
//! go into a bounded queue and are dropped when it is full, and a collector that is away costs a line of log.
//!
//! OpenTelemetry's own interface is used instead of tracing's spans, since those would be in the log too,
//! and would cost every line of it.

#[cfg(feature = "otlp")]
mod collector;
#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod published;
#[cfg(feature = "otlp")]
mod spans;

use crate::domain::{MessageId, ReasonCode, Status, WallTime};

#[cfg(not(feature = "otlp"))]
pub use off::{Endings, RequestSpan, Traced, begin_request, start, stop};
#[cfg(feature = "otlp")]
pub use published::{Endings, Traced};
#[cfg(feature = "otlp")]
pub use spans::{RequestSpan, begin_request, start, stop};

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be exported: {0}")]
pub struct CannotExport(String);

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Which message.
    pub id: MessageId,
    /// Its first final status.
    pub status: Status,
    /// Why, unless it is confirmed.
    pub reason: Option<ReasonCode>,
    /// Hand-overs that it took.
    pub attempts: u32,
    /// When it was accepted or due.
    pub began_at: WallTime,
    /// When its outcome was known.
    pub settled_at: WallTime,
}
