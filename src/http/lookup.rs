//! `POST /v1/messages/lookup`: what became of many messages.

use std::borrow::Cow;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::amqp_headers::NoAmqpHeaders;
use super::message_json::MessageJson;
use super::parse;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{answer, body, media_type, openapi, wait};
use crate::domain::access::Access;
use crate::store::Lookup;

/// What is known of the messages that were asked for. Every id is either the `id` of one of `messages` or
/// in `not_found`.
#[derive(Serialize, ToSchema)]
#[schema(as = LookupAnswer)]
pub(super) struct LookupJson<'a> {
    /// In the order of the ids in the request.
    messages: Vec<MessageJson<'a>>,
    /// Ids that are unknown, not to be seen, no UUIDs, or of messages that are older than the history
    /// that is kept (asked for alone, the last ones are a 410).
    #[schema(value_type = Vec<String>)]
    not_found: Vec<Cow<'a, str>>,
}

/// Look many messages up
///
/// Up to 1000 ids. One that is given several times is told once.
#[utoipa::path(
    post,
    path = "/v1/messages/lookup",
    operation_id = "lookUpMessages",
    tag = "asking",
    request_body = inline(openapi::LookupRequest),
    responses(openapi::LookupResponses)
)]
pub(super) async fn lookup(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    media_type::require_json(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let parsed = body.parse(parse::ids).await?;
    let ids = parsed.map_err(|refusal| refusal.problem(Code::InvalidRequest))?;
    drop(body);
    let known_form = ids.known_form.clone();
    let found = wait::ask(&gateway, move |store| store.get_many(&known_form)).await?;
    let (mut records, mut not_found) = (Vec::new(), Vec::new());
    for (id, found) in ids.known_form.iter().zip(found) {
        match found {
            Lookup::Found(record) if access.sees(&record.caller) => records.push(*record),
            _ => not_found.push(Cow::Owned(id.to_string())),
        }
    }
    let texts = ids.unknown_form.iter();
    not_found.extend(texts.map(|text| Cow::Borrowed(&**text)));
    let followed = wait::follow(&gateway, records).await?;
    let told = LookupJson {
        messages: (followed.iter())
            .map(|(record, progress)| MessageJson::of_record(record, progress))
            .collect(),
        not_found,
    };
    Ok(answer::json(StatusCode::OK, &told))
}
