//! Brokers that are away, go away, are silent, full, or do not let the gateway in: ordinary days.
//!
//! One private node for all of it. Tests that do it harm have it alone; the others share it and
//! keep their harm to a network of their own.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod away;
mod full;
mod load;
mod refused;
mod stopping;
mod tls;
mod under_load;

use std::net::SocketAddr;

use serde_json::{Value, json};
use support::broker_node::PrivateNode;
use support::gateway::{Answer, Gateway};
use support::queues::{Arrived, Place};
use support::tcp_proxy::TcpProxy;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

async fn lock() -> &'static RwLock<PrivateNode> {
    static NODE: OnceCell<RwLock<PrivateNode>> = OnceCell::const_new();
    NODE.get_or_init(|| async { RwLock::new(PrivateNode::start().await) })
        .await
}

/// The node, shared with tests that do it no harm either.
async fn node() -> RwLockReadGuard<'static, PrivateNode> {
    lock().await.read().await
}

/// The node, with nobody else there.
async fn node_alone() -> RwLockWriteGuard<'static, PrivateNode> {
    lock().await.write().await
}

/// A network of one's own before the node.
async fn proxy(node: &PrivateNode) -> TcpProxy {
    TcpProxy::start(SocketAddr::from(([127, 0, 0, 1], node.port()))).await
}

async fn gateway(url: &str, more: &[(&str, &str)]) -> Gateway {
    let mut environment = vec![("AMQPOST_BROKER_URL", url)];
    environment.extend_from_slice(more);
    Gateway::start(environment).await
}

fn message(place: &Place, payload: &str) -> Value {
    json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": payload})
}

/// Posts so many, one after the other, and gives their ids.
async fn post_some(gateway: &Gateway, place: &Place, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let answer = gateway.post(&message(place, &number.to_string())).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        ids.push(answer.id());
    }
    ids
}

/// Confirmed at the first try.
fn assert_confirmed(answer: &Answer) {
    assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
    assert_eq!(answer.json["attempts"], 1, "{}", answer.text);
    assert_eq!(answer.json["duplicate_possible"], false, "{}", answer.text);
}

/// All are confirmed at the first try, and in the queue, once, in this order.
async fn assert_all_went_out_once(gateway: &Gateway, place: &Place, ids: &[String]) {
    for id in ids {
        assert_confirmed(&gateway.wait_final(id).await);
    }
    let arrived = place.take_all().await;
    let order: Vec<_> = arrived.iter().filter_map(Arrived::amqpost_id).collect();
    assert_eq!(order, ids);
    assert!(!arrived.iter().any(Arrived::duplicate_possible));
}

/// Waits until `/readyz` tells of the broker what `holds` accepts. It is ready at any time.
async fn broker_is(gateway: &Gateway, holds: impl Fn(&Value) -> bool) -> Value {
    let ready = gateway
        .wait_for("/readyz", |answer| holds(&answer.json["broker"]))
        .await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert_eq!(ready.json["status"], "ready");
    ready.json["broker"].clone()
}

async fn broker_is_up(gateway: &Gateway) {
    broker_is(gateway, |broker| broker["state"] == "up").await;
}

/// Waits until the broker is down for a reason that says `words`, and checks that messages are
/// still accepted, and why they wait.
async fn assert_down(gateway: &Gateway, place: &Place, words: &str) -> String {
    let broker = broker_is(gateway, |broker| {
        let detail = broker["reason"]["detail"].as_str().unwrap_or_default();
        broker["state"] == "down" && detail.contains(words)
    })
    .await;
    assert_eq!(broker["lanes_up"], 0);
    assert_eq!(broker["reason"]["code"], "broker_unavailable");
    let id = post_some(gateway, place, 1).await.remove(0);
    let told = gateway.get(&id).await;
    assert_eq!(told.json["status"], "pending", "{}", told.text);
    assert_eq!(told.json["attempts"], 0, "{}", told.text);
    assert_eq!(told.json["reason"]["code"], "broker_unavailable");
    id
}
