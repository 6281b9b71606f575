//! What every request passes on its way to its endpoint and back.
//!
//! It is one layer and not one for each concern: every layer costs every request a copy of all that is
//! within it, and three of them were a fifth of what a single post costs.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::state::Gateway;
use super::{access_log, framing, loopback, panics};

/// Counts and logs the request, refuses strangers and what can be read in two ways, and turns a panic into
/// an answer.
pub(super) async fn pass(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let matched = matched(&request);
    let route = matched.as_ref().map(MatchedPath::as_str);
    passed(&gateway, route, request, |request| next.run(request)).await
}

/// The same for a request whose `route` is known, and which `endpoint` answers.
pub(super) async fn passed<F: Future<Output = Response>>(
    gateway: &Gateway,
    route: Option<&str>,
    request: Request,
    endpoint: impl FnOnce(Request) -> F,
) -> Response {
    access_log::log(gateway, route, request, async |request| {
        if let Err(problem) = loopback::check(gateway, &request) {
            return problem.into_response();
        }
        if let Some(refusal) = framing::refusal(&request) {
            return refusal;
        }
        panics::caught(endpoint(request)).await
    })
    .await
}

/// The same for the listener of the management, which guards nothing.
pub(super) async fn pass_management(
    State(gateway): State<Gateway>,
    request: Request,
    next: Next,
) -> Response {
    let answer = async |request| panics::caught(next.run(request)).await;
    let matched = matched(&request);
    let route = matched.as_ref().map(MatchedPath::as_str);
    access_log::log(&gateway, route, request, answer).await
}

/// What the router has found.
fn matched(request: &Request) -> Option<MatchedPath> {
    request.extensions().get().cloned()
}
