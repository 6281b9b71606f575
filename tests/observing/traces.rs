//! The trace of a request goes with its message, as W3C Trace Context says it.

use reqwest::Method;
use serde_json::json;

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";
const TRACE: [(&str, &str); 2] = [("traceparent", PARENT), ("tracestate", "a=1,b=2")];

#[tokio::test]
async fn consumers_get_the_trace_whatever_way_a_message_came() {
    let url = shared_broker_url();
    let gateway = Gateway::start([("AMQPOST_BROKER_URL", &*url)]).await;
    let place = Place::declare(&url, Kind::Quorum).await;
    let message =
        json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": "x"});
    gateway.post_with(&message, &TRACE).await;
    let path = format!(
        "/v1/exchanges/{}/messages?routing_key={}",
        place.exchange, place.routing_key
    );
    gateway.request(Method::POST, &path, &TRACE, "x").await;
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(TRACE);
    let batch = json!({"messages": [message, message]}).to_string();
    gateway
        .request(Method::POST, "/v1/messages/batch", &headers, batch)
        .await;
    for arrived in place.take(4).await {
        assert_eq!(arrived.header_text("traceparent").as_deref(), Some(PARENT));
        assert_eq!(
            arrived.header_text("tracestate").as_deref(),
            Some("a=1,b=2")
        );
    }
}

#[tokio::test]
async fn a_message_has_no_trace_without_a_proper_one_and_keeps_its_own() {
    let url = shared_broker_url();
    let gateway = Gateway::start([("AMQPOST_BROKER_URL", &*url)]).await;
    let place = Place::declare(&url, Kind::Quorum).await;
    let mut message =
        json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": "x"});
    gateway
        .post_with(&message, &[("traceparent", "00-nonsense"), TRACE[1]])
        .await;
    let arrived = place.take(1).await.remove(0);
    assert_eq!(arrived.header("traceparent"), None);
    assert_eq!(arrived.header("tracestate"), None);
    message["properties"] = json!({"headers": {"traceparent": OTHER}});
    gateway.post_with(&message, &TRACE).await;
    let arrived = place.take(1).await.remove(0);
    assert_eq!(arrived.header_text("traceparent").as_deref(), Some(OTHER));
    assert_eq!(arrived.header("tracestate"), None);
}

#[tokio::test]
async fn the_trace_is_kept_with_the_message_and_is_no_part_of_what_is_repeated() {
    let url = shared_broker_url();
    let place = Place::declare(&url, Kind::Quorum).await;
    let nowhere = [("AMQPOST_BROKER_URL", "amqp://127.0.0.1:1")];
    let mut gateway = Gateway::start(nowhere).await;
    let message =
        json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": "x"});
    let first = [TRACE[0], TRACE[1], ("idempotency-key", "k")];
    let id = gateway.post_with(&message, &first).await.id();
    for other in [
        &[("idempotency-key", "k"), ("traceparent", OTHER)][..],
        &[("idempotency-key", "k")],
    ] {
        let again = gateway.post_with(&message, other).await;
        assert_eq!(again.id(), id, "{}", again.text);
    }
    gateway.set("AMQPOST_BROKER_URL", &url);
    gateway.restart().await;
    let arrived = place.take(1).await.remove(0);
    assert_eq!(arrived.amqpost_id(), Some(id));
    assert_eq!(arrived.header_text("traceparent").as_deref(), Some(PARENT));
    assert_eq!(
        arrived.header_text("tracestate").as_deref(),
        Some("a=1,b=2")
    );
}
