//! The key that a caller gives a message, so that it is accepted once however often it is sent.

use axum::http::{HeaderMap, HeaderName};

use super::faults::Faults;
use super::{fields, raw};
use crate::domain::rules;

/// The field in JSON.
const FIELD: &str = "/idempotency_key";

/// The header, whose value is taken as it is written.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key in `headers`; its faults are those of `at`.
pub(crate) fn of_headers(headers: &HeaderMap, at: &str, faults: &mut Faults) -> Option<Box<str>> {
    let key = raw::only(headers, &HEADER, at, faults)?;
    if let Some(fault) = rules::check_idempotency_key(key) {
        faults.push(at, format!("the header Idempotency-Key {fault}"));
    }
    Some(key.into())
}

/// The key in the field with the value `raw`. That of the header, if there is one, must be the same.
pub(super) fn of_field(
    raw: Option<&str>,
    in_header: Option<Box<str>>,
    faults: &mut Faults,
) -> Option<Box<str>> {
    let Some(key) = fields::text(faults, FIELD, raw) else {
        return in_header;
    };
    if let Some(fault) = rules::check_idempotency_key(&key) {
        faults.push(FIELD, fault);
    } else if in_header.is_some_and(|other| other != key) {
        faults.push(FIELD, "is another one than the header Idempotency-Key");
    }
    Some(key)
}
