//! What a message must fulfil before the gateway takes it over.
//!
//! The broker punishes most of these by closing a channel or connection that other callers'
//! messages share, so they are refused before anything is published. Sources: AMQP 0-9-1 (short
//! strings hold 255 bytes), RabbitMQ's checks on `basic.publish`, and the gateway's own limits.

mod terms;

use std::fmt::Write as _;

use super::headers::{self, HeaderValue, Table};
use super::limits::{Limits, SHORT_STRING_BYTES_MAX};
use super::message::{Draft, Properties};
use super::time::WallTime;
use super::webhook::AllowList;

pub use terms::GIVE_UP_AFTER_MS_MAX;

/// Headers that start so are the gateway's own.
pub const RESERVED_HEADER_PREFIX: &str = "x-amqpost-";

/// RabbitMQ's `MAX_EXPIRY_TIMER`.
const EXPIRATION_MS_MAX: u64 = 4_294_967_295;

/// The pseudo-queue of RabbitMQ's direct reply-to, which needs a consumer on the same channel.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// One faulty field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands in the request, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

/// `pointer` with one more step, escaped as RFC 6901 says.
#[must_use]
pub fn pointer_step(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// The rules of one gateway.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Sizes.
    pub limits: Limits,
    /// The user of the broker connection: the only `user_id` that RabbitMQ lets pass. `None` when
    /// connections have different users.
    pub broker_user: Option<Box<str>>,
    /// Where webhooks may go besides public addresses.
    pub webhook_allow: AllowList,
}

impl Rules {
    /// Every fault of `draft`, which comes at `now`, in the order of its fields; none means that it may
    /// be accepted. `has_secret` says whether its caller has something to sign callbacks with.
    #[must_use]
    pub fn check(&self, draft: &Draft, has_secret: bool, now: WallTime) -> Vec<Fault> {
        let mut faults = Vec::new();
        name(&mut faults, "/exchange", &draft.exchange);
        name(&mut faults, "/routing_key", &draft.routing_key);
        if let Some(key) = &draft.ordering_key {
            name(&mut faults, "/ordering_key", key);
        }
        let payload_max = self.limits.payload_bytes_max;
        if draft.payload.len() > payload_max {
            let size = draft.payload.len();
            faults.push(Fault::new(
                "/payload",
                format!("is {size} bytes long, at most {payload_max} are allowed"),
            ));
        }
        self.properties(&mut faults, &draft.properties);
        if let Some(terms) = &draft.terms {
            self.terms(&mut faults, terms, has_secret, now);
        }
        faults
    }

    fn properties(&self, faults: &mut Vec<Fault>, properties: &Properties) {
        let strings = [
            ("content_type", &properties.content_type),
            ("content_encoding", &properties.content_encoding),
            ("correlation_id", &properties.correlation_id),
            ("reply_to", &properties.reply_to),
            ("expiration", &properties.expiration),
            ("message_id", &properties.message_id),
            ("type", &properties.kind),
            ("user_id", &properties.user_id),
            ("app_id", &properties.app_id),
        ];
        for (field, value) in strings {
            if let Some(value) = value {
                name(faults, &format!("/properties/{field}"), value);
            }
        }
        if let Some(expiration) = &properties.expiration {
            check_expiration(faults, expiration);
        }
        if properties.reply_to.as_deref() == Some(DIRECT_REPLY_TO) {
            faults.push(Fault::new(
                "/properties/reply_to",
                format!("{DIRECT_REPLY_TO} works only for a consumer on the publishing channel"),
            ));
        }
        if let (Some(user_id), Some(user)) = (&properties.user_id, &self.broker_user)
            && user_id != user
        {
            faults.push(Fault::new(
                "/properties/user_id",
                "is not the user that the gateway is connected as, and RabbitMQ allows no other",
            ));
        }
        self.headers(faults, &properties.headers);
    }

