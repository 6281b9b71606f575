//! Answers, waits and polls.

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::queues::{Kind, Place};
use super::support::wait::SOON;
use super::{WAIT, assert_confirmed, gateway, message};

#[tokio::test]
async fn an_accepted_message_is_told_as_pending_and_where_to_ask() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let message = message(&place.exchange, &place.routing_key, "hello");

    let answer = gateway.post(&message).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("amqpost-status"), Some("pending"));
    let path = format!("/v1/messages/{}", answer.id());
    assert_eq!(answer.header("location"), Some(path.as_str()));
    assert_eq!(answer.json["status"], "pending");
    assert_eq!(answer.json["size_bytes"], 5);
    assert_eq!(answer.json["settled_at"], Value::Null);

    let told = gateway.wait_final(&answer.id()).await;
    assert_confirmed(&told);
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let time = |field: &str| -> jiff::Timestamp {
        told.text_at(field).parse().expect("a time of RFC 3339")
    };
    assert!(time("/accepted_at") <= time("/settled_at"));
    assert_eq!(told.json["accepted_at"], answer.json["accepted_at"]);
    // Asked without waiting, the same is told.
    assert_eq!(gateway.get(&answer.id()).await.json, told.json);
}

#[tokio::test]
async fn minimal_answers_say_id_and_status_only() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let message = message(&place.exchange, &place.routing_key, "hello");

    let minimal = ("prefer", "return=minimal");
    let answer = gateway.post_with(&message, &[minimal]).await;
    assert_eq!(answer.status, 202);
    let expected = json!({"id": answer.id(), "status": "pending"});
    assert_eq!(answer.json, expected);
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));

    let both = ("prefer", "return=minimal, wait=30");
    let answer = gateway.post_with(&message, &[both]).await;
    assert_eq!(answer.status, 200);
    let expected = json!({"id": answer.id(), "status": "confirmed"});
    assert_eq!(answer.json, expected);
}

#[tokio::test]
async fn a_wait_that_is_too_short_ends_in_a_202() {
    let gateway = gateway(&[("AMQPOST_RETRY_PAUSE_MS_MIN", "30000")]).await;
    let full = Place::declare_nacking(&shared_broker_url()).await;
    let message = message(&full.exchange, &full.routing_key, "refused");
    // Long enough for the gateway to ask about the exchange and to be refused, and shorter than its pause.
    let answer = gateway.post_with(&message, &[("prefer", "wait=5")]).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("preference-applied"), Some("wait=5"));
    assert_eq!(answer.json["status"], "pending");
    assert_eq!(answer.json["reason"]["code"], "nacked", "{}", answer.text);
}

#[tokio::test]
async fn a_long_poll_is_woken_by_the_settlement() {
    let settings = [
        ("AMQPOST_RETRY_TRIES_MAX", "2"),
        ("AMQPOST_RETRY_PAUSE_MS_MIN", "1500"),
    ];
    let gateway = gateway(&settings).await;
    let full = Place::declare_nacking(&shared_broker_url()).await;
    let message = message(&full.exchange, &full.routing_key, "refused");
    let accepted = gateway.post(&message).await;
    assert_eq!(accepted.json["status"], "pending", "{}", accepted.text);

    let asked = Instant::now();
    let path = format!("/v1/messages/{}", accepted.id());
    let told = gateway
        .request(Method::GET, &path, &[("prefer", "wait=60")], "")
        .await;
    assert_eq!(told.status, 200);
    assert_eq!(told.json["status"], "failed", "{}", told.text);
    assert!(asked.elapsed() < SOON, "it waited for its limit");
}

#[tokio::test]
async fn an_id_that_nobody_knows_is_not_found() {
    let gateway = gateway(&[]).await;
    for id in [
        "0193a5c4-0000-7000-8000-000000000000",
        "00000000-0000-0000-0000-000000000000",
        "no-uuid",
        "%FF",
    ] {
        let answer = gateway.get(id).await;
        assert_eq!(answer.status, 404, "{id}: {}", answer.text);
        assert_eq!(answer.text_at("/code"), "not_found");
    }
    // Nor does waiting make it known, or take its time.
    let asked = Instant::now();
    let path = "/v1/messages/0193a5c4-0000-7000-8000-000000000000";
    let answer = gateway.request(Method::GET, path, &[WAIT], "").await;
    assert_eq!(answer.status, 404);
    assert!(asked.elapsed() < SOON);
}
