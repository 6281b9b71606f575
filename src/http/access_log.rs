//! One line for each request, without anything that a caller sent but the path.
//!
//! Good answers are logged at debug level, since a busy gateway gives tens of thousands a second, and so
//! are requests without a valid key, since anybody can send as many; other refusals at info, and those that
//! are the gateway's own at warn.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, Uri};
use axum::response::Response;

use super::problem::Code;
use super::request_counts::InFlight;
use super::state::Gateway;
use super::{request_id, trace};
use crate::clock;
use crate::observe::RequestSpan;

/// A request that is being answered.
pub(super) struct Answering<'a> {
    gateway: &'a Gateway,
    route: Option<&'a str>,
    method: Method,
    uri: Uri,
    id: HeaderValue,
    span: Option<RequestSpan>,
    start: Instant,
    _in_flight: InFlight<'a>,
}

impl<'a> Answering<'a> {
    /// Counts and traces the request of this `route`.
    pub(super) fn begin(
        gateway: &'a Gateway,
        route: Option<&'a str>,
        request: &mut Request,
    ) -> Self {
        Self {
            gateway,
            route,
            method: request.method().clone(),
            uri: request.uri().clone(),
            id: request_id::of(request.headers()),
            span: trace::begin(route, request),
            start: clock::monotonic(),
            _in_flight: gateway.requests().begin(),
        }
    }

    /// Counts, traces and logs the answer, and gives it the id of its request.
    pub(super) fn end(mut self, response: &mut Response) {
        let status = response.status();
        let code = response.extensions().get::<Code>().copied();
        (self.gateway.requests()).answered(&self.method, self.route, status, code);
        if let Some(span) = self.span.take() {
            let id = self.id.to_str().unwrap_or_default();
            span.end(status.as_u16(), code.map(Code::as_str), id);
        }
        if tracing::enabled!(target: TARGET, tracing::Level::WARN) {
            self.log(status.as_u16(), code.map_or("none", Code::as_str));
        }
        (response.headers_mut()).insert(request_id::X_REQUEST_ID, self.id);
    }

    fn log(&self, status: u16, code: &str) {
        let duration_seconds = clock::monotonic().duration_since(self.start).as_secs_f64();
        let (method, path) = (&self.method, self.uri.path());
        let request_id = self.id.to_str().unwrap_or_default();
        match status {
            ..400 => {
                tracing::debug!(target: TARGET, %method, path, status, duration_seconds, request_id, "answered");
            }
            401 => {
                tracing::debug!(target: TARGET, %method, path, status, code, duration_seconds, request_id, "refused");
            }
            400..500 => {
                tracing::info!(target: TARGET, %method, path, status, code, duration_seconds, request_id, "refused");
            }
            500.. => {
                tracing::warn!(target: TARGET, %method, path, status, code, duration_seconds, request_id, "unavailable");
            }
        }
    }
}

/// Logs a request that could not be read, and was answered with `code`.
pub(super) fn unparsed(code: Code) {
    let status = code.status().as_u16();
    tracing::info!(target: TARGET, status, code = code.as_str(), "refused unread");
}

const TARGET: &str = "amqpost::access";
