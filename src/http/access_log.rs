//! One line for each request, without anything that a caller sent but the path.
//!
//! Good answers are logged at debug level, since a busy gateway gives tens of thousands a second;
//! refusals at info, and those that are the gateway's own at warn.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Code;
use crate::clock;

/// Logs the request that `next` answers.
pub(super) async fn log(request: Request, next: Next) -> Response {
    if !tracing::enabled!(target: TARGET, tracing::Level::WARN) {
        return next.run(request).await;
    }
    let method = request.method().clone();
    let uri = request.uri().clone();
    let start = clock::monotonic();
    let response = next.run(request).await;
    let duration_seconds = clock::monotonic().duration_since(start).as_secs_f64();
    let status = response.status().as_u16();
    let path = uri.path();
    let code = response
        .extensions()
        .get::<Code>()
        .map_or("none", |code| code.as_str());
    match status {
        ..400 => {
            tracing::debug!(target: TARGET, %method, path, status, duration_seconds, "answered");
        }
        400..500 => {
            tracing::info!(target: TARGET, %method, path, status, code, duration_seconds, "refused");
        }
        500.. => {
            tracing::warn!(target: TARGET, %method, path, status, code, duration_seconds, "unavailable");
        }
    }
    response
}

/// Logs a request that could not be read, and was answered with `code`.
pub(super) fn unparsed(code: Code) {
    let status = code.status().as_u16();
    tracing::info!(target: TARGET, status, code = code.as_str(), "refused unread");
}

const TARGET: &str = "amqpost::access";
