//! From a request to [`Draft`]s, with every fault named at once.
//!
//! The grammar is checked first (400 when it is broken); then each field is read on its own, so one
//! faulty field hides no other; then the domain's rules look at the result (422 for both).

mod batch;
mod faults;
mod fields;
mod headers;
pub(super) mod idempotency_key;
mod ids;
pub(super) mod json;
mod payload;
pub(super) mod properties;
pub(super) mod raw;
pub(super) mod replay_filter;
mod terms;
mod time;
pub(super) mod webhook;

use std::borrow::Cow;

pub(super) use batch::{Batch, Form, batch};
pub(super) use faults::Faults;
pub(super) use ids::ids;
pub(super) use json::Malformed;
pub(super) use raw::{Raw, raw, refuse_headers};
pub(super) use replay_filter::replay_filter;
pub(super) use time::{EXPECTED as TIME_EXPECTED, time};

use super::problem::{Code, Problem};
use crate::domain::access::{Access, Denied};
use crate::domain::{Draft, Rules, WallTime};
use crate::relay::Keyed;

/// The alias of the default exchange in the `RabbitMQ` HTTP API.
const DEFAULT_EXCHANGE_ALIAS: &str = "amq.default";

/// The names of a message's fields, which the document of the API is compared with.
pub(super) const FIELDS: [&str; 13] = [
    "exchange",
    "routing_key",
    "payload",
    "payload_encoding",
    "properties",
    "mandatory",
    "ordering_key",
    "idempotency_key",
    "deliver_at",
    "delay_ms",
    "give_up_after_ms",
    "callback_url",
    "group",
];

/// Why a body is not what is expected.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// It is not JSON, or not of that form.
    Malformed(Malformed),
    /// Its fields are faulty.
    Faulty(Faults),
    /// It is one of its messages that its caller may not publish.
    Denied(Denied),
    /// It holds more items than this.
    TooMany(usize),
}

impl Refusal {
    /// The answer, with this code for faulty fields.
    pub(super) fn problem(self, code: Code) -> Problem {
        match self {
            Self::Malformed(Malformed(detail)) => Problem::new(Code::MalformedJson, detail),
            Self::Faulty(faults) => Problem::faulty(code, faults),
            Self::Denied(denied) => Problem::new(Code::Forbidden, denied.to_string()),
            Self::TooMany(max) => Problem::new(
                Code::TooManyItems,
                format!("at most {max} items are allowed in one request; nothing was done"),
            ),
        }
    }
}

/// Why a message is not taken.
#[derive(Debug, PartialEq)]
pub(super) enum Refused {
    /// Its fields are faulty.
    Faulty(Faults),
    /// Its caller may not publish it.
    Denied(Denied),
}

impl Refused {
    /// The answer.
    pub(super) fn problem(self) -> Problem {
        Refusal::from(self).problem(Code::InvalidMessage)
    }

    /// How many faults are listed.
    fn faults_listed(&self) -> usize {
        match self {
            Self::Faulty(faults) => faults.len(),
            Self::Denied(_) => 0,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Faulty(faults) => Self::Faulty(faults),
            Refused::Denied(denied) => Self::Denied(denied),
        }
    }
}

/// What every message of a request is read with.
#[derive(Clone, Copy)]
pub(super) struct Intake<'a> {
    /// Whose messages they are, and what that caller may do.
    pub(super) access: &'a Access,
    /// Whether that caller has something to sign callbacks with.
    pub(super) has_secret: bool,
    /// What they must fulfil.
    pub(super) rules: &'a Rules,
    /// When they come.
    pub(super) now: WallTime,
}

/// The message in `body`. `key` is the one that the request's headers give it, and `faults` are those
/// that they have.
pub(super) fn message(
    body: &[u8],
    intake: Intake<'_>,
    key: Option<Box<str>>,
    mut faults: Faults,
) -> Result<Keyed, Refusal> {
    let raw = json::object(body).map_err(Refusal::Malformed)?;
    let keyed = keyed(raw, intake, key, &mut faults);
    Ok(checked(keyed, intake, faults)?)
}

/// `keyed`, when neither the reading nor the rules have a fault to find, and its caller may publish it.
fn checked(keyed: Keyed, intake: Intake<'_>, mut faults: Faults) -> Result<Keyed, Refused> {
    let rules = intake.rules;
    for fault in rules.check(&keyed.draft, intake.has_secret, intake.now) {
        faults.add(fault);
    }
    if !faults.is_empty() {
        return Err(Refused::Faulty(faults));
    }
    let rights = &intake.access.rights;
    rights.check(&keyed.draft).map_err(Refused::Denied)?;
    Ok(keyed)
}

/// The name of an exchange, which has an alias when it is the default one.
pub(super) fn exchange<'a>(name: impl Into<Cow<'a, str>>) -> Box<str> {
    let name = name.into();
    if name == DEFAULT_EXCHANGE_ALIAS {
        return "".into();
    }
    name.into()
}

/// Reads what can be read; what is faulty has its default.
fn keyed(
    raw: &str,
    Intake { access, rules, .. }: Intake<'_>,
    key: Option<Box<str>>,
    faults: &mut Faults,
) -> Keyed {
    let [
        exchange,
        routing_key,
        payload,
        payload_encoding,
        properties,
        mandatory,
        ordering_key,
        idempotency_key,
        terms @ ..,
    ] = fields::read(raw, "", &FIELDS, faults);
    let exchange = fields::text(faults, "/exchange", exchange).unwrap_or_default();
    let exchange = self::exchange(String::from(exchange));
    let routing_key = fields::text(faults, "/routing_key", routing_key).unwrap_or_default();
    let depth_max = rules.limits.json_depth_max;
    let payload = payload::read(faults, payload, payload_encoding, depth_max);
    let mut properties = properties::read(faults, properties, &rules.limits);
    if payload.is_json {
        properties
            .content_type
            .get_or_insert_with(|| "application/json".into());
    }
    let mandatory = fields::flag(faults, "/mandatory", mandatory).unwrap_or(true);
    let ordering_key = fields::text(faults, "/ordering_key", ordering_key);
    let key = idempotency_key::of_field(idempotency_key, key, faults);
    let terms = terms::of_fields(faults, terms);
    let draft = Draft {
        caller: access.caller.clone(),
        exchange,
        routing_key,
        mandatory,
        ordering_key,
        properties,
        payload: payload.bytes,
        terms,
    };
    Keyed { draft, key }
}

#[cfg(test)]
mod tests;
