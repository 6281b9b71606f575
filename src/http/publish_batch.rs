//! `POST /v1/messages/batch`: takes many messages over, each on its own.
//!
//! The answer is written by hand: a batch has up to ten thousand results, nearly all of them an id.

use std::io::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::parse::{self, Batch, Faults, Form, Refusal};
use super::prefer::{AnswerBody, Preferences};
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{accept, body, media_type, openapi};
use crate::domain::{Caller, Message, MessageId};
use crate::relay::AcceptError;

/// Reading a larger body would hold up the other requests of its thread.
const READ_AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// Publish many messages
///
/// `{"messages":[…]}`, or `application/x-ndjson` with one message a line (empty lines are skipped and not
/// counted). The whole body is read before anything is accepted: one that is cut off or not JSON accepts
/// nothing, and neither does an empty batch. After that every message stands alone, and the good ones are
/// accepted in their order. A faulty one has its problem among the results, with pointers into that
/// message. When none of the good ones can be accepted, the answer is the 503 of `publishMessage`.
/// `Prefer: wait` is not honoured here; with `return=minimal` only the refused ones are told.
#[utoipa::path(
    post,
    path = "/v1/messages/batch",
    operation_id = "publishBatch",
    tag = "publishing",
    params(openapi::PreferReturn),
    request_body(content(
        (inline(openapi::BatchRequest) = "application/json"),
        (inline(openapi::BatchLines) = "application/x-ndjson")
    )),
    responses(openapi::PublishBatchResponses)
)]
pub(super) async fn publish_batch(
    State(gateway): State<Gateway>,
    caller: Caller,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let form = media_type::batch_form(&head.headers)?;
    refuse_headers(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let bytes = std::mem::take(&mut body.bytes);
    let Batch { drafts, faulty } = read(bytes, form, caller, &gateway).await?;
    // The body itself is gone by now; its room is given back when its messages are in the store.
    let room = body.without_bytes();
    let accepted = gateway.backend.accept_all(drafts).await;
    drop(room);
    if let Some(problem) = none_could_be_accepted(&accepted) {
        return Err(problem);
    }
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&head.headers, wait_seconds_max).only_return();
    Ok(told(&results(accepted, faulty), preferences))
}

/// What cannot be said of a whole batch.
fn refuse_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let mut faults = Faults::default();
    if headers.contains_key("idempotency-key") {
        faults.push(
            "",
            "the header Idempotency-Key cannot be that of all messages of a batch",
        );
    }
    parse::refuse_headers(headers, &mut faults);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem::faulty(Code::InvalidRequest, faults))
}

async fn read(
    bytes: Bytes,
    form: Form,
    caller: Caller,
    gateway: &Gateway,
) -> Result<Batch, Problem> {
    let refused = |refusal: Refusal| refusal.problem(Code::InvalidRequest);
    if bytes.len() <= READ_AT_ONCE_BYTES_MAX {
        return parse::batch(&bytes, form, &caller, &gateway.rules).map_err(refused);
    }
    let gateway = gateway.clone();
    let reading = move || parse::batch(&bytes, form, &caller, &gateway.rules);
    match tokio::task::spawn_blocking(reading).await {
        Ok(read) => read.map_err(refused),
        Err(error) => match error.try_into_panic() {
            // The layer above answers it as any other.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(accept::refused(&AcceptError::Stopping)),
        },
    }
}

/// The answer when not one message could be accepted although some were good: the caller shall come back
/// with all of them. When nobody knows of one, nobody knows of the batch.
fn none_could_be_accepted(accepted: &[Result<Arc<Message>, AcceptError>]) -> Option<Problem> {
    let errors: Option<Vec<_>> = (accepted.iter()).map(|one| one.as_ref().err()).collect();
    let errors = errors?;
    let unknown = errors
        .iter()
        .find(|error| ***error == AcceptError::OutcomeUnknown);
    unknown
        .or(errors.first())
        .map(|error| accept::refused(error))
}

