//! Acting on messages after they were accepted: schedules, giving up, cancelling, sending again, and
//! counting them by group. A gateway process before the shared broker, over a network of its own where
//! the broker is to be away.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod bulk;
mod cancelling;
mod giving_up;
mod groups;
mod replaying;
mod scheduling;

use std::net::ToSocketAddrs as _;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};
use support::broker_node::shared_broker_url;
use support::callers;
use support::gateway::{Answer, Gateway};
use support::queues::{Arrived, Place};
use support::tcp_proxy::TcpProxy;

/// A gateway at the shared broker, with these variables more.
async fn gateway(more: &[(&str, &str)]) -> Gateway {
    callers::gateway(&shared_broker_url(), more).await
}

/// A network of one's own before the shared broker.
async fn proxy() -> TcpProxy {
    let url = shared_broker_url();
    let authority = url
        .split('@')
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let mut addresses = (authority.expect("a host").to_socket_addrs()).expect("an address");
    TcpProxy::start(addresses.next().expect("an address")).await
}

/// `POST` without a body.
async fn act(gateway: &Gateway, path: &str) -> Answer {
    gateway.request(Method::POST, path, &[], "").await
}

async fn cancel(gateway: &Gateway, id: &str) -> Answer {
    act(gateway, &format!("/v1/messages/{id}/cancel")).await
}

async fn replay(gateway: &Gateway, id: &str) -> Answer {
    act(gateway, &format!("/v1/messages/{id}/replay")).await
}

/// `POST` of JSON.
async fn post(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    gateway
        .request(Method::POST, path, &json, body.to_string())
        .await
}

/// Publishes a batch, and gives the ids in its order.
async fn publish_batch(gateway: &Gateway, messages: &[Value]) -> Vec<String> {
    let answer = post(
        gateway,
        "/v1/messages/batch",
        &json!({"messages": messages}),
    )
    .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let results = answer.json["results"].as_array().expect("results");
    let ids = results.iter().filter_map(|one| one["id"].as_str());
    ids.map(str::to_owned).collect()
}

/// The ids in the queue, each as often as it is there.
async fn arrived(place: &Place) -> Vec<String> {
    ids(&place.take_all().await)
}

fn ids(arrived: &[Arrived]) -> Vec<String> {
    arrived.iter().filter_map(Arrived::amqpost_id).collect()
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.expect("after 1970").as_millis()).expect("not that late")
}

/// A time as the API writes it.
fn rfc3339(ms: u64) -> String {
    amqpost::domain::WallTime::from_unix_ms(ms).to_string()
}

/// Milliseconds since the Unix epoch of a time that the API has written.
fn ms_of(time: &Value) -> u64 {
    let time: jiff::Timestamp = time.as_str().expect("a time").parse().expect("RFC 3339");
    u64::try_from(time.as_millisecond()).expect("after 1970")
}
