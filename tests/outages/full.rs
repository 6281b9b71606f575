//! A broker that has no memory left and blocks its publishers.

use std::time::Duration;

use serde_json::Value;

use super::support::load::{Load, PENDING_MAX};
use super::support::queues::{Kind, Place};
use super::support::wait::{self, SOON};
use super::{
    assert_all_went_out_once, broker_is, broker_is_up, gateway, message, node_alone, post_some,
    proxy,
};

#[tokio::test]
async fn a_full_broker_is_waited_for_and_told_of() {
    let node = node_alone().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let settings = [("AMQPOST_LANES", "1"), ("AMQPOST_HEARTBEAT_SECONDS", "1")];
    let gateway = gateway(&proxy.amqp_url(), &settings).await;
    // The exchange is known, so that the message below goes straight to the broker.
    let mut ids = post_some(&gateway, &place, 1).await;
    gateway.wait_final(&ids[0]).await;

    node.set_alarm().await;
    // The broker tells a publisher only once it publishes.
    ids.extend(post_some(&gateway, &place, 1).await);
    let broker = broker_is(&gateway, |broker| broker["state"] == "blocked").await;
    assert_eq!(broker["reason"]["code"], "broker_blocked");
    ids.extend(post_some(&gateway, &place, 100).await);
    for id in &ids[1..] {
        let told = gateway.get(id).await;
        assert_eq!(told.json["status"], "pending", "{}", told.text);
        assert_eq!(told.json["reason"]["code"], "broker_blocked");
        assert_eq!(told.json["duplicate_possible"], false);
    }
    let short = [("prefer", "wait=1")];
    let answer = gateway.post_with(&message(&place, "last"), &short).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json["reason"]["code"], "broker_blocked");
    ids.push(answer.id());
    // Both sides go on beating: a block of many heartbeats costs no connection.
    let connections = proxy.accepted();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(proxy.accepted(), connections, "the connection was given up");

    node.clear_alarm().await;
    assert_all_went_out_once(&gateway, &place, &ids).await;
    broker_is_up(&gateway).await;
}

#[tokio::test]
async fn a_stop_waits_for_a_full_broker_no_longer_than_its_grace() {
    let node = node_alone().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let grace = ("AMQPOST_SHUTDOWN_GRACE_SECONDS", "2");
    let mut gateway = gateway(&node.url(), &[grace]).await;
    let first = post_some(&gateway, &place, 1).await;
    gateway.wait_final(&first[0]).await;
    node.set_alarm().await;
    post_some(&gateway, &place, 10).await;
    broker_is(&gateway, |broker| broker["reason"] != Value::Null).await;

    let started = std::time::Instant::now();
    let ended = gateway.terminate_within(SOON);
    let took = started.elapsed();
    node.clear_alarm().await;
    assert!(ended.success(), "{ended}");
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    let log = gateway.log();
    assert!(log.contains("messages are left pending"), "{log}");
}

#[tokio::test]
async fn a_broker_that_was_full_before_is_waited_for_as_long_as_there_is_room() {
    const ROOM: usize = 50;
    let node = node_alone().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    node.set_alarm().await;
    let room = ROOM.to_string();
    let settings = [
        ("AMQPOST_LANES", "1"),
        ("AMQPOST_PENDING_MESSAGES_MAX", room.as_str()),
    ];
    let gateway = gateway(&node.url(), &settings).await;
    let mut ids = post_some(&gateway, &place, ROOM / 2).await;
    let broker = broker_is(&gateway, |broker| broker["state"] == "blocked").await;
    assert_eq!(broker["reason"]["code"], "broker_blocked");
    ids.extend(post_some(&gateway, &place, ROOM - ROOM / 2).await);
    for id in &ids {
        let told = gateway.get(id).await;
        assert_eq!(told.json["status"], "pending", "{}", told.text);
        assert_eq!(told.json["reason"]["code"], "broker_blocked");
    }
    let refused = gateway.post(&message(&place, "one too many")).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.header("retry-after").is_some(), "{refused:?}");

    node.clear_alarm().await;
    assert_all_went_out_once(&gateway, &place, &ids).await;
    broker_is_up(&gateway).await;
    let more = post_some(&gateway, &place, 1).await;
    assert_all_went_out_once(&gateway, &place, &more).await;
}

/// A blocked broker still confirms what it has, and nothing is in doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_full_again_and_again_under_load_gets_everything_once() {
    let node = node_alone().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[node.url()], &place, Duration::from_secs(1)).await;
    for _ in 0..3 {
        node.set_alarm().await;
        // A lane is told once it publishes; the other one may have nothing left to publish by then.
        wait::until("a lane is blocked, and everything waits", SOON, || async {
            let health = load.stack.relay.health();
            let full = health.pending_messages >= PENDING_MAX;
            (full && health.broker.lanes_blocked > 0).then_some(())
        })
        .await;
        node.clear_alarm().await;
        load.wait_more(1000).await;
    }
    assert_eq!(load.account(&place).await, 0, "something was sent twice");
}
