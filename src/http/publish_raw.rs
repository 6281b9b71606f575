//! `POST /v1/exchanges/{exchange}/messages`: takes over one message whose payload is the body.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::parse::{self, Faults, Raw, Refused};
use super::problem::{Code, Problem};
use super::state::Gateway;
use super::{accept, body, openapi, query, trace};
use crate::domain::access::Access;

/// Publish bytes
///
/// The body is the payload, byte for byte, whatever its type; it may be empty. `Content-Type` and
/// `Content-Encoding` become the properties, `Amqp-*` headers the other ones. The message's own headers
/// are `Amqp-Header-<name>`, each a text; their names arrive in lower case. An `Amqp-*` header or query
/// parameter that is not known or occurs twice is refused. The answer is that of `publishMessage`.
#[utoipa::path(
    post,
    path = "/v1/exchanges/{exchange}/messages",
    operation_id = "publishBytes",
    tag = "publishing",
    params(
        openapi::RawPath,
        openapi::RawQuery,
        openapi::RawHeaders,
        openapi::IdempotencyKey,
        openapi::PreferPublish
    ),
    request_body(
        content = Option<Vec<u8>>,
        content_type = "application/octet-stream",
        description = "The payload; any content type is taken."
    ),
    responses(openapi::PublishRawResponses)
)]
pub(super) async fn publish_raw(
    State(gateway): State<Gateway>,
    access: Access,
    exchange: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let exchange = exchange.ok().map(|Path(exchange)| exchange);
    if exchange.as_deref() == Some("") {
        // More likely a name that is missing than the default exchange.
        return Err(Problem::new(
            Code::NotFound,
            "the path names no exchange; the default exchange is amq.default",
        ));
    }
    let mut faults = Faults::default();
    let options = query::read(head.uri.query(), &parse::raw::OPTIONS, &mut faults);
    query::refuse(faults)?;
    let (payload, room) = body::read(body, &gateway).await?.into_payload();
    let raw = Raw {
        exchange,
        options: options.each_ref().map(Option::as_deref),
        headers: &head.headers,
        body: payload,
    };
    let keyed = parse::raw(raw, gateway.intake(&access));
    let mut keyed = keyed.map_err(Refused::problem)?;
    trace::carry(trace::of(&head.headers).as_ref(), &mut keyed);
    accept::one(&gateway, &access, keyed, room, &head.headers).await
}
