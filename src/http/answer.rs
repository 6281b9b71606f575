//! The answer that carries a message (contract, sections 2.4 and 3.1).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::message_json::{MessageJson, MinimalJson};
use super::prefer::{AnswerBody, Preferences};
use crate::domain::{MessageId, Status};

const AMQPOST_STATUS: HeaderName = HeaderName::from_static("amqpost-status");

/// `message` with everything that its headers say, as `preferences` ask.
pub(super) fn message(
    status: StatusCode,
    message: &MessageJson<'_>,
    preferences: Preferences,
) -> Response {
    let response = match preferences.body {
        Some(AnswerBody::Minimal) => json(status, &message.minimal()),
        _ => json(status, message),
    };
    with_headers(response, message.status, preferences)
}

/// A message that was accepted and of which nothing more can be told now than its id.
pub(super) fn accepted_as(status: StatusCode, id: MessageId, preferences: Preferences) -> Response {
    let response = json(status, &MinimalJson::pending(id));
    let honoured = Preferences {
        body: (preferences.body).filter(|body| *body == AnswerBody::Minimal),
        ..preferences
    };
    with_headers(response, Status::Pending, honoured)
}

fn with_headers(mut response: Response, status: Status, preferences: Preferences) -> Response {
    let headers = response.headers_mut();
    let word = HeaderValue::from_static(status.as_str());
    headers.insert(AMQPOST_STATUS, word);
    headers.insert(header::VARY, HeaderValue::from_static("Prefer"));
    preferences.tell(headers);
    response
}

/// Any JSON answer. Nothing here may be cached.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // Everything that is told consists of strings and numbers, so this is never the empty fallback.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // With what others add, so that the table does not grow on the way.
    headers.reserve(HEADERS_MAX);
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let no_store = HeaderValue::from_static(super::NO_STORE);
    headers.insert(header::CACHE_CONTROL, no_store);
    response
}

/// Headers of an answer, those of hyper included.
const HEADERS_MAX: usize = 12;
