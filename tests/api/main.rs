//! The whole API of publishing and asking, as callers use it: a gateway process before the shared broker,
//! where every test has exchanges and queues of its own.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod idempotency;
mod keys;
mod lists;
mod mixed;

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use support::broker_node::shared_broker_url;
use support::gateway::{Answer, Gateway};

/// A gateway at the shared broker, with these variables more.
async fn gateway(more: &[(&str, &str)]) -> Arc<Gateway> {
    let url = shared_broker_url();
    let mut environment = vec![("AMQPOST_BROKER_URL", url.as_str())];
    environment.extend_from_slice(more);
    Arc::new(Gateway::start(environment).await)
}

/// Posts JSON with more headers.
async fn post(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    let headers = [&json[..], headers].concat();
    gateway
        .request(Method::POST, path, &headers, body.to_string())
        .await
}

/// The ids of the accepted messages of a batch, in its order.
fn accepted_ids(answer: &Answer) -> Vec<String> {
    let results = answer.json["results"].as_array().expect("results");
    (results.iter())
        .filter_map(|one| one["id"].as_str().map(str::to_owned))
        .collect()
}

/// Asks for all of `ids` until none is pending, and gives the messages in that order.
async fn all_final(gateway: &Gateway, headers: &[(&str, &str)], ids: &[String]) -> Vec<Value> {
    support::wait::until("no message is pending", support::wait::SOON * 2, || async {
        let mut messages = Vec::new();
        for ids in ids.chunks(1000) {
            let answer = post(
                gateway,
                "/v1/messages/lookup",
                headers,
                &json!({"ids": ids}),
            )
            .await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.json["not_found"], json!([]));
            messages.extend(
                answer.json["messages"]
                    .as_array()
                    .expect("messages")
                    .clone(),
            );
        }
        let told: Vec<_> = messages
            .iter()
            .filter_map(|one| one["id"].as_str())
            .collect();
        assert_eq!(told, ids);
        (messages.iter().all(|one| one["status"] != "pending")).then_some(messages)
    })
    .await
}
