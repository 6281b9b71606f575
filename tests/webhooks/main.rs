//! Webhooks from end to end: a gateway process before the shared broker, and receivers of the test's own.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod callbacks;
mod receiver;
mod standing;

use reqwest::Method;
use serde_json::Value;
use support::broker_node::shared_broker_url;
use support::callers;
use support::gateway::{Answer, Gateway};

/// What signs the callbacks of the nameless caller.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// A gateway at the shared broker that may send webhooks to this machine.
async fn gateway() -> Gateway {
    let settings = [
        ("AMQPOST_WEBHOOK_SECRETS", SECRET),
        ("AMQPOST_WEBHOOK_ALLOW", "127.0.0.0/8"),
    ];
    callers::gateway(&shared_broker_url(), &settings).await
}

/// A request with a JSON body.
async fn send(gateway: &Gateway, method: Method, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    gateway.request(method, path, &json, body.to_string()).await
}
