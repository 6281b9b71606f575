//! What callers of a gateway do, and what they may rely on.

use serde_json::{Value, json};

use super::gateway::{Answer, Gateway};
use super::queues::{Arrived, Place};

/// A queue that is frozen is waited for, as long as a test takes.
pub const PATIENT: (&str, &str) = ("AMQPOST_STALL_AFTER_MS", "600000");

/// A gateway before the broker at `url`, with more variables.
pub async fn gateway(url: &str, more: &[(&str, &str)]) -> Gateway {
    let mut environment = vec![("AMQPOST_BROKER_URL", url)];
    environment.extend_from_slice(more);
    Gateway::start(environment).await
}

/// A message to the place's queue.
pub fn message(place: &Place, payload: &str) -> Value {
    json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": payload})
}

/// Posts so many, one after the other, and gives their ids.
pub async fn post_some(gateway: &Gateway, place: &Place, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let answer = gateway.post(&message(place, &number.to_string())).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        ids.push(answer.id());
    }
    ids
}

/// Confirmed at the first try.
pub fn assert_confirmed(answer: &Answer) {
    assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
    assert_eq!(answer.json["attempts"], 1, "{}", answer.text);
    assert_eq!(answer.json["duplicate_possible"], false, "{}", answer.text);
}

/// All are confirmed at the first try, and in the queue, once, in this order.
pub async fn assert_all_went_out_once(gateway: &Gateway, place: &Place, ids: &[String]) {
    for id in ids {
        assert_confirmed(&gateway.wait_final(id).await);
    }
    let arrived = place.take_all().await;
    let order: Vec<_> = arrived.iter().filter_map(Arrived::amqpost_id).collect();
    assert_eq!(order, ids);
    assert!(!arrived.iter().any(Arrived::duplicate_possible));
}

/// Waits until `/readyz` tells of the broker what `holds` accepts. It is ready at any time.
pub async fn broker_is(gateway: &Gateway, holds: impl Fn(&Value) -> bool) -> Value {
    let ready = gateway
        .wait_for("/readyz", |answer| holds(&answer.json["broker"]))
        .await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert_eq!(ready.json["status"], "ready");
    ready.json["broker"].clone()
}

/// Waits until every lane publishes.
pub async fn broker_is_up(gateway: &Gateway) {
    broker_is(gateway, |broker| broker["state"] == "up").await;
}