/// What became of each item, in the order of the request.
fn results(
    accepted: Vec<Result<Arc<Message>, AcceptError>>,
    faulty: Vec<(usize, Faults)>,
) -> Vec<Result<MessageId, Problem>> {
    let mut results = Vec::with_capacity(accepted.len() + faulty.len());
    let mut faulty = faulty.into_iter().peekable();
    let mut accepted = accepted.into_iter();
    loop {
        if let Some((_, faults)) = faulty.next_if(|(index, _)| *index == results.len()) {
            results.push(Err(Problem::faulty(Code::InvalidMessage, faults)));
        } else if let Some(one) = accepted.next() {
            let one = one.map(|message| message.id);
            results.push(one.map_err(|error| accept::refused(&error)));
        } else {
            return results;
        }
    }
}

fn told(results: &[Result<MessageId, Problem>], preferences: Preferences) -> Response {
    let accepted = results.iter().filter(|one| one.is_ok()).count();
    let rejected = results.len() - accepted;
    let status = match (accepted, rejected) {
        (_, 0) => StatusCode::ACCEPTED,
        (0, _) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::MULTI_STATUS,
    };
    let minimal = preferences.body == Some(AnswerBody::Minimal);
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, super::NO_STORE),
    ];
    let body = json(results, accepted, minimal);
    let mut response = (status, headers, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Prefer"));
    preferences.tell(headers);
    response
}

/// The body of the answer. Writing into memory does not fail.
fn json(results: &[Result<MessageId, Problem>], accepted: usize, minimal: bool) -> Vec<u8> {
    const ACCEPTED_BYTES: usize = 80;
    let mut json = Vec::with_capacity(
        64 + if minimal {
            0
        } else {
            accepted * ACCEPTED_BYTES
        },
    );
    let rejected = results.len() - accepted;
    let _ = write!(
        json,
        r#"{{"accepted":{accepted},"rejected":{rejected},"results":["#
    );
    let mut separator: &[u8] = b"";
    for (index, result) in results.iter().enumerate() {
        match result {
            Ok(_) if minimal => continue,
            Ok(id) => {
                json.extend_from_slice(separator);
                let _ = write!(json, r#"{{"index":{index},"id":""#);
                json.extend_from_slice(id.text().as_bytes());
                json.extend_from_slice(br#"","status":"pending"}"#);
            }
            Err(problem) => {
                json.extend_from_slice(separator);
                let _ = write!(json, r#"{{"index":{index},"error":"#);
                json.extend_from_slice(&problem.to_json());
                json.push(b'}');
            }
        }
        separator = b",";
    }
    json.extend_from_slice(b"]}");
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RowId;

    #[test]
    fn results_are_json_in_the_order_of_the_request() {
        let id = |row| MessageId::from_parts(RowId::from_stored(row), 0);
        let full = || accept::refused(&AcceptError::Full);
        let results = [Ok(id(1)), Err(full()), Ok(id(2)), Err(full())];
        let read = |minimal| -> serde_json::Value {
            serde_json::from_slice(&json(&results, 2, minimal)).expect("JSON")
        };
        let all = read(false);
        let indexes = |json: &serde_json::Value| -> Vec<u64> {
            let results = json["results"].as_array().expect("results");
            results
                .iter()
                .filter_map(|one| one["index"].as_u64())
                .collect()
        };
        assert_eq!(indexes(&all), [0, 1, 2, 3]);
        assert_eq!((&all["accepted"], &all["rejected"]), (&2.into(), &2.into()));
        let first = serde_json::json!({"index": 0, "id": id(1).to_string(), "status": "pending"});
        assert_eq!(all["results"][0], first);
        assert_eq!(all["results"][1]["error"]["code"], "store_full");
        assert_eq!(indexes(&read(true)), [1, 3]);
        assert_eq!(
            json(&[], 0, true),
            br#"{"accepted":0,"rejected":0,"results":[]}"#
        );
    }
}
