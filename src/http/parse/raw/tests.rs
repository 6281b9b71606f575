use super::*;
use crate::domain::access::Access;
use crate::domain::webhook::AllowList;
use crate::domain::{Limits, Rules, WallTime};

fn read(
    exchange: Option<&str>,
    options: [Option<&str>; 8],
    headers: &[(&'static str, &[u8])],
) -> Result<Draft, Vec<String>> {
    read_keyed(exchange, options, headers).map(|keyed| keyed.draft)
}

fn read_keyed(
    exchange: Option<&str>,
    options: [Option<&str>; 8],
    headers: &[(&'static str, &[u8])],
) -> Result<Keyed, Vec<String>> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).expect("a value");
        map.append(HeaderName::from_static(name), value);
    }
    let rules = Rules {
        limits: Limits::default(),
        broker_user: None,
        webhook_allow: AllowList::default(),
    };
    let intake = Intake {
        access: &Access::default(),
        has_secret: false,
        rules: &rules,
        now: WallTime::default(),
    };
    let request = Raw {
        exchange: exchange.map(Into::into),
        options,
        headers: &map,
        body: Bytes::from_static(b"\0\xff"),
    };
    raw(request, intake).map_err(|refused| {
        let Refused::Faulty(faults) = refused else {
            panic!("{refused:?}");
        };
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
fn a_key_is_taken_as_it_is_written() {
    let longest = "k".repeat(255);
    for key in ["k", "\"k\"", "kä %41", &longest] {
        let keyed = read_keyed(Some("x"), NONE, &[("idempotency-key", key.as_bytes())]);
        assert_eq!(keyed.expect("a message").key.as_deref(), Some(key));
    }
    let too_long = longest + "k";
    let refused = read(Some("x"), NONE, &[("idempotency-key", too_long.as_bytes())]);
    assert_eq!(refused.expect_err("too long"), ["/idempotency_key"]);
    let none = read_keyed(Some("x"), NONE, &[]).expect("a message");
    assert_eq!(none.key, None);
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
    options[4] = Some("-1");
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
        (
            Some("x"),
            NONE,
            &[("idempotency-key", b"")],
            vec!["/idempotency_key"],
        ),
        (
            Some("x"),
            NONE,
            &[("idempotency-key", b"k"), ("idempotency-key", b"k")],
            vec!["/idempotency_key"],
        ),
        (
            Some("x"),
            NONE,
            &[("idempotency-key", b"\xff")],
            vec!["/idempotency_key"],
        ),
        (
            Some("x"),
            NONE,
            &[("idempotency-key", b"a\tb")],
            vec!["/idempotency_key"],
        ),
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
