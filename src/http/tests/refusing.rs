//! Every bad request, with the exact answer, and that nothing of it was accepted.

use axum::body::Body;
use axum::http::{Method, Request};

use super::super::Settings;
use super::model::{Answer, Rig};
use crate::domain::Limits;

fn assert_refused(rig: &Rig, answer: &Answer, status: u16, code: &str, what: &str) {
    let what = what.get(..200).unwrap_or(what);
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (status, code),
        "{what}"
    );
    assert!(rig.model.accepted.lock().is_empty(), "{what}");
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_malformed() {
    let deep = "[".repeat(5000);
    let bodies: [&[u8]; 16] = [
        b"",
        b"   ",
        b"hello",
        b"{",
        b"{\"payload\":1",
        b"{\"payload\":1}}",
        b"{\"payload\":1} x",
        b"{\"payload\":01}",
        b"{'payload':1}",
        b"{\"payload\":\"a\nb\"}",
        b"{\"payload\":\"\xff\"}",
        b"\xef\xbb\xbf{\"payload\":1}",
        b"[{\"payload\":1}]",
        b"null",
        b"\"x\"",
        deep.as_bytes(),
    ];
    for body in bodies {
        let rig = Rig::new();
        let answer = rig.publish(body.to_vec()).await;
        let shown = String::from_utf8_lossy(body);
        assert_refused(&rig, &answer, 400, "malformed_json", &shown);
        assert_eq!(answer.pointers(), [""; 0]);
    }
    let answer = Rig::new().publish("{\n\"payload\": x}").await;
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("line 2 column 12"), "{detail}");
}

/// A faulty body with the pointers of its faults.
type Faulty = (String, Vec<&'static str>);

fn deep(levels: usize) -> String {
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

#[tokio::test]
async fn what_is_not_built_yet_is_refused_and_not_ignored() {
    for (field, value) in [
        ("idempotency_key", "\"k\""),
        ("deliver_at", "\"2026-11-22T10:00:00Z\""),
        ("delay_ms", "1"),
        ("give_up_after_ms", "1"),
        ("callback_url", "\"http://h/\""),
        ("group", "\"g\""),
    ] {
        let rig = Rig::new();
        let answer = rig
            .publish(format!(r#"{{"payload":1,"{field}":{value}}}"#))
            .await;
        assert_refused(&rig, &answer, 422, "invalid_message", field);
        assert_eq!(answer.pointers(), [format!("/{field}")]);
        assert_eq!(
            answer.json()["errors"][0]["detail"],
            "not supported by this version yet"
        );
    }
    let rig = Rig::new();
    let headers = [("idempotency-key", "k"), ("amqp-priority", "1")];
    let answer = rig.publish_with(&headers, r#"{"payload":1,"x":1}"#).await;
    assert_refused(&rig, &answer, 422, "invalid_message", "headers");
    assert_eq!(answer.pointers(), ["", "", "/x"]);
}

#[tokio::test]
async fn nesting_of_exactly_the_limit_is_accepted() {
    let (payload, header) = (deep(128), deep(127));
    let body = format!(r#"{{"payload":{payload},"properties":{{"headers":{{"h":{header}}}}}}}"#);
    assert_eq!(Rig::new().publish(body).await.status.as_u16(), 202);
}

#[tokio::test]
async fn a_million_levels_of_nesting_end_nothing() {
    for (prefix, suffix) in [
        ("{\"payload\":", "}"),
        ("{\"payload\":1,\"x\":", "}"),
        ("{\"payload\":1,\"properties\":", "}"),
        ("{\"payload\":1,\"properties\":{\"headers\":{\"h\":", "}}}"),
    ] {
        let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
        let rig = Rig::new();
        let answer = rig.publish(format!("{prefix}{open}{close}{suffix}")).await;
        assert_refused(&rig, &answer, 422, "invalid_message", prefix);
    }
}

#[tokio::test]
async fn a_body_of_faults_has_an_answer_of_bounded_size() {
    let fields: Vec<_> = (0..100_000)
        .map(|index| format!(r#""f{index}":1"#))
        .collect();
    let rig = Rig::new();
    let answer = rig.publish(format!("{{{}}}", fields.join(","))).await;
    assert_refused(&rig, &answer, 422, "invalid_message", "many");
    assert_eq!(answer.pointers().len(), 100);
}

#[tokio::test]
async fn only_json_is_taken() {
    for headers in [
        &[("host", "localhost")][..],
        &[("host", "localhost"), ("content-type", "text/plain")],
        &[
            ("host", "localhost"),
            ("content-type", "application/json; charset=latin1"),
        ],
        &[
            ("host", "localhost"),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
        &[
            ("host", "localhost"),
            ("content-type", "application/json"),
            ("content-type", "a/b"),
        ],
    ] {
        let rig = Rig::new();
        let mut request = Request::post("/v1/messages");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Body::from(r#"{"payload":1}"#))
            .expect("a request");
        let answer = rig.send(request).await;
        assert_refused(
            &rig,
            &answer,
            415,
            "unsupported_media_type",
            &format!("{headers:?}"),
        );
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let limits = Limits {
        body_bytes_max: 13,
        ..Limits::default()
    };
    let rig = Rig::with(limits, Settings::default());
    let answer = rig.publish(r#"{"payload":1 }"#).await;
    assert_refused(&rig, &answer, 413, "body_too_large", "14 bytes");
    assert_eq!(rig.publish(r#"{"payload":1}"#).await.status.as_u16(), 202);
}

#[tokio::test]
async fn large_bodies_share_a_budget_that_is_given_back() {
    let settings = Settings {
        bodies_bytes_max: 64 << 10,
        ..Settings::default()
    };
    let rig = Rig::with(Limits::default(), settings);
    let body = |len: usize| format!(r#"{{"payload":"{}"}}"#, "x".repeat(len));
    for _ in 0..3 {
        let answer = rig.publish(body(200 << 10)).await;
        assert_refused(&rig, &answer, 503, "overloaded", "200 KiB");
    }
    for _ in 0..3 {
        assert_eq!(rig.publish(body(100 << 10)).await.status.as_u16(), 202);
    }
}

#[tokio::test]
async fn query_parameters_are_refused() {
    let rig = Rig::new();
    let answer = rig
        .get("/v1/messages/0193a5c4-0000-7000-8000-000000000000?wait=5")
        .await;
    assert_refused(&rig, &answer, 400, "invalid_query", "get");
    let request = Request::post("/v1/messages?mandatory=false")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from(r#"{"payload":1}"#))
        .expect("a request");
    let answer = rig.send(request).await;
    assert_refused(&rig, &answer, 400, "invalid_query", "post");
}

#[tokio::test]
async fn other_paths_and_other_methods_are_problems_too() {
    let rig = Rig::new();
    for path in [
        "/",
        "/v1",
        "/v1/messages/",
        "/v1/events",
        "/v1/messages/x/replay",
        "/metrics",
    ] {
        let answer = rig.get(path).await;
        assert_refused(&rig, &answer, 404, "not_found", path);
    }
    for (method, path, allowed) in [
        (Method::GET, "/v1/messages", "POST"),
        (Method::DELETE, "/v1/messages/x", "GET,HEAD"),
        (Method::POST, "/v1/messages/batch", "GET,HEAD"),
        (Method::OPTIONS, "/healthz", "GET,HEAD"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost");
        let answer = rig
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_refused(&rig, &answer, 405, "method_not_allowed", path);
        assert_eq!(answer.header("allow"), Some(allowed));
    }
}
