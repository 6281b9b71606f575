//! Handing one message over, and the answer to that (contract, section 2.4).

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::message_json::MessageJson;
use super::prefer::{AnswerBody, Preferences};
use super::problem::{Code, Problem};
use super::state::{Gateway, Parts};
use super::{answer, idempotent, wait};
use crate::domain::access::Access;
use crate::domain::{Draft, Message, MessageId};
use crate::relay::{AcceptError, Keyed};
use crate::store::Record;

/// Accepts a message and answers as the request's `headers` prefer. `room`, what the body of the request
/// took, is given back when the message is in the store, which bounds what queues there.
pub(super) async fn one(
    gateway: &Gateway,
    access: &Access,
    keyed: Keyed,
    room: impl Send,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(headers, wait_seconds_max);
    gateway.quotas().take_messages(access, 1)?;
    if keyed.key.is_some() {
        // In a box, as everything here that few ask for: the room for it would be copied with every request.
        return Box::pin(idempotent::one(gateway, access, keyed, room, preferences)).await;
    }
    if let Some(wait) = preferences.wait().filter(|wait| !wait.is_zero()) {
        return awaited(gateway, access, keyed.draft, room, wait, preferences).await;
    }
    let accepted_message = gateway.backend.accept(keyed.draft).await;
    drop(room);
    let message = accepted_message.map_err(|error| refused(&error))?;
    Ok(accepted(gateway, access, message, preferences).await)
}

/// Accepts a message and waits for its final status. Who waits is there before the message can be
/// settled, and the store is asked only when the time runs out.
async fn awaited(
    gateway: &Gateway,
    access: &Access,
    draft: Draft,
    room: impl Send,
    wait: Duration,
    preferences: Preferences,
) -> Result<Response, Problem> {
    let mut waiter = None;
    let mut register = |id: MessageId| waiter = Some(gateway.waiters.register(id.row()));
    let message = gateway.backend.accept_watched(draft, &mut register).await;
    drop(room);
    let message = message.map_err(|error| refused(&error))?;
    // Whoever waits shall not keep the payload in memory beside those who hold it anyway.
    let record = Box::new(Record::of(&message, None));
    drop(message);
    let settlement = match waiter {
        Some(waiter) => wait::settled_within(gateway, waiter, wait).await,
        None => None,
    };
    let record = match settlement {
        Some(settlement) => wait::ended(gateway, access, record, settlement).await,
        None => (wait::look_up(gateway, access, record.id).await).unwrap_or(record),
    };
    let progress = wait::progress(gateway, &record);
    Ok(answer_with(
        &MessageJson::of_record(&record, &progress),
        preferences,
    ))
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
        AcceptError::KeyReused => Problem::new(
            Code::IdempotencyKeyReused,
            "another message was accepted with this idempotency key; this one was not accepted",
        ),
        AcceptError::StoreUnavailable => Problem::new(
            Code::StoreUnavailable,
            "the store could not be asked about the idempotency key; the message was not accepted",
        ),
        AcceptError::OutcomeUnknown => Problem::new(
            Code::OutcomeUnknown,
            "the store did not confirm the message: it may or may not be published",
        ),
    }
}

/// Once a message is accepted, nothing may turn its answer into an error: whatever cannot be learned
/// is told as pending.
pub(super) async fn accepted(
    parts: &Parts,
    access: &Access,
    message: Arc<Message>,
    preferences: Preferences,
) -> Response {
    let Some(wait) = preferences.wait() else {
        if preferences.body == Some(AnswerBody::Minimal) {
            return answer_pending(message.id, preferences);
        }
        return answer_with(&MessageJson::of_accepted(&message), preferences);
    };
    // Whoever waits shall not keep the payload in memory beside those who hold it anyway.
    let known = Box::new(Record::of(&message, None));
    let id = message.id;
    drop(message);
    let record = Box::pin(wait::look_up_settled(parts, access, id, wait))
        .await
        .unwrap_or(known);
    let progress = wait::progress(parts, &record);
    answer_with(&MessageJson::of_record(&record, &progress), preferences)
}

/// The answer with all that is told of a message, which may be final.
pub(super) fn answer_with(told: &MessageJson<'_>, preferences: Preferences) -> Response {
    let status = if told.status.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let mut response = answer::message(status, told, preferences);
    tell_place(&mut response, told.id);
    response
}

/// The answer for a message that was accepted, with nothing but its id.
pub(super) fn answer_pending(id: MessageId, preferences: Preferences) -> Response {
    let mut response = answer::accepted_as(StatusCode::ACCEPTED, id, preferences);
    tell_place(&mut response, id);
    response
}

/// Tells where to ask for `id`.
pub(super) fn tell_place(response: &mut Response, id: MessageId) {
    const PLACE: &[u8] = b"/v1/messages/";
    let mut location = [0; PLACE.len() + 36];
    location[..PLACE.len()].copy_from_slice(PLACE);
    location[PLACE.len()..].copy_from_slice(id.text().as_bytes());
    // A path of letters, digits and hyphens is always a header value.
    if let Ok(location) = HeaderValue::from_bytes(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
}
