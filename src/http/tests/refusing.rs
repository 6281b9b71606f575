//! Every bad request, with the exact answer, and that nothing of it was accepted.

use axum::body::Body;
use axum::http::{Method, Request};

use super::super::Settings;
use super::faulty::deep;
use super::model::{Answer, Rig};
use crate::domain::Limits;

pub(super) fn assert_refused(rig: &Rig, answer: &Answer, status: u16, code: &str, what: &str) {
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

#[tokio::test]
async fn what_would_silently_mean_nothing_is_refused() {
    let rig = Rig::new();
    let headers = [("idempotency-key", ""), ("amqp-priority", "1")];
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
        "/v1/event",
        "/v1/messages/x/replays",
        "/v1/groups",
        "/v1/groups/",
    ] {
        let answer = rig.get(path).await;
        assert_refused(&rig, &answer, 404, "not_found", path);
    }
    for (method, path, allowed) in [
        (Method::PUT, "/v1/messages", "POST,GET,HEAD"),
        (Method::DELETE, "/v1/messages/x", "GET,HEAD"),
        (Method::GET, "/v1/messages/batch", "POST"),
        (Method::GET, "/v1/messages/lookup", "POST"),
        (Method::POST, "/v1/messages/x/payload", "GET,HEAD"),
        (Method::GET, "/v1/messages/x/cancel", "POST"),
        (Method::GET, "/v1/messages/x/replay", "POST"),
        (Method::GET, "/v1/replays", "POST"),
        (Method::DELETE, "/v1/replays/x", "GET,HEAD"),
        (Method::POST, "/v1/groups/x", "GET,HEAD"),
        (Method::GET, "/v1/exchanges/x/messages", "POST"),
        (Method::POST, "/v1/stats", "GET,HEAD"),
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
