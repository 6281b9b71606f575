//! What a caller of the gateway and the consumers behind the broker get to see.
//!
//! The gateway is a process, the broker the shared one; every test has exchanges and queues of its
//! own there.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod consumers;
mod missing;
mod mixed;
mod nacks;
mod outcomes;

use std::sync::Arc;

use serde_json::{Value, json};
use support::broker_node::shared_broker_url;
use support::gateway::{Answer, Gateway};
use tokio::task::JoinSet;

/// Long enough for anything that happens at once, and answered as soon as it has.
const WAIT: (&str, &str) = ("prefer", "wait=30");

/// A gateway at the shared broker, with these variables more.
async fn gateway(more: &[(&str, &str)]) -> Arc<Gateway> {
    let url = shared_broker_url();
    let mut environment = vec![("AMQPOST_BROKER_URL", url.as_str())];
    environment.extend_from_slice(more);
    Arc::new(Gateway::start(environment).await)
}

/// Posts all messages at the same time and gives the answers with their final statuses, in the
/// order of the messages.
async fn post_all(gateway: &Arc<Gateway>, messages: Vec<Value>) -> Vec<Answer> {
    let mut posting = JoinSet::new();
    let count = messages.len();
    for (number, message) in messages.into_iter().enumerate() {
        let gateway = Arc::clone(gateway);
        posting.spawn(async move { (number, gateway.post_with(&message, &[WAIT]).await) });
    }
    let mut answers = posting.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    assert_eq!(answers.len(), count);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// A message without anything special.
fn message(exchange: &str, routing_key: &str, payload: &str) -> Value {
    json!({"exchange": exchange, "routing_key": routing_key, "payload": payload})
}

/// Confirmed at the first try, and nothing to add.
fn assert_confirmed(answer: &Answer) {
    assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
    assert_eq!(answer.json["attempts"], 1, "{}", answer.text);
    assert_eq!(answer.json["duplicate_possible"], false, "{}", answer.text);
    assert_eq!(answer.json["reason"], Value::Null, "{}", answer.text);
}
