//! What every request passes on its way to its endpoint and back.
//!
//! It is one layer and not one for each concern: every layer costs every request a copy of all that is
//! within it, and three of them were a fifth of what a single post costs.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::access_log::Answering;
use super::state::Gateway;
use super::{framing, loopback, panics};

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
    mut request: Request,
    endpoint: impl FnOnce(Request) -> F,
) -> Response {
    let answering = Answering::begin(gateway, route, &mut request);
    let mut response = match refusal(gateway, &request) {
        Some(refusal) => refusal,
        None => panics::caught(endpoint(request)).await,
    };
    answering.end(&mut response);
    response
}

/// The answer to what can be read in two ways, or comes from a stranger.
fn refusal(gateway: &Gateway, request: &Request) -> Option<Response> {
    framing::refusal(request).or_else(|| {
        let stranger = loopback::check(gateway, request).err()?;
        Some(stranger.into_response())
    })
}

/// The same for the listener of the management, which guards nothing.
pub(super) async fn pass_management(
    State(gateway): State<Gateway>,
    mut request: Request,
    next: Next,
) -> Response {
    let matched = matched(&request);
    let route = matched.as_ref().map(MatchedPath::as_str);
    let answering = Answering::begin(&gateway, route, &mut request);
    let mut response = panics::caught(next.run(request)).await;
    answering.end(&mut response);
    response
}

/// What the router has found.
fn matched(request: &Request) -> Option<MatchedPath> {
    request.extensions().get().cloned()
}
