//! From the body of a request to a [`Draft`], with every fault named at once.
//!
//! The grammar is checked first (400 when it is broken); then each field is read on its own, so one
//! faulty field hides no other; then the domain's rules look at the result (422 for both).

mod faults;
mod fields;
mod headers;
pub(super) mod json;
mod payload;
pub(super) mod properties;

pub(super) use faults::Faults;
pub(super) use fields::NOT_YET;
pub(super) use json::Malformed;

use crate::domain::{Draft, Rules};

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

/// Why a body is not a message.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// It is not a JSON object.
    Malformed(Malformed),
    /// Its fields are faulty.
    Faulty(Faults),
}

/// The message in `body`. `faults` are those that the request's headers have.
pub(super) fn message(body: &[u8], rules: &Rules, mut faults: Faults) -> Result<Draft, Refusal> {
    let raw = json::object(body).map_err(Refusal::Malformed)?;
    let draft = draft(raw, rules, &mut faults);
    for fault in rules.check(&draft) {
        faults.add(fault);
    }
    if faults.is_empty() {
        Ok(draft)
    } else {
        Err(Refusal::Faulty(faults))
    }
}

/// Reads what can be read; what is faulty has its default.
fn draft(raw: &str, rules: &Rules, faults: &mut Faults) -> Draft {
    let [
        exchange,
        routing_key,
        payload,
        payload_encoding,
        properties,
        mandatory,
        ordering_key,
        not_yet @ ..,
    ] = fields::read(raw, "", &FIELDS, faults);
    let exchange = fields::text(faults, "/exchange", exchange).unwrap_or_default();
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
    let later = FIELDS.iter().skip(FIELDS.len() - not_yet.len());
    for (name, value) in later.zip(not_yet) {
        fields::not_yet(faults, name, value);
    }
    Draft {
        caller: crate::domain::Caller::default(),
        exchange: if &*exchange == DEFAULT_EXCHANGE_ALIAS {
            "".into()
        } else {
            exchange
        },
        routing_key,
        mandatory,
        ordering_key,
        properties,
        payload: payload.bytes,
    }
}

#[cfg(test)]
mod tests;
