//! Bodies with faulty fields: every one is named, by its exact pointer.

use super::model::Rig;
use super::refusing::assert_refused;

#[tokio::test]
async fn every_faulty_field_is_named_by_its_pointer() {
    let all = [
        wrong_types(),
        wrong_names(),
        wrong_values(),
        wrong_expirations(),
        wrong_headers(),
        wrong_payloads(),
        wrong_characters(),
        several_at_once(),
    ];
    for (body, pointers) in all.concat() {
        let rig = Rig::new();
        let answer = rig.publish(body.clone()).await;
        assert_refused(&rig, &answer, 422, "invalid_message", &body);
        let shown = body.get(..300).unwrap_or(&body);
        assert_eq!(answer.pointers(), pointers, "{shown}");
    }
}

/// A faulty body with the pointers of its faults.
type Faulty = (String, Vec<&'static str>);

pub(super) fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

fn with(text: &str) -> String {
    format!(r#"{{"payload":1,{text}}}"#)
}

fn property(text: &str) -> String {
    with(&format!(r#""properties":{{{text}}}"#))
}

fn header(text: &str) -> String {
    property(&format!(r#""headers":{{{text}}}"#))
}

/// Absent, or of another type than it must be.
fn wrong_types() -> Vec<Faulty> {
    vec![
        ("{}".to_owned(), vec!["/payload"]),
        (
            r#"{"payload_encoding":"json"}"#.to_owned(),
            vec!["/payload"],
        ),
        (with(r#""exchange":1"#), vec!["/exchange"]),
        (with(r#""routing_key":[]"#), vec!["/routing_key"]),
        (with(r#""mandatory":"true""#), vec!["/mandatory"]),
        (with(r#""mandatory":1"#), vec!["/mandatory"]),
        (with(r#""ordering_key":{}"#), vec!["/ordering_key"]),
        (with(r#""properties":[]"#), vec!["/properties"]),
        (with(r#""payload_encoding":1"#), vec!["/payload_encoding"]),
        (
            with(r#""payload_encoding":"hex""#),
            vec!["/payload_encoding"],
        ),
        (property(r#""headers":[]"#), vec!["/properties/headers"]),
        (property(r#""app_id":1"#), vec!["/properties/app_id"]),
        (property(r#""type":true"#), vec!["/properties/type"]),
    ]
}

/// Fields that nobody knows, or that are given twice.
fn wrong_names() -> Vec<Faulty> {
    vec![
        (with(r#""payloda":1"#), vec!["/payloda"]),
        (with(r#""a/b~c":1"#), vec!["/a~1b~0c"]),
        (with(r#""":1"#), vec!["/"]),
        (with(r#""Exchange":"x""#), vec!["/Exchange"]),
        (property(r#""priorty":1"#), vec!["/properties/priorty"]),
        (with(r#""payload":2"#), vec!["/payload"]),
        (
            with(r#""exchange":"a","\u0065xchange":"b""#),
            vec!["/exchange"],
        ),
        (
            property(r#""priority":1,"priority":1"#),
            vec!["/properties/priority"],
        ),
        (header(r#""a":1,"a":1"#), vec!["/properties/headers/a"]),
        (
            header(r#""t":[{"a":1,"a":2}]"#),
            vec!["/properties/headers/t/0/a"],
        ),
    ]
}

/// Names and properties that AMQP or the broker cannot take.
fn wrong_values() -> Vec<Faulty> {
    let long = "ä".repeat(128);
    vec![
        (with(&format!(r#""exchange":"{long}""#)), vec!["/exchange"]),
        (
            with(&format!(r#""routing_key":"{long}""#)),
            vec!["/routing_key"],
        ),
        (
            with(&format!(r#""ordering_key":"{long}""#)),
            vec!["/ordering_key"],
        ),
        (with(r#""exchange":"a\u0000b""#), vec!["/exchange"]),
        (with(r#""routing_key":"a\r\nb""#), vec!["/routing_key"]),
        (
            property(&format!(r#""app_id":"{long}""#)),
            vec!["/properties/app_id"],
        ),
        (
            property(r#""content_type":"a\r\nb""#),
            vec!["/properties/content_type"],
        ),
        (property(r#""priority":256"#), vec!["/properties/priority"]),
        (property(r#""priority":-1"#), vec!["/properties/priority"]),
        (property(r#""priority":1.0"#), vec!["/properties/priority"]),
        (property(r#""priority":"1""#), vec!["/properties/priority"]),
        (
            property(r#""delivery_mode":3"#),
            vec!["/properties/delivery_mode"],
        ),
        (
            property(r#""delivery_mode":0"#),
            vec!["/properties/delivery_mode"],
        ),
        (property(r#""timestamp":-1"#), vec!["/properties/timestamp"]),
        (
            property(r#""timestamp":1.5"#),
            vec!["/properties/timestamp"],
        ),
        (
            property(r#""timestamp":18446744073709551616"#),
            vec!["/properties/timestamp"],
        ),
        (
            property(r#""user_id":"somebody""#),
            vec!["/properties/user_id"],
        ),
        (
            property(r#""reply_to":"amq.rabbitmq.reply-to""#),
            vec!["/properties/reply_to"],
        ),
    ]
}

/// Headers that AMQP cannot carry, and reserved ones.
fn wrong_headers() -> Vec<Faulty> {
    let large = "x".repeat(65 << 10);
    vec![
        (
            header(r#""x-amqpost-id":"x""#),
            vec!["/properties/headers/x-amqpost-id"],
        ),
        (header(r#""CC":"a""#), vec!["/properties/headers/CC"]),
        (
            header(r#""BCC":["a",1]"#),
            vec!["/properties/headers/BCC/1"],
        ),
        (
            header(r#""i":9223372036854775808"#),
            vec!["/properties/headers/i"],
        ),
        (
            header(r#""i":[-9223372036854775809]"#),
            vec!["/properties/headers/i/0"],
        ),
        (header(r#""d":1e999"#), vec!["/properties/headers/d"]),
        (
            header(&format!(r#""s":"{large}""#)),
            vec!["/properties/headers"],
        ),
        (
            header(&format!(r#""d":{}"#, deep(128))),
            vec!["/properties/headers/d"],
        ),
        (
            header(&format!(r#""d":{}"#, deep(5000))),
            vec!["/properties/headers/d"],
        ),
    ]
}

/// Payloads that are not what they say.
fn wrong_payloads() -> Vec<Faulty> {
    vec![
        (
            r#"{"payload_encoding":"base64","payload":"a"}"#.to_owned(),
            vec!["/payload"],
        ),
        (
            r#"{"payload_encoding":"base64","payload":"eA"}"#.to_owned(),
            vec!["/payload"],
        ),
        (
            r#"{"payload_encoding":"base64","payload":"-_=="}"#.to_owned(),
            vec!["/payload"],
        ),
        (
            r#"{"payload_encoding":"base64","payload":1}"#.to_owned(),
            vec!["/payload"],
        ),
        (
            r#"{"payload_encoding":"base64","payload":null}"#.to_owned(),
            vec!["/payload"],
        ),
        (format!(r#"{{"payload":{}}}"#, deep(129)), vec!["/payload"]),
        (format!(r#"{{"payload":{}}}"#, deep(5000)), vec!["/payload"]),
        (format!(r#"{{"payload":1,"x":{}}}"#, deep(5000)), vec!["/x"]),
        (
            format!(r#"{{"payload":1,"exchange":{}}}"#, deep(5000)),
            vec!["/exchange"],
        ),
    ]
}

/// Half a surrogate pair, wherever a string is used.
fn wrong_characters() -> Vec<Faulty> {
    vec![
        (r#"{"payload":"\ud800"}"#.to_owned(), vec!["/payload"]),
        (
            r#"{"payload":[{"a":"x\udc00"}]}"#.to_owned(),
            vec!["/payload"],
        ),
        (r#"{"payload":{"\ud800":1}}"#.to_owned(), vec!["/payload"]),
        (with(r#""exchange":"\ud800x""#), vec!["/exchange"]),
        (header(r#""s":"\udfff""#), vec!["/properties/headers/s"]),
        (header(r#""\udfff":1"#), vec!["/properties/headers"]),
        (property(r#""\udfff":1"#), vec!["/properties"]),
        (with(r#""\udfff":1"#), vec![""]),
    ]
}

/// All faults of one body.
fn several_at_once() -> Vec<Faulty> {
    vec![
        (
            r#"{"exchange":1,"x":1,"mandatory":0,"properties":{"priority":300,"y":1,"reply_to":"amq.rabbitmq.reply-to","headers":{"i":1e999,"CC":1}}}"#.to_owned(),
            vec![
                "/x",
                "/exchange",
                "/payload",
                "/properties/y",
                "/properties/headers/i",
                "/properties/priority",
                "/mandatory",
                "/properties/reply_to",
                "/properties/headers/CC",
            ],
        ),
    ]
}

/// Expirations that are not whole milliseconds.
fn wrong_expirations() -> Vec<Faulty> {
    [
        "-1",
        "1.5",
        "1e3",
        "4294967296",
        "true",
        r#""-1""#,
        r#""1.5""#,
        r#""""#,
        r#""\u0001""#,
    ]
    .iter()
    .map(|bad| {
        let body = property(&format!(r#""expiration":{bad}"#));
        (body, vec!["/properties/expiration"])
    })
    .collect()
}
