use super::*;
use crate::domain::Limits;
use crate::domain::webhook::AllowList;

fn rules() -> Rules {
    Rules {
        limits: Limits::default(),
        broker_user: None,
        webhook_allow: AllowList::default(),
    }
}

fn read(body: &str) -> Result<Draft, Refusal> {
    read_keyed(body, None).map(|keyed| keyed.draft)
}

fn read_keyed(body: &str, key: Option<&str>) -> Result<Keyed, Refusal> {
    let intake = Intake {
        access: &Access::default(),
        has_secret: false,
        rules: &rules(),
        now: WallTime::default(),
    };
    message(
        body.as_bytes(),
        intake,
        key.map(Into::into),
        Faults::default(),
    )
}

/// The size is counted here while reading and by the domain afterwards; both must agree.
#[test]
fn headers_of_exactly_the_limit_are_read_and_one_byte_more_is_not() {
    let body = |len: usize| {
        // A table of one text: 4 for the table, 1 + 1 for the name, 1 + 4 for the text's head.
        let text = "x".repeat(len - 11);
        format!(r#"{{"payload":1,"properties":{{"headers":{{"h":"{text}"}}}}}}"#)
    };
    assert!(read(&body(64 << 10)).is_ok());
    assert!(matches!(
        read(&body((64 << 10) + 1)),
        Err(Refusal::Faulty(_))
    ));
}

#[test]
fn the_alias_of_the_default_exchange_is_its_name() {
    let exchange = |body: &str| read(body).expect("a message").exchange;
    assert_eq!(&*exchange(r#"{"payload":1,"exchange":"amq.default"}"#), "");
    assert_eq!(
        &*exchange(r#"{"payload":1,"exchange":"amq.direct"}"#),
        "amq.direct"
    );
}

#[test]
fn many_header_names_are_compared_quickly_and_all() {
    let header = |index: usize| format!(r#""h{index}":1"#);
    let mut headers: Vec<_> = (0..2000).map(header).collect();
    headers.push(header(1999));
    let headers = headers.join(",");
    let body = format!(r#"{{"payload":1,"properties":{{"headers":{{{headers}}}}}}}"#);
    let mut expected = Faults::default();
    expected.push("/properties/headers/h1999", "occurs more than once");
    assert_eq!(read(&body), Err(Refusal::Faulty(expected)));
}

#[test]
fn header_and_field_give_one_key_and_must_agree() {
    let key = |field: &str, header| {
        let body = format!(r#"{{"payload":1,"idempotency_key":{field}}}"#);
        read_keyed(&body, header).map(|keyed| keyed.key)
    };
    let k = || Some("k".into());
    assert_eq!(key("null", None), Ok(None));
    assert_eq!(key("null", Some("k")), Ok(k()));
    assert_eq!(key(r#""k""#, None), Ok(k()));
    assert_eq!(key(r#""\u006b""#, Some("k")), Ok(k()));
    let long = format!("\"{}\"", "ä".repeat(128));
    for (field, header) in [
        (r#""k""#, Some("K")),
        (r#""""#, None),
        (r#""""#, Some("k")),
        (r#""a\u0000""#, None),
        ("1", None),
        (&long, None),
    ] {
        let Err(Refusal::Faulty(faults)) = key(field, header) else {
            panic!("{field} is taken");
        };
        let (faults, _) = faults.into_parts();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].pointer, "/idempotency_key");
    }
}
