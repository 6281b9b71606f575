//! `properties`: the AMQP basic properties by their standard names.

use super::faults::Faults;
use super::fields::{self, present, text, whole, wrong_kind};
use super::headers;
use super::json::Kind;
use crate::domain::{DeliveryMode, Limits, Properties};

const AT: &str = "/properties";

/// The names, which the document of the API is compared with.
pub(crate) const FIELDS: [&str; 13] = [
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
];

/// The properties written as `raw`; faulty ones are left out.
pub(super) fn read(faults: &mut Faults, raw: Option<&str>, limits: &Limits) -> Properties {
    let Some(raw) = present(raw) else {
        return Properties::default();
    };
    if Kind::of(raw) != Kind::Object {
        wrong_kind(faults, AT, raw, "an object");
        return Properties::default();
    }
    let [
        content_type,
        content_encoding,
        headers,
        delivery_mode,
        priority,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        timestamp,
        kind,
        user_id,
        app_id,
    ] = fields::read(raw, AT, &FIELDS, faults);
    Properties {
        content_type: text(faults, "/properties/content_type", content_type),
        content_encoding: text(faults, "/properties/content_encoding", content_encoding),
        headers: headers::read(faults, headers, limits),
        delivery_mode: self::delivery_mode(faults, delivery_mode),
        priority: whole(faults, "/properties/priority", priority, 0..=255)
            .and_then(|priority| u8::try_from(priority).ok()),
        correlation_id: text(faults, "/properties/correlation_id", correlation_id),
        reply_to: text(faults, "/properties/reply_to", reply_to),
        expiration: self::expiration(faults, expiration),
        message_id: text(faults, "/properties/message_id", message_id),
        timestamp: whole(faults, "/properties/timestamp", timestamp, 0..=u64::MAX),
        kind: text(faults, "/properties/type", kind),
        user_id: text(faults, "/properties/user_id", user_id),
        app_id: text(faults, "/properties/app_id", app_id),
    }
}

fn delivery_mode(faults: &mut Faults, raw: Option<&str>) -> DeliveryMode {
    match whole(faults, "/properties/delivery_mode", raw, 1..=2) {
        Some(1) => DeliveryMode::Transient,
        _ => DeliveryMode::Persistent,
    }
}

/// A number becomes its digits; what the digits may say is a rule of the domain.
fn expiration(faults: &mut Faults, raw: Option<&str>) -> Option<Box<str>> {
    const AT: &str = "/properties/expiration";
    let raw = present(raw)?;
    match Kind::of(raw) {
        Kind::Text => text(faults, AT, Some(raw)),
        Kind::Number if raw.bytes().all(|byte| byte.is_ascii_digit()) => Some(raw.into()),
        Kind::Number => {
            faults.push(AT, "must be whole milliseconds, not below 0");
            None
        }
        _ => {
            wrong_kind(faults, AT, raw, "whole milliseconds, a number or digits");
            None
        }
    }
}
