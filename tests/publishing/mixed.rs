//! Every way of publishing at the same time: each status is what the queue contains, and the order
//! of each caller is kept.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::gateway;
use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::mixed::{Caller, Sent};
use super::support::queues::{Arrived, Kind, Place};

const CALLERS: usize = 8;
const REQUESTS: usize = 120;
/// Ids in one look-up.
const LOOKUP_IDS_MAX: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_is_true_and_every_order_kept_by_every_way_of_publishing() {
    let place = Arc::new(Place::declare(&shared_broker_url(), Kind::Quorum).await);
    for caller in 0..CALLERS {
        place.bind(&format!("key.{caller}")).await;
    }
    let gateway = gateway(&[]).await;
    let mut calling = JoinSet::new();
    for caller in 0..CALLERS {
        let (gateway, place) = (Arc::clone(&gateway), Arc::clone(&place));
        calling.spawn(async move {
            let mut caller = Caller::new(caller);
            let mut sent = Vec::new();
            for _ in 0..REQUESTS {
                sent.extend(caller.publish(&gateway, &place).await.expect("accepted"));
            }
            sent
        });
    }
    let sent = calling.join_all().await.concat();
    gateway
        .wait_for("/readyz", |ready| {
            ready.json["store"]["pending_messages"] == 0
        })
        .await;
    let mut statuses = statuses(&gateway, &sent).await;
    for one in &sent {
        let told = statuses.remove(&one.id).expect("it is told");
        let (status, code) = if one.is_routable() {
            ("confirmed", Value::Null)
        } else {
            ("returned", json!(312))
        };
        assert_eq!(told["status"], status, "{told}");
        assert_eq!(told["reason"]["reply_code"], code, "{told}");
        assert_eq!(told["attempts"], 1, "{told}");
        assert_eq!(told["duplicate_possible"], false, "{told}");
        assert_eq!(told["routing_key"], one.routing_key, "{told}");
    }

    let arrived = place.take_all().await;
    for caller in 0..CALLERS {
        let key = format!("key.{caller}");
        let of_key = arrived.iter().filter(|one| one.routing_key == key);
        let there: Vec<_> = of_key.map(Arrived::amqpost_id).collect();
        let of_key = sent.iter().filter(|one| one.routing_key == key);
        let accepted: Vec<_> = of_key.map(|one| Some(one.id.clone())).collect();
        assert_eq!(there, accepted, "{key}");
    }
    let routable = sent.iter().filter(|one| one.is_routable()).count();
    assert_eq!(arrived.len(), routable);
}

/// What the gateway tells of each, by id.
async fn statuses(gateway: &Gateway, sent: &[Sent]) -> HashMap<String, Value> {
    let mut told = HashMap::new();
    for some in sent.chunks(LOOKUP_IDS_MAX) {
        let ids: Vec<_> = some.iter().map(|one| &one.id).collect();
        let headers = [("content-type", "application/json")];
        let answer = gateway
            .request(
                reqwest::Method::POST,
                "/v1/messages/lookup",
                &headers,
                json!({"ids": ids}).to_string(),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json["not_found"], json!([]));
        for message in answer.json["messages"].as_array().expect("messages") {
            let id = message["id"].as_str().expect("an id").to_owned();
            told.insert(id, message.clone());
        }
    }
    told
}
