//! Payloads as bodies.

use axum::http::StatusCode;

use super::model::Rig;
use super::refusing::assert_refused;
use crate::domain::{HeaderValue, Status};

#[tokio::test]
async fn a_body_is_the_payload_byte_for_byte_and_the_rest_stands_around_it() {
    let rig = Rig::new();
    let body: Vec<u8> = (0..=255).collect();
    let headers = [
        ("content-type", "image/x-odd; a=b"),
        ("content-encoding", "gzip"),
        ("amqp-priority", "9"),
        ("amqp-header-tenant", "a"),
    ];
    let path = "/v1/exchanges/log.exchange/messages?routing_key=info%2Flog+key&mandatory=false&ordering_key=o";
    let answer = rig.post(path, &headers, body.clone()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let message = rig.model.only();
    let location = format!("/v1/messages/{}", message.id);
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(answer.json()["size_bytes"], 256);
    let draft = &message.draft;
    assert_eq!(&*draft.payload, &*body);
    assert_eq!(
        (&*draft.exchange, &*draft.routing_key),
        ("log.exchange", "info/log key")
    );
    assert_eq!(
        (draft.mandatory, draft.ordering_key.as_deref()),
        (false, Some("o"))
    );
    let properties = &draft.properties;
    assert_eq!(properties.content_type.as_deref(), Some("image/x-odd; a=b"));
    assert_eq!(properties.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(properties.priority, Some(9));
    let own = [("tenant".into(), HeaderValue::Text("a".into()))];
    assert_eq!(properties.headers, own);
}

#[tokio::test]
async fn exchanges_are_percent_encoded_and_bodies_may_be_empty() {
    for (encoded, exchange) in [
        ("amq.default", ""),
        ("amq.topic", "amq.topic"),
        ("a%2Fb", "a/b"),
        ("a%20b+c", "a b+c"),
        ("%c3%a4", "ä"),
        ("..%2f..", "../.."),
        ("%25zz", "%zz"),
    ] {
        let rig = Rig::new();
        let path = format!("/v1/exchanges/{encoded}/messages");
        let answer = rig.post(&path, &[], "").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{encoded}: {answer:?}");
        let message = rig.model.only();
        assert_eq!(&*message.draft.exchange, exchange);
        assert_eq!(
            (&*message.draft.routing_key, message.draft.mandatory),
            ("", true)
        );
        assert!(message.draft.payload.is_empty());
        assert_eq!(message.draft.properties.content_type, None);
    }
    let rig = Rig::new();
    let answer = rig.post("/v1/exchanges//messages", &[], "").await;
    assert_refused(&rig, &answer, 404, "not_found", "no exchange");
}

#[tokio::test]
async fn who_waits_is_answered_with_the_final_status() {
    let rig = Rig::new();
    let post = rig.post("/v1/exchanges/e/messages", &[("prefer", "wait=60")], "x");
    let settle = async {
        while rig.model.accepted.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        rig.model.settle(rig.model.only().id, Status::Returned);
    };
    let (answer, ()) = tokio::join!(post, settle);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("amqpost-status"), Some("returned"));
}

#[tokio::test]
async fn unknown_repeated_and_faulty_options_are_refused() {
    for (query, status, code) in [
        ("routingkey=x", 400, "invalid_query"),
        ("routing_key=x&routing_key=x", 400, "invalid_query"),
        ("idempotency_key=x", 400, "invalid_query"),
        ("routing_key=%ff", 400, "invalid_query"),
        ("mandatory=yes", 422, "invalid_message"),
        ("delay_ms=-5", 422, "invalid_message"),
        ("group=", 422, "invalid_message"),
        ("callback_url=x", 422, "invalid_message"),
        ("routing_key=a%00", 422, "invalid_message"),
    ] {
        let rig = Rig::new();
        let path = format!("/v1/exchanges/e/messages?{query}");
        let answer = rig.post(&path, &[], "x").await;
        assert_refused(&rig, &answer, status, code, query);
    }
    let rig = Rig::new();
    let answer = rig.post("/v1/exchanges/%ff/messages", &[], "x").await;
    assert_refused(&rig, &answer, 422, "invalid_message", "%ff");
    assert_eq!(answer.pointers(), ["/exchange"]);
}

#[tokio::test]
async fn unknown_repeated_and_faulty_headers_are_refused() {
    for (headers, pointer) in [
        (&[("amqp-prority", "1")][..], ""),
        (&[("idempotency-key", "")], "/idempotency_key"),
        (
            &[("amqp-priority", "1"), ("amqp-priority", "1")],
            "/properties/priority",
        ),
        (&[("amqp-priority", "high")], "/properties/priority"),
        (&[("amqp-user-id", "somebody")], "/properties/user_id"),
        (
            &[("amqp-header-x-amqpost-id", "1")],
            "/properties/headers/x-amqpost-id",
        ),
        (
            &[("content-type", "a/b"), ("content-type", "c/d")],
            "/properties/content_type",
        ),
    ] {
        let rig = Rig::new();
        let answer = rig.post("/v1/exchanges/e/messages", headers, "x").await;
        assert_refused(
            &rig,
            &answer,
            422,
            "invalid_message",
            &format!("{headers:?}"),
        );
        assert_eq!(answer.pointers(), [pointer]);
    }
}
