//! `POST /v1/messages/batch`: takes many messages over, each on its own.
//!
//! The answer is written by hand: a batch has up to ten thousand results, nearly all of them an id.

use std::io::Write as _;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::parse::{self, Batch, Faults, Refused};
use super::prefer::{AnswerBody, Preferences};
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{accept, body, idempotent, media_type, openapi, trace};
use crate::domain::access::Access;
use crate::domain::{MessageId, Status};
use crate::relay::{AcceptError, Acceptance, Keyed};

/// Publish many messages
///
/// `{"messages":[…]}`, or `application/x-ndjson` with one message a line (empty lines are skipped and not
/// counted). The whole body is read before anything is accepted: one that is cut off or not JSON accepts
/// nothing, and neither does an empty batch. After that every message stands alone, and the good ones are
/// accepted in their order. A faulty one, or one that the caller may not publish, has its problem among the results, with pointers into that
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
    access: Access,
    _: NoQuery,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let form = media_type::batch_form(&head.headers)?;
    refuse_headers(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let (rules, asked) = (gateway.clone(), access.clone());
    let parsed = body.parse(move |bytes| parse::batch(bytes, form, rules.intake(&asked)));
    let Batch { mut good, refused } = parsed
        .await?
        .map_err(|refusal| refusal.problem(Code::InvalidRequest))?;
    gateway.quotas().take_messages(&access, good.len())?;
    if let Some(trace) = trace::of(&head.headers) {
        for keyed in &mut good {
            trace::carry(Some(&trace), keyed);
        }
    }
    // The body itself is gone by now; its room is given back when its messages are in the store.
    let room = body.without_bytes();
    let accepted = accept(&gateway, good).await;
    drop(room);
    if let Some(problem) = none_could_be_accepted(&accepted) {
        return Err(problem);
    }
    let accepted = results(&gateway, accepted).await;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&head.headers, wait_seconds_max).only_return();
    Ok(told(&in_order(accepted, refused), preferences))
}

/// What became of one item.
#[derive(Debug)]
enum Item {
    Accepted(MessageId),
    /// It was accepted before.
    Repeated(MessageId, Status),
    /// It was, and its history is no longer kept.
    Expired(MessageId, Problem),
    Refused(Problem),
}

impl Item {
    fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_) | Self::Repeated(..))
    }
}

type Accepted = Result<Acceptance, AcceptError>;

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

/// Keys take a longer way, which messages without any do not pay for.
async fn accept(gateway: &Gateway, good: Vec<Keyed>) -> Vec<Accepted> {
    if good.iter().any(|keyed| keyed.key.is_some()) {
        return idempotent::all(gateway, good).await;
    }
    let drafts = good.into_iter().map(|keyed| keyed.draft).collect();
    let accepted = gateway.backend.accept_all(drafts).await;
    (accepted.into_iter())
        .map(|one| one.map(Acceptance::New))
        .collect()
}

/// The answer when not one message could be accepted although some could be later: the caller shall come
/// back with all of them. When nobody knows of one, nobody knows of the batch.
fn none_could_be_accepted(accepted: &[Accepted]) -> Option<Problem> {
    let mut errors = Vec::new();
    for one in accepted {
        match one {
            Ok(_) => return None,
            // As faulty as one with a faulty field.
            Err(AcceptError::KeyReused) => {}
            Err(error) => errors.push(error),
        }
    }
    let unknown = errors
        .iter()
        .find(|error| ***error == AcceptError::OutcomeUnknown);
    unknown
        .or(errors.first())
        .map(|error| accept::refused(error))
}

/// What became of each good message.
async fn results(gateway: &Gateway, accepted: Vec<Accepted>) -> Vec<Item> {
    let repeats = accepted.iter().filter_map(|one| match one {
        Ok(Acceptance::Repeat(id)) => Some(*id),
        _ => None,
    });
    let statuses = idempotent::statuses(gateway, repeats.collect()).await;
    let mut statuses = statuses.into_iter();
    (accepted.into_iter())
        .map(|one| match one {
            Ok(Acceptance::New(message)) => Item::Accepted(message.id),
            Ok(Acceptance::Repeat(id)) => match statuses.next().flatten() {
                Some(status) => Item::Repeated(id, status),
                None => Item::Expired(id, idempotent::expired(id)),
            },
            Err(error) => Item::Refused(accept::refused(&error)),
        })
        .collect()
}

/// What became of each item, in the order of the request.
fn in_order(good: Vec<Item>, refused: Vec<(usize, Refused)>) -> Vec<Item> {
    let mut items = Vec::with_capacity(good.len() + refused.len());
    let mut refused = refused.into_iter().peekable();
    let mut good = good.into_iter();
    loop {
        if let Some((_, refused)) = refused.next_if(|(index, _)| *index == items.len()) {
            items.push(Item::Refused(refused.problem()));
        } else if let Some(item) = good.next() {
            items.push(item);
        } else {
            return items;
        }
    }
}

fn told(items: &[Item], preferences: Preferences) -> Response {
    let accepted = items.iter().filter(|item| item.is_accepted()).count();
    let rejected = items.len() - accepted;
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
    let body = json(items, accepted, minimal);
    let mut response = (status, headers, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Prefer"));
    preferences.tell(headers);
    response
}

/// The body of the answer. Writing into memory does not fail.
fn json(items: &[Item], accepted: usize, minimal: bool) -> Vec<u8> {
    const ACCEPTED_BYTES: usize = 80;
    let mut json = Vec::with_capacity(
        64 + if minimal {
            0
        } else {
            accepted * ACCEPTED_BYTES
        },
    );
    let rejected = items.len() - accepted;
    let _ = write!(
        json,
        r#"{{"accepted":{accepted},"rejected":{rejected},"results":["#
    );
    let mut separator: &[u8] = b"";
    for (index, item) in items.iter().enumerate() {
        if minimal && item.is_accepted() {
            continue;
        }
        json.extend_from_slice(separator);
        let _ = write!(json, r#"{{"index":{index}"#);
        if let Item::Accepted(id) | Item::Repeated(id, _) | Item::Expired(id, _) = item {
            json.extend_from_slice(br#","id":""#);
            json.extend_from_slice(id.text().as_bytes());
            json.push(b'"');
        }
        match item {
            Item::Accepted(_) => json.extend_from_slice(br#","status":"pending"}"#),
            Item::Repeated(_, status) => {
                let status = status.as_str();
                let _ = write!(json, r#","status":"{status}","idempotent_replayed":true}}"#);
            }
            Item::Expired(_, problem) | Item::Refused(problem) => {
                json.extend_from_slice(br#","error":"#);
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
        let full = || Item::Refused(accept::refused(&AcceptError::Full));
        let results = [
            Item::Accepted(id(1)),
            full(),
            Item::Repeated(id(2), Status::Returned),
            Item::Expired(id(3), idempotent::expired(id(3))),
        ];
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
        assert_eq!(all["results"][1]["id"], serde_json::Value::Null);
        let repeated = serde_json::json!({"index": 2, "id": id(2).to_string(), "status": "returned",
                                          "idempotent_replayed": true});
        assert_eq!(all["results"][2], repeated);
        let expired = &all["results"][3];
        assert_eq!(expired["error"]["code"], "history_expired");
        assert_eq!(expired["id"], id(3).to_string());
        assert_eq!(indexes(&read(true)), [1, 3]);
        assert_eq!(
            json(&[], 0, true),
            br#"{"accepted":0,"rejected":0,"results":[]}"#
        );
    }
}
