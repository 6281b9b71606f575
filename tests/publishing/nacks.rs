//! Queues that refuse.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::support::broker_node::shared_broker_url;
use super::support::queues::{Arrived, Kind, Place};
use super::support::wait::{self, SOON};
use super::{WAIT, assert_confirmed, gateway, message};

#[tokio::test]
async fn a_nacked_message_is_tried_again_after_growing_pauses_and_then_failed() {
    let settings = [
        ("AMQPOST_RETRY_TRIES_MAX", "4"),
        ("AMQPOST_RETRY_PAUSE_MS_MIN", "1000"),
        ("AMQPOST_RETRY_PAUSE_MS_MAX", "10000"),
    ];
    let gateway = gateway(&settings).await;
    // The connection has seen the queue take something: only where it never has, a fresh one is made,
    // and then one of the messages goes out before its time.
    let full = Place::declare_with_room_for(&shared_broker_url(), 1).await;
    let first = message(&full.exchange, &full.routing_key, "fills it");
    assert_confirmed(&gateway.post_with(&first, &[WAIT]).await);
    let id = gateway
        .post(&message(&full.exchange, &full.routing_key, "refused"))
        .await
        .id();

    // What is seen while it is pending: after which try, when the next one is due.
    let mut due: BTreeMap<u64, Timestamp> = BTreeMap::new();
    let last = loop {
        let told = gateway.get(&id).await;
        if told.json["status"] != "pending" {
            break told;
        }
        if let Some(at) = told.json["next_attempt_at"].as_str() {
            assert_eq!(told.json["reason"]["code"], "nacked", "{}", told.text);
            assert_eq!(told.json["duplicate_possible"], true, "{}", told.text);
            let attempts = told.json["attempts"].as_u64().expect("a number");
            due.entry(attempts)
                .or_insert(at.parse().expect("a time of RFC 3339"));
        }
        tokio::time::sleep(wait::LOOK_EVERY).await;
    };
    assert_eq!(due.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    let gap = |from: u64, to: u64| Duration::try_from(due[&to] - due[&from]).expect("it grows");
    // Each pause is a second times a power of two, of which chance takes up to half.
    assert!(gap(1, 2) >= Duration::from_millis(999), "{due:?}");
    assert!(gap(2, 3) >= Duration::from_millis(1999), "{due:?}");

    assert_eq!(last.json["status"], "failed", "{}", last.text);
    assert_eq!(last.json["reason"]["code"], "nacked");
    assert_eq!(last.json["attempts"], 4);
    assert_eq!(last.json["duplicate_possible"], true);
    assert_eq!(last.json["next_attempt_at"], Value::Null);
    assert_eq!(full.take_all().await.len(), 1, "only what filled it");
}

#[tokio::test]
async fn one_queue_that_refuses_makes_the_others_get_it_more_than_once_and_says_so() {
    let settings = [
        ("AMQPOST_RETRY_TRIES_MAX", "3"),
        ("AMQPOST_RETRY_PAUSE_MS_MIN", "10"),
    ];
    let gateway = gateway(&settings).await;
    let url = shared_broker_url();
    let full = Place::declare_nacking(&url).await;
    let taking = Place::declare(&url, Kind::Classic).await;
    full.also_to(&taking).await;
    let message = message(&full.exchange, &full.routing_key, "for both");
    let answer = gateway.post_with(&message, &[WAIT]).await;
    assert_eq!(answer.json["status"], "failed", "{}", answer.text);
    assert_eq!(answer.json["reason"]["code"], "nacked");
    assert_eq!(answer.json["duplicate_possible"], true);

    let arrived = taking.take_all().await;
    assert_eq!(arrived.len(), 3);
    let flags: Vec<_> = arrived.iter().map(Arrived::duplicate_possible).collect();
    assert_eq!(flags, [false, true, true]);
    assert!(
        arrived
            .iter()
            .all(|one| one.amqpost_id() == Some(answer.id()))
    );
}

#[tokio::test]
async fn a_refused_message_delays_nobody_but_its_own_ordering_key() {
    let settings = [
        ("AMQPOST_LANES", "1"),
        ("AMQPOST_RETRY_TRIES_MAX", "2"),
        ("AMQPOST_RETRY_PAUSE_MS_MIN", "10000"),
    ];
    let gateway = gateway(&settings).await;
    let url = shared_broker_url();
    // As above, the connection is to last: over a fresh one the first would go out before its time.
    let full = Place::declare_with_room_for(&url, 1).await;
    let fills = message(&full.exchange, &full.routing_key, "fills it");
    assert_confirmed(&gateway.post_with(&fills, &[WAIT]).await);
    let taking = Place::declare(&url, Kind::Classic).await;
    let mut refused = message(&full.exchange, &full.routing_key, "refused");
    refused["ordering_key"] = Value::from("account 1");
    let first = gateway.post(&refused).await.id();
    wait::until("it was refused once", SOON, || async {
        let told = gateway.get(&first).await;
        (told.json["next_attempt_at"] != Value::Null).then_some(())
    })
    .await;

    // Not the same key, since exchanges do not share keys.
    let other = message(&taking.exchange, &taking.routing_key, "other");
    assert_confirmed(&gateway.post_with(&other, &[WAIT]).await);
    // The same key: it waits, and was not tried.
    let second = gateway.post(&refused).await.id();
    let told = gateway.get(&second).await;
    assert_eq!(gateway.get(&first).await.json["status"], "pending");
    assert_eq!(told.json["status"], "pending", "{}", told.text);
    assert_eq!(told.json["attempts"], 0, "{}", told.text);
    assert_eq!(gateway.wait_final(&first).await.json["status"], "failed");
}
