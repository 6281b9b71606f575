//! One line for each request, without anything that a caller sent but the path.
//!
//! Good answers are logged at debug level, since a busy gateway gives tens of thousands a second, and so
//! are requests without a valid key, since anybody can send as many; other refusals at info, and those that
//! are the gateway's own at warn.

use axum::extract::Request;
use axum::response::Response;

use super::problem::Code;
use super::state::Gateway;
use super::{request_id, trace};
use crate::clock;

/// Counts, traces and logs the request of this `route` that `answer` answers.
pub(super) async fn log(
    gateway: &Gateway,
    route: Option<&str>,
    mut request: Request,
    answer: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let _in_flight = gateway.requests().begin();
    let method = request.method().clone();
    let uri = request.uri().clone();
    let id = request_id::of(request.headers());
    let span = trace::begin(route, &mut request);
    let start = clock::monotonic();
    let mut response = answer(request).await;
    (response.headers_mut()).insert(request_id::X_REQUEST_ID, id.clone());
    let code = response.extensions().get::<Code>().copied();
    (gateway.requests()).answered(&method, route, response.status(), code);
    if let Some(span) = span {
        let id = id.to_str().unwrap_or_default();
        span.end(response.status().as_u16(), code.map(Code::as_str), id);
    }
    if !tracing::enabled!(target: TARGET, tracing::Level::WARN) {
        return response;
    }
    let duration_seconds = clock::monotonic().duration_since(start).as_secs_f64();
    let status = response.status().as_u16();
    let path = uri.path();
    let request_id = id.to_str().unwrap_or_default();
    let code = code.map_or("none", Code::as_str);
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
    response
}

/// Logs a request that could not be read, and was answered with `code`.
pub(super) fn unparsed(code: Code) {
    let status = code.status().as_u16();
    tracing::info!(target: TARGET, status, code = code.as_str(), "refused unread");
}

const TARGET: &str = "amqpost::access";
