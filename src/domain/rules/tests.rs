use super::*;
use bytes::Bytes;

fn draft() -> Draft {
    Draft {
        caller: crate::domain::Caller::default(),
        exchange: "log.exchange".into(),
        routing_key: "info.log.key".into(),
        mandatory: true,
        ordering_key: None,
        properties: Properties::default(),
        payload: Bytes::from_static(b"hello"),
        terms: None,
    }
}

fn rules() -> Rules {
    Rules {
        limits: Limits::default(),
        broker_user: Some("guest".into()),
        webhook_allow: AllowList::default(),
    }
}

fn pointers(draft: &Draft) -> Vec<String> {
    rules()
        .check(draft, false, WallTime::default())
        .into_iter()
        .map(|fault| fault.pointer)
        .collect()
}

fn with_headers(headers: Table) -> Draft {
    let properties = Properties {
        headers,
        ..Properties::default()
    };
    Draft {
        properties,
        ..draft()
    }
}

#[test]
fn an_ordinary_message_has_no_fault() {
    assert_eq!(rules().check(&draft(), false, WallTime::default()), []);
}

#[test]
fn names_are_counted_in_bytes_not_in_characters() {
    let fits = "ä".repeat(127) + "x";
    let over = "ä".repeat(128);
    assert_eq!(
        pointers(&Draft {
            exchange: fits.into(),
            ..draft()
        }),
        [""; 0]
    );
    assert_eq!(
        pointers(&Draft {
            exchange: over.clone().into(),
            ..draft()
        }),
        ["/exchange"]
    );
    assert_eq!(
        pointers(&Draft {
            routing_key: over.clone().into(),
            ..draft()
        }),
        ["/routing_key"]
    );
    let keyed = Draft {
        ordering_key: Some(over.into()),
        ..draft()
    };
    assert_eq!(pointers(&keyed), ["/ordering_key"]);
}

#[test]
fn control_characters_are_refused_in_names_and_string_properties() {
    for bad in ["a\0b", "a\r\nb", "\u{7f}", "\u{85}"] {
        let draft = Draft {
            exchange: bad.into(),
            routing_key: bad.into(),
            properties: Properties {
                content_type: Some(bad.into()),
                app_id: Some(bad.into()),
                ..Properties::default()
            },
            ..draft()
        };
        assert_eq!(
            pointers(&draft),
            [
                "/exchange",
                "/routing_key",
                "/properties/content_type",
                "/properties/app_id"
            ]
        );
    }
}

#[test]
fn an_expiration_is_whole_milliseconds_in_digits() {
    let with = |expiration: &str| {
        let properties = Properties {
            expiration: Some(expiration.into()),
            ..Properties::default()
        };
        pointers(&Draft {
            properties,
            ..draft()
        })
    };
    for good in ["0", "60000", "4294967295", "007"] {
        assert_eq!(with(good), [""; 0], "{good}");
    }
    for bad in [
        "",
        "-1",
        "+1",
        "1.5",
        "4294967296",
        "99999999999999999999999",
        "1e3",
        "x",
    ] {
        assert_eq!(with(bad), ["/properties/expiration"], "{bad}");
    }
}

#[test]
fn only_the_user_of_the_connection_may_be_named() {
    let with = |user: &str| {
        let properties = Properties {
            user_id: Some(user.into()),
            ..Properties::default()
        };
        pointers(&Draft {
            properties,
            ..draft()
        })
    };
    assert_eq!(with("guest"), [""; 0]);
    assert_eq!(with("somebody"), ["/properties/user_id"]);
}

#[test]
fn direct_reply_to_is_refused() {
    let properties = Properties {
        reply_to: Some("amq.rabbitmq.reply-to".into()),
        ..Properties::default()
    };
    assert_eq!(
        pointers(&Draft {
            properties,
            ..draft()
        }),
        ["/properties/reply_to"]
    );
}

#[test]
fn reserved_headers_are_refused_in_any_case() {
    let draft = with_headers(vec![
        ("X-Amqpost-Id".into(), HeaderValue::Null),
        ("x-amqpostal".into(), HeaderValue::Null),
    ]);
    assert_eq!(pointers(&draft), ["/properties/headers/X-Amqpost-Id"]);
}

#[test]
fn copies_are_arrays_of_strings() {
    let text = |text: &str| HeaderValue::Text(text.into());
    let good = with_headers(vec![("CC".into(), HeaderValue::Array(vec![text("a")]))]);
    assert_eq!(pointers(&good), [""; 0]);
    let bad = with_headers(vec![
        ("CC".into(), text("a")),
        (
            "BCC".into(),
            HeaderValue::Array(vec![text("a"), HeaderValue::Int(1)]),
        ),
        ("cc".into(), text("an ordinary header")),
    ]);
    assert_eq!(
        pointers(&bad),
        ["/properties/headers/CC", "/properties/headers/BCC/1"]
    );
}

#[test]
fn header_names_are_short_strings_at_every_depth() {
    let long: Box<str> = "h".repeat(256).into();
    let inner = vec![(long.clone(), HeaderValue::Null)];
    let draft = with_headers(vec![(
        "a/b~c".into(),
        HeaderValue::Array(vec![HeaderValue::Bool(true), HeaderValue::Table(inner)]),
    )]);
    assert_eq!(
        pointers(&draft),
        [format!("/properties/headers/a~1b~0c/1/{long}")]
    );
}

#[test]
fn headers_and_payload_have_a_size() {
    // A table of one text: 4 for the table, 1 + 1 for the name, 1 + 4 for the text's head.
    let of = |len: usize| {
        with_headers(vec![(
            "h".into(),
            HeaderValue::Text("x".repeat(len - 11).into()),
        )])
    };
    assert_eq!(pointers(&of(64 << 10)), [""; 0]);
    assert_eq!(pointers(&of((64 << 10) + 1)), ["/properties/headers"]);
    let payload = Bytes::from(vec![0; (16 << 20) + 1]);
    assert_eq!(pointers(&Draft { payload, ..draft() }), ["/payload"]);
}
