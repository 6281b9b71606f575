//! `POST /v1/messages`: takes one message over.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::parse::{self, Faults};
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{accept, body, media_type, openapi, trace};
use crate::domain::access::Access;

/// Where messages are posted to.
pub(super) const PUBLISH_MESSAGE: &str = "/v1/messages";

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
    params(openapi::IdempotencyKey, openapi::PreferPublish),
    request_body = inline(openapi::MessageRequest),
    responses(openapi::PublishResponses)
)]
pub(super) async fn publish_message(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Problem> {
    // Extractors that axum calls would copy the request once for each of them.
    let (mut head, body) = request.into_parts();
    let access = Access::from_request_parts(&mut head, &gateway).await?;
    let NoQuery = NoQuery::from_request_parts(&mut head, &gateway).await?;
    media_type::require_json(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let mut faults = header_faults(&head.headers);
    let key = parse::idempotency_key::of_headers(&head.headers, "", &mut faults);
    let (rules, asked) = (gateway.clone(), access.clone());
    let parsed = body.parse(move |bytes| parse::message(bytes, rules.intake(&asked), key, faults));
    let mut keyed = parsed
        .await?
        .map_err(|refusal| refusal.problem(Code::InvalidMessage))?;
    trace::carry(trace::of(&head.headers).as_ref(), &mut keyed);
    let room = body.without_bytes();
    accept::one(&gateway, &access, keyed, room, &head.headers).await
}

/// Headers that ask for something which this endpoint would silently not do.
fn header_faults(headers: &HeaderMap) -> Faults {
    let mut faults = Faults::default();
    for name in headers.keys() {
        if name.as_str().starts_with("amqp-") {
            let detail = format!("the header {name} is not known here: use properties");
            faults.push("", detail);
        }
    }
    faults
}