    fn headers(&self, faults: &mut Vec<Fault>, table: &Table) {
        const AT: &str = "/properties/headers";
        for (header, value) in table {
            let reserved = header
                .get(..RESERVED_HEADER_PREFIX.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_HEADER_PREFIX));
            if reserved {
                faults.push(Fault::new(
                    pointer_step(AT, header),
                    format!("headers that start with {RESERVED_HEADER_PREFIX} are the gateway's"),
                ));
            }
            if matches!(&**header, "CC" | "BCC") {
                check_copies(faults, &pointer_step(AT, header), value);
            }
        }
        header_names(faults, AT, table);
        let (size, max) = (headers::encoded_len(table), self.limits.headers_bytes_max);
        if size > max {
            faults.push(Fault::new(
                AT,
                format!("take {size} bytes as AMQP encodes them, at most {max} are allowed"),
            ));
        }
    }
}

/// What is wrong with an idempotency key: it has 1 to 255 bytes and no control characters.
#[must_use]
pub fn check_idempotency_key(key: &str) -> Option<String> {
    fault_of_label(key)
}

/// What is wrong with a name that must not be empty, such as a group's.
#[must_use]
pub fn fault_of_label(label: &str) -> Option<String> {
    if label.is_empty() {
        return Some("is empty".to_owned());
    }
    fault_of_name(label)
}

fn name(faults: &mut Vec<Fault>, pointer: &str, value: &str) {
    if let Some(detail) = fault_of_name(value) {
        faults.push(Fault::new(pointer, detail));
    }
}

/// What is wrong with a name, such as an exchange's: it has at most 255 bytes and no control characters.
#[must_use]
pub fn fault_of_name(value: &str) -> Option<String> {
    let mut detail = String::new();
    if value.len() > SHORT_STRING_BYTES_MAX {
        let _ = write!(
            detail,
            "is {} bytes long as UTF-8, at most {SHORT_STRING_BYTES_MAX} are allowed",
            value.len()
        );
    } else if value.chars().any(char::is_control) {
        detail.push_str("contains a control character");
    } else {
        return None;
    }
    Some(detail)
}

fn check_expiration(faults: &mut Vec<Fault>, expiration: &str) {
    let digits = !expiration.is_empty() && expiration.bytes().all(|byte| byte.is_ascii_digit());
    let fits = expiration
        .parse::<u64>()
        .is_ok_and(|ms| ms <= EXPIRATION_MS_MAX);
    if !digits || !fits {
        faults.push(Fault::new(
            "/properties/expiration",
            format!("must be whole milliseconds in digits, 0 to {EXPIRATION_MS_MAX}"),
        ));
    }
}

/// RabbitMQ routes by the strings in CC and BCC too, and closes the channel on anything else.
fn check_copies(faults: &mut Vec<Fault>, pointer: &str, value: &HeaderValue) {
    let HeaderValue::Array(keys) = value else {
        faults.push(Fault::new(
            pointer,
            "must be an array of strings (further routing keys)",
        ));
        return;
    };
    for (index, key) in keys.iter().enumerate() {
        match key {
            HeaderValue::Text(key) => name(faults, &format!("{pointer}/{index}"), key),
            _ => faults.push(Fault::new(
                format!("{pointer}/{index}"),
                "must be a string (a further routing key)",
            )),
        }
    }
}

fn header_names(faults: &mut Vec<Fault>, pointer: &str, table: &Table) {
    for (header, value) in table {
        let at = pointer_step(pointer, header);
        name(faults, &at, header);
        header_value_names(faults, &at, value);
    }
}

fn header_value_names(faults: &mut Vec<Fault>, pointer: &str, value: &HeaderValue) {
    match value {
        HeaderValue::Table(table) => header_names(faults, pointer, table),
        HeaderValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if matches!(item, HeaderValue::Table(_) | HeaderValue::Array(_)) {
                    header_value_names(faults, &format!("{pointer}/{index}"), item);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
