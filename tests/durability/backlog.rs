//! More messages than memory holds, and more than the store does.

use std::collections::HashMap;

use amqpost::domain::order::OrderKey;
use serde_json::json;

use super::proxy;
use super::support::broker_node::{PrivateNode, shared_broker_url};
use super::support::callers::{
    PATIENT, assert_all_went_out_once, broker_is_up, gateway, post_some,
};
use super::support::queues::{Kind, Place};
use super::support::wait;

/// A lane that holds ten messages in memory.
const SMALL: [(&str, &str); 2] = [
    ("AMQPOST_LANE_MEMORY_MESSAGES_MAX", "10"),
    ("AMQPOST_LANES", "2"),
];

#[tokio::test]
async fn a_backlog_beyond_memory_goes_out_in_order_while_new_messages_come() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut network = proxy().await;
    network.refuse().await;
    let mut gateway = gateway(&network.amqp_url(), &SMALL).await;
    let mut ids = post_some(&gateway, &place, 300).await;
    gateway.kill_9();
    gateway.restart().await;
    network.accept_again().await;
    ids.extend(post_some(&gateway, &place, 300).await);
    assert_all_went_out_once(&gateway, &place, &ids).await;
}

#[tokio::test]
async fn a_lane_that_is_stalled_beyond_its_memory_blocks_no_other() {
    let node = PrivateNode::start().await;
    let stalled = Place::declare(&node.url(), Kind::Classic).await;
    let well = Place::declare(&node.url(), Kind::Classic).await;
    let lane = |key: &str| {
        OrderKey {
            exchange: &well.exchange,
            key,
        }
        .lane(2)
    };
    let stalled_key = OrderKey {
        exchange: &stalled.exchange,
        key: &stalled.routing_key,
    };
    let mut other = (0..).map(|number| format!("other.{number}"));
    let other = other
        .find(|key| lane(key) != stalled_key.lane(2))
        .expect("some key");
    well.bind(&other).await;
    let window = ("AMQPOST_WINDOW_MESSAGES", "5");
    let small = [SMALL[0], SMALL[1], window, PATIENT];
    let gateway = gateway(&node.url(), &small).await;
    broker_is_up(&gateway).await;
    node.suspend_queue(&stalled.queue).await;
    let waiting = post_some(&gateway, &stalled, 100).await;
    for number in 0..100 {
        let message = json!({"exchange": well.exchange, "routing_key": other, "payload": number});
        let answer = gateway.post_with(&message, &[("prefer", "wait=10")]).await;
        assert_eq!(answer.message_status(), "confirmed", "{}", answer.text);
    }
    assert_eq!(gateway.get(&waiting[99]).await.message_status(), "pending");
    node.resume_queue(&stalled.queue).await;
    assert_all_went_out_once(&gateway, &stalled, &waiting).await;
}

#[tokio::test]
async fn a_full_store_says_503_keeps_what_it_has_and_accepts_again_when_there_is_room() {
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let mut network = proxy().await;
    network.refuse().await;
    let environment = [("AMQPOST_STORE_BYTES_MAX", "67108864")];
    let gateway = gateway(&network.amqp_url(), &environment).await;
    let message = json!({
        "exchange": place.exchange, "routing_key": place.routing_key,
        "payload": "x".repeat(1 << 20),
    });
    let mut ids = Vec::new();
    let full = loop {
        let answer = gateway.post(&message).await;
        if answer.status != 202 {
            break answer;
        }
        ids.push(answer.id());
        assert!(ids.len() < 100, "the budget is 64 MiB");
    };
    assert_eq!(full.status, 503, "{}", full.text);
    assert_eq!(full.json["code"], "store_full");
    assert_eq!(full.json["retryable"], true);
    assert!(full.header("retry-after").is_some());
    assert!(ids.len() > 20, "only {} MiB found room", ids.len());

    network.accept_again().await;
    let mut statuses: HashMap<String, usize> = HashMap::new();
    for id in &ids {
        *statuses
            .entry(gateway.wait_final(id).await.message_status())
            .or_default() += 1;
    }
    assert_eq!(
        statuses,
        HashMap::from([("confirmed".to_owned(), ids.len())])
    );
    assert_eq!(place.take_all().await.len(), ids.len());
    let again = wait::until("there is room again", wait::SOON, || async {
        let answer = gateway.post(&message).await;
        (answer.status == 202).then(|| answer.id())
    })
    .await;
    gateway.wait_final(&again).await;
}
