//! Messages that are sent again.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::callers::{assert_confirmed, message};
use super::support::queues::{Arrived, Kind, Place};
use super::{arrived, gateway, replay};

#[tokio::test]
async fn a_returned_message_that_is_sent_again_is_the_same_message() {
    for store in [&[][..], &[("AMQPOST_STORE_URL", "memory:")]] {
        let gateway = gateway(store).await;
        let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
        let mut lost = message(&place, "lost");
        lost["routing_key"] = json!("nobody");
        lost["group"] = json!("g");
        let id = gateway.post(&lost).await.id();
        let returned = gateway.wait_final(&id).await;
        assert_eq!(returned.json["status"], "returned", "{}", returned.text);
        assert_eq!(returned.json["revision"], 2);

        let again = replay(&gateway, &id).await;
        assert_eq!(again.status, 202, "{}", again.text);
        assert_eq!(again.json["replays"], 1);
        assert!(again.json["revision"].as_u64() >= Some(3), "{}", again.text);
        let returned = gateway.wait_final(&id).await;
        assert_eq!(returned.json["status"], "returned", "{}", returned.text);
        assert_eq!(returned.json["revision"], 4);

        place.bind("nobody").await;
        assert_eq!(replay(&gateway, &id).await.status, 202);
        let confirmed = gateway.wait_final(&id).await;
        assert_confirmed(&confirmed);
        assert_eq!(confirmed.json["replays"], 2);
        assert_eq!(confirmed.json["revision"], 6);
        assert_eq!(confirmed.json["accepted_at"], returned.json["accepted_at"]);
        assert_eq!(replay(&gateway, &id).await.status, 409);
        assert_eq!(arrived(&place).await, [id]);
        let group = gateway.get_path("/v1/groups/g").await;
        let counts = json!({"group": "g", "total": 1, "pending": 0, "confirmed": 1, "returned": 0,
            "failed": 0});
        assert_eq!(group.json, counts);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_replays_that_race_one_wins_and_the_others_learn_that_it_is_pending_or_settled() {
    let gateway = Arc::new(gateway(&[]).await);
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut lost = message(&place, "lost");
    lost["routing_key"] = json!("later");
    let id = gateway.post(&lost).await.id();
    assert_eq!(gateway.wait_final(&id).await.json["status"], "returned");
    place.bind("later").await;
    let mut racing = JoinSet::new();
    for _ in 0..20 {
        let (gateway, id) = (Arc::clone(&gateway), id.clone());
        racing.spawn(async move { replay(&gateway, &id).await.status });
    }
    let answers = racing.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 202).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 19);
    assert_confirmed(&gateway.wait_final(&id).await);
    let arrived = place.take_all().await;
    assert_eq!(arrived.len(), 1);
    assert!(!arrived.iter().any(Arrived::duplicate_possible));
}

#[tokio::test]
async fn a_replay_that_was_answered_survives_kill_9() {
    let mut gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    for round in 0..5 {
        let key = format!("later {round}");
        let mut lost = message(&place, "lost");
        lost["routing_key"] = json!(key);
        let id = gateway.post(&lost).await.id();
        assert_eq!(gateway.wait_final(&id).await.json["status"], "returned");
        place.bind(&key).await;
        assert_eq!(replay(&gateway, &id).await.status, 202);
        gateway.restart().await;
        let told = gateway.wait_final(&id).await;
        assert_eq!(told.json["status"], "confirmed", "{}", told.text);
        assert_eq!(told.json["replays"], 1, "{}", told.text);
        let copies = place.take_all().await;
        assert!(!copies.is_empty());
        assert!(copies.iter().skip(1).all(Arrived::duplicate_possible));
        assert!(copies.len() == 1 || told.json["duplicate_possible"] == true);
    }
}
