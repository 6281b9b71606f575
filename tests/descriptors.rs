//! Connections leave descriptors for the store and the broker. Both limits are this process's own, and the
//! gateway inherits them; so there is one test here.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "support/mod.rs"]
mod support;

use std::process::Command;

use support::broker_node::shared_broker_url;
use support::gateway::Gateway;
use support::queues::{Kind, Place};
use tokio::net::TcpStream;

/// Descriptors that the process `pid` may have open now, and those that it may give itself.
fn limits(pid: &str) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("Linux tells it");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut words = files.expect("a limit").split_whitespace().skip(3);
    let mut word = || words.next().expect("a number").to_owned();
    (word(), word())
}

fn limit(nofile: &str) {
    let pid = std::process::id().to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--nofile={nofile}")])
        .status();
    assert!(limited.expect("prlimit of util-linux").success());
}

#[tokio::test]
async fn connections_leave_descriptors_for_everything_else() {
    let url = shared_broker_url();
    let broker = [("AMQPOST_BROKER_URL", url.as_str())];
    limit("256:");
    let gateway = Gateway::start(broker).await;
    let (soft, hard) = limits(&gateway.pid().to_string());
    assert_eq!(soft, hard, "it takes what it may have");
    assert_ne!(soft, "256");
    drop(gateway);

    // 192 of them are for connections.
    limit("256:256");
    let place = Place::declare(&url, Kind::Classic).await;
    let gateway = Gateway::start(broker).await;
    let address = gateway.url()["http://".len()..].to_owned();
    let mut idle = Vec::new();
    for _ in 0..210 {
        idle.push(TcpStream::connect(&address).await.expect("a connection"));
    }
    let body = serde_json::json!({"exchange": place.exchange, "routing_key": place.routing_key,
                                  "payload": "still"});
    // The connection over which the gateway was asked whether it is ready gives way to the others, maybe just
    // when a request takes it again.
    let client = reqwest::Client::builder().no_proxy();
    let publishing = (client.build().expect("a client"))
        .post(format!("{}/v1/messages", gateway.url()))
        .header("content-type", "application/json")
        .header("prefer", "wait=30")
        .body(body.to_string());
    let answer = publishing.send().await.expect("an answer");
    let answer = answer.text().await.expect("a body");
    let message: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(message["status"], "confirmed", "{answer}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("it lives");
    let open = open.count();
    assert!((192..240).contains(&open), "{open} descriptors");
}
