//! Nothing is published before the topology is there.

use std::net::SocketAddr;

use serde_json::json;

use super::support::broker_node::PrivateNode;
use super::support::callers::assert_confirmed;
use super::support::gateway::Gateway;
use super::support::queues::unique;
use super::support::tcp_proxy::TcpProxy;
use super::support::wait::{self, SOON};
use super::{Wanted, topology_is};

/// Enough to declare for a message that does not wait to be there first: the binding comes last.
const QUEUES_BEFORE: usize = 200;

fn with_many_queues() -> Wanted {
    let name = unique("other");
    Wanted::new()
        .with_queues((0..QUEUES_BEFORE).map(|number| json!({"name": format!("{name}-{number}")})))
}

#[tokio::test]
async fn a_message_that_is_posted_at_once_waits_for_the_queue_that_only_the_file_knows() {
    let node = PrivateNode::shared().await;
    let wanted = with_many_queues();
    let gateway = wanted.gateway(&node.url()).await;
    let id = wanted.post(&gateway).await;
    assert_confirmed(&gateway.wait_final(&id).await);
    let topology = topology_is(&gateway, "declared").await;
    assert_eq!(topology["queues"], QUEUES_BEFORE + 1);
    assert_eq!(topology["problems_total"], 0);
    assert_eq!(wanted.ready(&node.url()).await, 1);
}

#[tokio::test]
async fn a_broker_that_comes_late_is_given_the_topology_first_and_then_the_messages() {
    let node = PrivateNode::shared().await;
    let mut proxy = TcpProxy::start(SocketAddr::from(([127, 0, 0, 1], node.port()))).await;
    proxy.refuse().await;
    let wanted = with_many_queues();
    let gateway = wanted.gateway(&proxy.amqp_url()).await;
    let topology = topology_is(&gateway, "waiting").await;
    assert!(topology["detail"].is_string(), "{topology}");
    wait::until("it has tried", SOON, || async {
        let log = gateway.log();
        (log.contains("the topology waits for the broker")).then_some(())
    })
    .await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(wanted.post(&gateway).await);
    }
    let told = gateway.get(&ids[0]).await;
    assert_eq!(told.json["status"], "pending");
    assert_eq!(told.json["attempts"], 0);

    proxy.accept_again().await;
    for id in &ids {
        assert_confirmed(&gateway.wait_final(id).await);
    }
    topology_is(&gateway, "declared").await;
    assert_eq!(wanted.ready(&node.url()).await, 20);
    let log = gateway.log();
    assert!(log.contains("the topology is declared"), "{log}");
    assert!(log.lines().count() < 40, "the log is flooded:\n{log}");
}

#[tokio::test]
async fn declaring_it_again_changes_nothing() {
    let node = PrivateNode::shared().await;
    let wanted = Wanted::new();
    let mut gateway = wanted.gateway(&node.url()).await;
    for starts in 1..=3 {
        let id = wanted.post(&gateway).await;
        assert_confirmed(&gateway.wait_final(&id).await);
        topology_is(&gateway, "declared").await;
        assert_eq!(wanted.ready(&node.url()).await, starts);
        gateway.restart().await;
    }
}

#[tokio::test]
async fn a_gateway_stops_while_it_waits_for_a_broker() {
    let wanted = Wanted::new();
    let mut gateway = wanted.gateway("amqp://guest:guest@127.0.0.1:1/%2f").await;
    topology_is(&gateway, "waiting").await;
    let id = wanted.post(&gateway).await;
    assert!(gateway.terminate().success());
    let log = gateway.log();
    assert!(log.contains("messages are left pending"), "{log}");
    gateway.restart().await;
    assert_eq!(gateway.get(&id).await.json["status"], "pending");
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_tell() {
    let gateway = Gateway::start([("AMQPOST_TOPOLOGY_FILE", "")]).await;
    let topology = topology_is(&gateway, "none").await;
    assert_eq!(topology["exchanges"], 0);
}

#[test]
fn a_file_with_mistakes_is_named_with_their_places_and_nothing_is_started() {
    let wanted = Wanted::new();
    let file = wanted.file();
    for (text, words) in [
        (
            "{\n\"queues\": [{\"name\": \"q\", \"durabel\": true}]}",
            "unknown field `durabel`",
        ),
        ("{\n\"queues\": [", "line 2"),
        ("{}", "no exchange, queue or binding"),
        (
            r#"{"queues": [{"name": "q", "arguments": {"x": null}}]}"#,
            "queues[0] \"q\": arguments.x is null",
        ),
        (
            r#"{"queues": [{"name": "q", "vhost": "other"}]}"#,
            "serves \"/\": \"other\" (1)",
        ),
    ] {
        std::fs::write(&file, text).expect("written");
        let path = file.display().to_string();
        let (status, log) = Gateway::start_in_vain([("AMQPOST_TOPOLOGY_FILE", &path)]);
        assert!(!status.success());
        assert!(log.contains(words) && log.contains(&path), "{log}");
        assert!(!log.contains("listening"), "{log}");
    }
}
