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
mod refused;
mod stopping;
mod tls;
mod under_load;

use std::net::SocketAddr;

use support::broker_node::PrivateNode;
use support::callers::{
    assert_all_went_out_once, assert_confirmed, broker_is, broker_is_up, gateway, message,
    post_some,
};
use support::gateway::Gateway;
use support::queues::Place;
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
