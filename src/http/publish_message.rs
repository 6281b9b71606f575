//! `POST /v1/messages`: takes one message over.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::message_json::MessageJson;
use super::parse::{self, Faults, Refusal};
use super::prefer::Preferences;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::{Gateway, Parts};
use super::{answer, body, media_type, openapi, wait};
use crate::domain::{Draft, Message};
use crate::relay::{AcceptError, Progress};
use crate::store::Record;

/// Publish a message
///
/// The answer leaves after the message is safe in the store. With `Prefer: wait=N` it also waits for
/// the final status, at most N seconds: look at `status`, or at the header `Amqpost-Status`, since a
/// final status may be `returned` or `failed`. A repeated or unknown field is refused, and so are
/// query parameters and `Amqp-*` headers, which this endpoint does not have.
#[utoipa::path(
    post,
    path = "/v1/messages",
    operation_id = "publishMessage",
    tag = "publishing",
    params(openapi::PreferPublish),
    request_body = inline(openapi::MessageRequest),
    responses(openapi::PublishResponses)
)]
pub(super) async fn publish_message(
    State(gateway): State<Gateway>,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    media_type::require_json(&head.headers)?;
    let body = body::read(body, &gateway).await?;
    let draft = read(&head.headers, &body.bytes, &gateway)?;
    // The room of a body is given back when its message is in the store, which bounds what queues there.
    let room = body.without_bytes();
    let accepted_message = gateway.backend.accept(draft).await;
    drop(room);
    let message = accepted_message.map_err(|error| refused(&error))?;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&head.headers, wait_seconds_max);
    Ok(accepted(&gateway, message, preferences).await)
}

fn read(headers: &HeaderMap, body: &[u8], parts: &Parts) -> Result<Draft, Problem> {
    let faults = header_faults(headers);
    parse::message(body, &parts.rules, faults).map_err(|refusal| match refusal {
        Refusal::Malformed(parse::Malformed(detail)) => Problem::new(Code::MalformedJson, detail),
        Refusal::Faulty(faults) => {
            let (errors, detail) = faults.into_parts();
            Problem {
                errors,
                ..Problem::new(Code::InvalidMessage, detail)
            }
        }
    })
}

/// Headers that ask for something which this endpoint would silently not do.
fn header_faults(headers: &HeaderMap) -> Faults {
    let mut faults = Faults::default();
    for name in headers.keys() {
        if name == "idempotency-key" {
            let detail = format!("the header Idempotency-Key is {}", parse::NOT_YET);
            faults.push("", detail);
        } else if name.as_str().starts_with("amqp-") {
            let detail = format!("the header {name} is not known here: use properties");
            faults.push("", detail);
        }
    }
    faults
}

fn refused(error: &AcceptError) -> Problem {
    match error {
        AcceptError::Full => Problem::new(
            Code::StoreFull,
            "the gateway holds as many pending messages as it may; nothing was accepted",
        ),
        AcceptError::Stopping => Problem::new(
            Code::Stopping,
            "the gateway is about to end; nothing was accepted",
        ),
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
    let record = wait::look_up_settled(parts, id, wait)
        .await
        .unwrap_or(known);
    let progress = progress(parts, &record);
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

fn progress(parts: &Parts, record: &Record) -> Progress {
    match record.outcome {
        None => parts.backend.progress(record),
        Some(_) => Progress::default(),
    }
}
