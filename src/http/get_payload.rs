//! `GET /v1/messages/{id}/payload`: the stored bytes.
//!
//! They are a caller's, and a browser may be what reads them: they are served so that it saves them and
//! runs nothing of them. A stored content encoding is told and never acted upon, since the bytes that were
//! handed over are the ones that are wanted back.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::amqp_headers::NoAmqpHeaders;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{media_type, openapi, wait};
use crate::domain::MessageId;
use crate::domain::access::Access;
use crate::store::PayloadLookup;

const UNKNOWN_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");
const PROPERTY_CONTENT_TYPE: HeaderName = HeaderName::from_static("amqpost-content-type");
const PROPERTY_CONTENT_ENCODING: HeaderName = HeaderName::from_static("amqpost-content-encoding");

/// Get a payload
///
/// The bytes that consumers got or would get, while they are kept: those of confirmed messages are not.
/// `Content-Type` is the message's, unless that is no media type or the bytes have a content encoding: then
/// it is `application/octet-stream`. The properties are in `Amqpost-Content-Type` and
/// `Amqpost-Content-Encoding` as they were given.
#[utoipa::path(
    get,
    path = "/v1/messages/{id}/payload",
    operation_id = "getPayload",
    tag = "asking",
    params(openapi::IdPath),
    responses(openapi::PayloadResponses)
)]
pub(super) async fn get_payload(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
    id: MessageId,
) -> Result<Response, Problem> {
    let payload = match wait::ask(&gateway, move |store| store.payload(id)).await? {
        PayloadLookup::Found(payload) if access.sees(&payload.caller) => payload,
        PayloadLookup::Found(_) | PayloadLookup::NotFound => return Err(wait::not_found()),
        PayloadLookup::Expired => return Err(wait::expired()),
    };
    let Some(bytes) = payload.bytes else {
        return Err(Problem::new(
            Code::PayloadNotKept,
            "the message is kept and its payload is not: it was confirmed, or room was needed",
        ));
    };
    let mut response = bytes.into_response();
    let content_type = payload.content_type.as_deref();
    let content_encoding = payload.content_encoding.as_deref();
    tell(response.headers_mut(), id, content_type, content_encoding);
    Ok(response)
}

fn tell(
    headers: &mut HeaderMap,
    id: MessageId,
    content_type: Option<&str>,
    content_encoding: Option<&str>,
) {
    for (name, value) in [
        (PROPERTY_CONTENT_TYPE, content_type),
        (PROPERTY_CONTENT_ENCODING, content_encoding),
    ] {
        // Control characters, which no header can carry, were refused when the message came.
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok())
        {
            headers.insert(name, value);
        }
    }
    let encoded = content_encoding.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
    let told_type = content_type
        .filter(|given| !encoded && media_type::is_media_type(given))
        .and_then(|given| HeaderValue::from_str(given).ok());
    headers.insert(header::CONTENT_TYPE, told_type.unwrap_or(UNKNOWN_TYPE));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ),
        (header::CACHE_CONTROL, super::NO_STORE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let disposition = format!("attachment; filename=\"{id}\"");
    // Hexadecimal digits and hyphens are always a header value.
    if let Ok(disposition) = HeaderValue::from_maybe_shared(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
}
