//! A message whose payload is the body: everything else stands in the path, the query and the headers.
//!
//! Faults are named by where the field would stand in the JSON form.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::faults::Faults;
use super::fields::NOT_YET;
use super::{checked, exchange};
use crate::domain::rules::pointer_step;
use crate::domain::{self, Caller, DeliveryMode, Draft, Properties, Rules};

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
pub(crate) fn raw(request: Raw<'_>, caller: &Caller, rules: &Rules) -> Result<Draft, Faults> {
    let mut faults = Faults::default();
    let [routing_key, mandatory, ordering_key, not_yet @ ..] = request.options;
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
    for (name, value) in OPTIONS
        .iter()
        .skip(OPTIONS.len() - not_yet.len())
        .zip(not_yet)
    {
        if value.is_some() {
            faults.push(pointer_step("", name), NOT_YET);
        }
    }
    let draft = Draft {
        caller: caller.clone(),
        exchange: exchange(request.exchange.unwrap_or_default()),
        routing_key: routing_key.unwrap_or_default().into(),
        mandatory,
        ordering_key: ordering_key.map(Into::into),
        properties: properties(request.headers, &mut faults),
        payload: request.body,
    };
    checked(draft, rules, faults)
}

fn properties(headers: &HeaderMap, faults: &mut Faults) -> Properties {
    let mut properties = Properties::default();
    for name in headers.keys() {
        let field = match name.as_str() {
            "content-type" => "content_type",
            "content-encoding" => "content_encoding",
            "idempotency-key" => {
                faults.push("", format!("the header Idempotency-Key is {NOT_YET}"));
                continue;
            }
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
fn only<'h>(
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
mod tests {
    use super::*;
    use crate::domain::Limits;

    fn read(
        exchange: Option<&str>,
        options: [Option<&str>; 8],
        headers: &[(&'static str, &[u8])],
    ) -> Result<Draft, Vec<String>> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).expect("a value");
            map.append(HeaderName::from_static(name), value);
        }
        let rules = Rules {
            limits: Limits::default(),
            broker_user: None,
        };
        let request = Raw {
            exchange: exchange.map(Into::into),
            options,
            headers: &map,
            body: Bytes::from_static(b"\0\xff"),
        };
        raw(request, &Caller::default(), &rules).map_err(|faults| {
            let (faults, _) = faults.into_parts();
            faults.into_iter().map(|fault| fault.pointer).collect()
        })
    }

    const NONE: [Option<&str>; 8] = [None; 8];

    #[test]
    fn everything_reaches_the_message() {
        let mut options = NONE;
        options[..3].copy_from_slice(&[Some("k"), Some("false"), Some("o")]);
        let draft = read(
            Some("amq.default"),
            options,
            &[
                ("content-type", b"text/plain"),
                ("content-encoding", b"gzip"),
                ("amqp-message-id", b"m"),
                ("amqp-correlation-id", "c\u{e4}".as_bytes()),
                ("amqp-reply-to", b"r"),
                ("amqp-expiration", b"60000"),
                ("amqp-priority", b"9"),
                ("amqp-type", b"t"),
                ("amqp-app-id", b""),
                ("amqp-user-id", b"u"),
                ("amqp-timestamp", b"1795341600"),
                ("amqp-delivery-mode", b"1"),
                ("amqp-header-x-tenant", b"a"),
                ("amqp-header-b", b"1"),
                ("user-agent", b"test"),
            ],
        )
        .expect("a message");
        let text = |text: &str| domain::HeaderValue::Text(text.into());
        let expected = Properties {
            content_type: Some("text/plain".into()),
            content_encoding: Some("gzip".into()),
            headers: vec![("x-tenant".into(), text("a")), ("b".into(), text("1"))],
            delivery_mode: DeliveryMode::Transient,
            priority: Some(9),
            correlation_id: Some("cä".into()),
            reply_to: Some("r".into()),
            expiration: Some("60000".into()),
            message_id: Some("m".into()),
            timestamp: Some(1_795_341_600),
            kind: Some("t".into()),
            user_id: Some("u".into()),
            app_id: Some("".into()),
        };
        assert_eq!(draft.properties, expected);
        assert_eq!((&*draft.exchange, &*draft.routing_key), ("", "k"));
        assert_eq!(
            (draft.mandatory, draft.ordering_key.as_deref()),
            (false, Some("o"))
        );
        assert_eq!(&*draft.payload, b"\0\xff");
    }

    #[test]
    fn every_known_header_is_set_somewhere() {
        for name in HEADERS {
            let draft = read(Some("x"), NONE, &[(name, b"1")]).expect("a message");
            assert_ne!(draft.properties, Properties::default(), "{name}");
        }
    }

    #[test]
    fn every_fault_is_named_where_the_json_form_has_it() {
        let mut options = NONE;
        options[1] = Some("maybe");
        options[4] = Some("1");
        for (exchange, options, headers, pointers) in [
            (None, NONE, &[][..], vec!["/exchange"]),
            (Some("x"), options, &[], vec!["/mandatory", "/delay_ms"]),
            (
                Some("x"),
                NONE,
                &[("amqp-priority", &b"256"[..])],
                vec!["/properties/priority"],
            ),
            (
                Some("x"),
                NONE,
                &[("amqp-priority", b"+1")],
                vec!["/properties/priority"],
            ),
            (
                Some("x"),
                NONE,
                &[("amqp-delivery-mode", b"3")],
                vec!["/properties/delivery_mode"],
            ),
            (
                Some("x"),
                NONE,
                &[("amqp-timestamp", b"")],
                vec!["/properties/timestamp"],
            ),
            (
                Some("x"),
                NONE,
                &[("amqp-expiration", b"1s")],
                vec!["/properties/expiration"],
            ),
            (
                Some("x"),
                NONE,
                &[("amqp-type", b"\xff")],
                vec!["/properties/type"],
            ),
            (Some("x"), NONE, &[("amqp-prority", b"1")], vec![""]),
            (Some("x"), NONE, &[("idempotency-key", b"1")], vec![""]),
            (
                Some("x"),
                NONE,
                &[("amqp-header-", b"1")],
                vec!["/properties/headers/"],
            ),
            (
                Some("x"),
                NONE,
                &[
                    ("amqp-header-a", b"1"),
                    ("amqp-header-a", b"2"),
                    ("content-type", b"a"),
                    ("content-type", b"b"),
                ],
                vec!["/properties/headers/a", "/properties/content_type"],
            ),
            (
                Some("x"),
                NONE,
                &[("amqp-header-x-amqpost-id", b"1")],
                vec!["/properties/headers/x-amqpost-id"],
            ),
        ] {
            let found = read(exchange, options, headers).expect_err("a fault");
            assert_eq!(found, pointers, "{headers:?}");
        }
    }
}
