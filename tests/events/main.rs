//! The stream of events, as callers use it: a gateway process before the shared broker, where every test
//! has exchanges and queues of its own, and clients that come, go, are cut off, or do not read.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod following;
mod gaps;
mod reader;
mod resuming;
mod stopping;

use reqwest::Method;
use serde_json::{Value, json};
use support::gateway::Gateway;
use support::queues::Place;

/// Posts so many in one batch, every third with nowhere to go, and gives their ids.
async fn post_batch(
    gateway: &Gateway,
    headers: &[(&str, &str)],
    place: &Place,
    count: usize,
) -> Vec<String> {
    let item = |number: usize| {
        let key = if number.is_multiple_of(3) {
            "nowhere"
        } else {
            &place.routing_key
        };
        json!({"exchange": place.exchange, "routing_key": key, "payload": number})
    };
    let items: Vec<_> = (1..=count).map(item).collect();
    post_items(gateway, headers, &items).await
}

/// Posts these in one batch and gives their ids.
async fn post_items(gateway: &Gateway, headers: &[(&str, &str)], items: &[Value]) -> Vec<String> {
    let json = [("content-type", "application/json")];
    let headers = [&json[..], headers].concat();
    let body = json!({"messages": items}).to_string();
    let answer = gateway
        .request(Method::POST, "/v1/messages/batch", &headers, body)
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let results = answer.json["results"].as_array().expect("results");
    (results.iter())
        .map(|one| one["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Waits until nothing is pending.
async fn settled(gateway: &Gateway) {
    gateway
        .wait_for("/readyz", |ready| {
            ready.json["store"]["pending_messages"] == 0
        })
        .await;
}
