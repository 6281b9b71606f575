//! What every request passes on its way to its endpoint and back.
//!
//! It is one layer and not one for each concern: every layer costs every request a copy of all that is
//! within it, and three of them were a fifth of what a single post costs.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::state::Gateway;
use super::{access_log, framing, loopback, panics};

/// Counts and logs the request, refuses strangers and what can be read in two ways, and turns a panic into
/// an answer.
pub(super) async fn pass(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    access_log::log(&gateway, request, async |request| {
        if let Err(problem) = loopback::check(&gateway, &request) {
            return problem.into_response();
        }
        if let Some(refusal) = framing::refusal(&request) {
            return refusal;
        }
        panics::caught(next.run(request)).await
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
    access_log::log(&gateway, request, answer).await
}
