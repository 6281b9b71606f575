//! Handing one message over, and the answer to that (contract, section 2.4).

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::message_json::MessageJson;
use super::prefer::Preferences;
use super::problem::{Code, Problem};
use super::state::{Gateway, Parts};
use super::{answer, wait};
use crate::domain::{Draft, Message};
use crate::relay::AcceptError;
use crate::store::Record;

/// Accepts `draft` and answers as the request's `headers` prefer. `room`, what the body of the request
/// took, is given back when the message is in the store, which bounds what queues there.
pub(super) async fn one(
    gateway: &Gateway,
    draft: Draft,
    room: impl Send,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let accepted_message = gateway.backend.accept(draft).await;
    drop(room);
    let message = accepted_message.map_err(|error| refused(&error))?;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(headers, wait_seconds_max);
    Ok(accepted(gateway, message, preferences).await)
}

/// Why a message was not accepted.
pub(super) fn refused(error: &AcceptError) -> Problem {
    match error {
        AcceptError::Full => Problem::new(
            Code::StoreFull,
            "the gateway holds as many pending messages as it may; nothing was accepted",
        ),
        AcceptError::Stopping => Problem::new(
            Code::Stopping,
            "the gateway is about to end; nothing was accepted",
        ),
        AcceptError::KeyReused | AcceptError::StoreUnavailable => {
            Problem::new(Code::StoreUnavailable, "to be told")
        }
        AcceptError::OutcomeUnknown => Problem::new(
            Code::OutcomeUnknown,
            "the store did not confirm the message: it may or may not be published",
        ),
    }
}

/// Once a message is accepted, nothing may turn its answer into an error: whatever cannot be learned
/// is told as pending.
async fn accepted(parts: &Parts, message: Arc<Message>, preferences: Preferences) -> Response {
    let Some(wait) = preferences.wait() else {
        return answer_with(&MessageJson::of_accepted(&message), preferences);
    };
    // Whoever waits shall not keep the payload in memory beside those who hold it anyway.
    let known = Box::new(Record::of(&message, 0, None));
    let id = message.id;
    drop(message);
    let caller = known.caller.clone();
    let record = wait::look_up_settled(parts, &caller, id, wait)
        .await
        .unwrap_or(known);
    let progress = wait::progress(parts, &record);
    answer_with(&MessageJson::of_record(&record, &progress), preferences)
}

fn answer_with(told: &MessageJson<'_>, preferences: Preferences) -> Response {
    let status = if told.status.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let mut response = answer::message(status, told, preferences);
    // A path of letters, digits and hyphens is always a header value.
    if let Ok(location) = HeaderValue::from_maybe_shared(format!("/v1/messages/{}", told.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
