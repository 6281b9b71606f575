//! A message whose payload is the body: everything else stands in the path, the query and the headers.
//!
//! Faults are named by where the field would stand in the JSON form.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::faults::Faults;
use super::{Intake, Refused, checked, exchange, idempotency_key, terms};
use crate::domain::rules::pointer_step;
use crate::domain::{self, DeliveryMode, Draft, Properties};
use crate::relay::Keyed;

/// The query parameters, which the document of the API is compared with.
pub(crate) const OPTIONS: [&str; 8] = [
    "routing_key",
    "mandatory",
    "ordering_key",
    "deliver_at",
    "delay_ms",
    "give_up_after_ms",
    "callback_url",
    "group",
];

/// The headers that are properties, which the document of the API is compared with.
pub(crate) const HEADERS: [&str; 10] = [
    "amqp-message-id",
    "amqp-correlation-id",
    "amqp-reply-to",
    "amqp-expiration",
    "amqp-priority",
    "amqp-type",
    "amqp-app-id",
    "amqp-user-id",
    "amqp-timestamp",
    "amqp-delivery-mode",
];

/// What follows is the name of one of the message's own headers.
const OWN_HEADER: &str = "amqp-header-";

/// A request before it is a message.
pub(crate) struct Raw<'r> {
    /// Decoded; `None` when it is not UTF-8.
    pub(crate) exchange: Option<String>,
    /// The values of [`OPTIONS`].
    pub(crate) options: [Option<&'r str>; 8],
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: Bytes,
}

/// The message that `request` is.
pub(crate) fn raw(request: Raw<'_>, intake: Intake<'_>) -> Result<Keyed, Refused> {
    let mut faults = Faults::default();
    let [routing_key, mandatory, ordering_key, terms @ ..] = request.options;
    if request.exchange.is_none() {
        faults.push("/exchange", "is not UTF-8 once it is decoded");
    }
    let mandatory = match mandatory {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => {
            faults.push("/mandatory", "must be true or false");
            true
        }
    };
    let key = idempotency_key::of_headers(request.headers, "/idempotency_key", &mut faults);
    let draft = Draft {
        caller: intake.access.caller.clone(),
        exchange: exchange(request.exchange.unwrap_or_default()),
        routing_key: routing_key.unwrap_or_default().into(),
        mandatory,
        ordering_key: ordering_key.map(Into::into),
        properties: properties(request.headers, &mut faults),
        payload: request.body,
        terms: terms::of_options(&mut faults, terms),
    };
    checked(Keyed { draft, key }, intake, faults)
}

fn properties(headers: &HeaderMap, faults: &mut Faults) -> Properties {
    let mut properties = Properties::default();
    for name in headers.keys() {
        let field = match name.as_str() {
            "content-type" => "content_type",
            "content-encoding" => "content_encoding",
            own if own.starts_with(OWN_HEADER) => {
                own_header(&mut properties, headers, name, faults);
                continue;
            }
            known if HEADERS.contains(&known) => known.strip_prefix("amqp-").unwrap_or(known),
            unknown if unknown.starts_with("amqp-") => {
                faults.push("", format!("the header {unknown} is not known here"));
                continue;
            }
            // The transport's own.
            _ => continue,
        };
        let at = format!("/properties/{}", field.replace('-', "_"));
        if let Some(value) = only(headers, name, &at, faults) {
            set(&mut properties, field, value, &at, faults);
        }
    }
    properties
}

fn set(properties: &mut Properties, field: &str, value: &str, at: &str, faults: &mut Faults) {
    let text = || Some(value.into());
    match field {
        "content_type" => properties.content_type = text(),
        "content_encoding" => properties.content_encoding = text(),
        "message-id" => properties.message_id = text(),
        "correlation-id" => properties.correlation_id = text(),
        "reply-to" => properties.reply_to = text(),
        // What the digits may say is a rule of the domain.
        "expiration" => properties.expiration = text(),
        "type" => properties.kind = text(),
        "app-id" => properties.app_id = text(),
        "user-id" => properties.user_id = text(),
        "priority" => {
            properties.priority =
                whole(value, 0..=255, at, faults).and_then(|number| u8::try_from(number).ok());
        }
        "timestamp" => properties.timestamp = whole(value, 0..=u64::MAX, at, faults),
        _ => {
            if whole(value, 1..=2, at, faults) == Some(1) {
                properties.delivery_mode = DeliveryMode::Transient;
            }
        }
    }
}

fn own_header(
    properties: &mut Properties,
    headers: &HeaderMap,
    name: &HeaderName,
    faults: &mut Faults,
) {
    let own = name.as_str().strip_prefix(OWN_HEADER).unwrap_or_default();
    let at = pointer_step("/properties/headers", own);
    if own.is_empty() {
        faults.push(at, "a header needs a name after Amqp-Header-");
    } else if let Some(value) = only(headers, name, &at, faults) {
        let value = domain::HeaderValue::Text(value.into());
        properties.headers.push((own.into(), value));
    }
}

/// The text of a header that must not occur twice.
pub(super) fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    at: &str,
    faults: &mut Faults,
) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        faults.push(at, format!("the header {name} occurs more than once"));
        return None;
    }
    let text = text(value);
    if text.is_none() {
        faults.push(at, format!("the header {name} is not UTF-8"));
    }
    text
}

fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

fn whole(text: &str, range: RangeInclusive<u64>, at: &str, faults: &mut Faults) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse()
        .ok()
        .filter(|number| digits && range.contains(number));
    if number.is_none() {
        let (from, to) = (range.start(), range.end());
        faults.push(at, format!("must be a whole number from {from} to {to}"));
    }
    number
}

/// Faults of endpoints that do not know any header of this kind.
pub(crate) fn refuse_headers(headers: &HeaderMap, faults: &mut Faults) {
    for name in headers.keys() {
        if name.as_str().starts_with("amqp-") {
            faults.push("", format!("the header {name} is not known here"));
        }
    }
}

#[cfg(test)]
mod tests;
