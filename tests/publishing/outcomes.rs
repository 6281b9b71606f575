//! Confirmed, returned, and what lies between.

use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::queues::{Kind, Place};
use super::{WAIT, assert_confirmed, gateway, message, post_all};

#[tokio::test]
async fn three_without_a_route_are_returned_although_acknowledged_and_three_arrive() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    place.bind("info.log.key").await;
    let mut messages = Vec::new();
    for number in 0..3 {
        let text = format!("line {number}");
        messages.push(message(&place.exchange, "test", &text));
        messages.push(message(&place.exchange, "info.log.key", &text));
    }
    let answers = post_all(&gateway, messages).await;

    let (mut returned, mut confirmed) = (Vec::new(), Vec::new());
    for answer in &answers {
        assert_eq!(answer.status, 200);
        let to = if answer.json["routing_key"] == "test" {
            &mut returned
        } else {
            &mut confirmed
        };
        to.push(answer);
    }
    assert_eq!((returned.len(), confirmed.len()), (3, 3));
    for answer in returned {
        assert_eq!(answer.json["status"], "returned", "{}", answer.text);
        assert_eq!(answer.header("amqpost-status"), Some("returned"));
        assert_eq!(answer.json["reason"]["code"], "no_route");
        assert_eq!(answer.json["reason"]["reply_code"], 312);
        assert_eq!(answer.json["reason"]["reply_text"], "NO_ROUTE");
        assert_eq!(answer.json["attempts"], 1);
        assert_eq!(answer.json["revision"], 2);
        assert_eq!(answer.json["duplicate_possible"], false);
    }
    let mut ids: Vec<_> = confirmed.iter().map(|answer| answer.id()).collect();
    for answer in confirmed {
        assert_confirmed(answer);
        assert_eq!(answer.header("amqpost-status"), Some("confirmed"));
    }
    let mut consumed: Vec<_> = place.take_all().await;
    assert!(consumed.iter().all(|one| one.routing_key == "info.log.key"));
    let mut arrived: Vec<_> = consumed
        .iter_mut()
        .map(|one| one.amqpost_id().expect("every message carries its id"))
        .collect();
    ids.sort();
    arrived.sort();
    assert_eq!(arrived, ids);
}

#[tokio::test]
async fn what_nobody_takes_and_need_not_be_returned_is_confirmed() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let mut unroutable = message(&place.exchange, "nowhere", "dropped");
    unroutable["mandatory"] = Value::Bool(false);
    let answer = gateway.post_with(&unroutable, &[WAIT]).await;
    assert_confirmed(&answer);
    assert_eq!(answer.json["mandatory"], false);
    assert!(place.take_all().await.is_empty());
}

#[tokio::test]
async fn the_default_exchange_has_two_names() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let queue = place.queue.as_str();
    let answers = post_all(
        &gateway,
        vec![
            message("", queue, "empty"),
            message("amq.default", queue, "alias"),
            json!({"routing_key": queue, "payload": "absent"}),
        ],
    )
    .await;
    answers.iter().for_each(assert_confirmed);
    assert!(answers.iter().all(|answer| answer.json["exchange"] == ""));
    let arrived = place.take_all().await;
    assert_eq!(arrived.len(), 3);
    assert!(arrived.iter().all(|one| one.exchange.is_empty()));

    let nowhere = message("amq.default", "amqpost-test-no-such-queue", "lost");
    let answer = gateway.post_with(&nowhere, &[WAIT]).await;
    assert_eq!(answer.json["status"], "returned", "{}", answer.text);
    assert_eq!(answer.json["reason"]["reply_text"], "NO_ROUTE");
}

#[tokio::test]
async fn bad_input_is_refused_and_published_nowhere() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let good = message(&place.exchange, &place.routing_key, "good");
    let faults = [
        ("priority", json!({"priority": 256})),
        ("delivery mode", json!({"delivery_mode": 3})),
        ("expiration", json!({"expiration": "-1"})),
        ("reserved", json!({"headers": {"x-amqpost-id": "mine"}})),
        ("user", json!({"user_id": "somebody-else"})),
        ("reply_to", json!({"reply_to": "amq.rabbitmq.reply-to"})),
        ("CC", json!({"headers": {"CC": "not an array"}})),
        ("typo", json!({"priorty": 1})),
    ];
    for (fault, properties) in faults {
        let mut bad = good.clone();
        bad["properties"] = properties;
        let answer = gateway.post_with(&bad, &[WAIT]).await;
        assert_eq!(answer.status, 422, "{fault}: {}", answer.text);
        assert_eq!(answer.json["errors"].as_array().map(Vec::len), Some(1));
    }
    let mut bad = good.clone();
    bad["payload_encoding"] = json!("base64");
    bad["payload"] = json!("?");
    assert_eq!(gateway.post(&bad).await.status, 422);

    // Whatever had been published would have come before this one.
    assert_confirmed(&gateway.post_with(&good, &[WAIT]).await);
    let arrived = place.take_all().await;
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].payload, b"good");
}
