//! HTTP from people who mean harm, and from broken clients that look like it: what they are answered, that
//! nothing of it is accepted, that good callers notice little, and that nothing is left of it afterwards.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]
#![allow(clippy::print_stderr, reason = "figures are told")]

#[path = "../support/mod.rs"]
mod support;

mod crowds;
mod framing;
mod heads;
mod large;
mod neighbours;
mod raw;
mod slow;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use support::broker_node::shared_broker_url;
use support::gateway::Gateway;
use support::queues::{Kind, Place};
use support::wait::{self, SOON};

/// A gateway under attack, and a queue that good callers publish to.
struct Target {
    gateway: Arc<Gateway>,
    place: Place,
    address: SocketAddr,
}

impl Target {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let url = shared_broker_url();
        let mut all = vec![("AMQPOST_BROKER_URL", url.as_str())];
        all.extend_from_slice(environment);
        let gateway = Gateway::start(all).await;
        let address = gateway.url()["http://".len()..].parse();
        Self {
            gateway: Arc::new(gateway),
            place: Place::declare(&url, Kind::Classic).await,
            address: address.expect("an address"),
        }
    }

    /// The body of a message with this payload.
    fn message(&self, payload: &str) -> String {
        json!({"exchange": self.place.exchange, "routing_key": self.place.routing_key,
               "payload": payload})
        .to_string()
    }

    /// A whole request with a message; `fields` are lines of the head.
    fn post(&self, payload: &str, fields: &str) -> String {
        let body = self.message(payload);
        let length = body.len();
        format!("{POST}{fields}Content-Length: {length}\r\n\r\n{body}")
    }

    /// Messages that were ever accepted.
    async fn accepted(&self) -> u64 {
        let stats = self.gateway.get_path("/v1/stats").await;
        let counts = stats.json["counts"].as_object().expect("counts");
        counts.values().filter_map(serde_json::Value::as_u64).sum()
    }

    /// What has arrived in the queue, once nothing is pending.
    async fn arrived(&self) -> Vec<String> {
        self.gateway
            .wait_for("/v1/stats", |stats| stats.json["counts"]["pending"] == 0)
            .await;
        let arrived = self.place.take_all().await;
        let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
        arrived.iter().map(|one| text(&one.payload)).collect()
    }

    /// Descriptors that the process has open.
    fn descriptors(&self) -> usize {
        let files = format!("/proc/{}/fd", self.gateway.pid());
        std::fs::read_dir(files).expect("it lives").count()
    }

    /// Kibibytes of memory that the process has in use.
    fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.pid()));
        let status = status.expect("it lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("Linux tells it").parse().expect("a number")
    }

    /// Returns when the process has hardly more descriptors than `before`: some connections of good callers
    /// may idle.
    async fn forgets(&self, before: usize) {
        const GOOD_CALLERS: usize = 32;
        wait::until("the connections are gone", SOON * 2, || async {
            (self.descriptors() <= before + GOOD_CALLERS).then_some(())
        })
        .await;
    }
}

const POST: &str =
    "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
