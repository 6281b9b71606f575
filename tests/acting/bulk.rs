//! Sending again whatever matches.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::callers::message;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};
use super::support::wait;
use super::{arrived, gateway, ids, post, publish_batch};

const MESSAGES: usize = 3000;

/// So many messages of a group that nobody wants, and one of another.
async fn publish_lost(gateway: &Gateway, place: &Place) -> Vec<String> {
    let lost = |number: usize, group: &str| {
        let mut one = message(place, &number.to_string());
        one["routing_key"] = json!("later");
        one["group"] = json!(group);
        one
    };
    let messages: Vec<_> = (0..MESSAGES).map(|number| lost(number, "lost")).collect();
    publish_batch(gateway, &[lost(0, "other")]).await;
    let all = publish_batch(gateway, &messages).await;
    let group = gateway
        .request(
            reqwest::Method::GET,
            "/v1/groups/lost?expect=3000",
            &[("prefer", "wait=60")],
            "",
        )
        .await;
    assert_eq!(group.json["returned"], MESSAGES, "{}", group.text);
    all
}

async fn start(gateway: &Gateway) -> String {
    let wanted = json!({"status": "returned", "group": "lost"});
    let started = post(gateway, "/v1/replays", &wanted).await;
    assert_eq!(started.status, 202, "{}", started.text);
    let path = started.header("location").expect("a place").to_owned();
    assert_eq!(path, format!("/v1/replays/{}", started.id()));
    path
}

async fn done(gateway: &Gateway, path: &str) -> Value {
    wait::until("all are sent again", Duration::from_mins(1), || async {
        let progress = gateway.get_path(path).await;
        assert_eq!(progress.status, 200, "{}", progress.text);
        (progress.json["state"] == "done").then_some(progress.json)
    })
    .await
}

async fn all_are(gateway: &Gateway, status: &str) {
    wait::until("all have settled", Duration::from_mins(1), || async {
        let group = gateway.get_path("/v1/groups/lost").await;
        (group.json[status] == MESSAGES).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whatever_matches_is_sent_again_in_the_order_of_acceptance() {
    for store in [&[][..], &[("AMQPOST_STORE_URL", "memory:")]] {
        let gateway = gateway(store).await;
        let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
        let all = publish_lost(&gateway, &place).await;
        place.bind("later").await;
        let path = start(&gateway).await;
        let progress = done(&gateway, &path).await;
        assert_eq!(progress["matched"], MESSAGES, "{progress}");
        assert_eq!(progress["replayed"], MESSAGES, "{progress}");
        assert_eq!(progress["skipped"], 0, "{progress}");
        all_are(&gateway, "confirmed").await;
        assert_eq!(arrived(&place).await, all);
        let other = gateway.get_path("/v1/groups/other").await;
        assert_eq!(other.json["returned"], 1, "{}", other.text);
    }
}

#[tokio::test]
async fn what_is_fixed_at_the_start_is_sent_again_once_over_kill_9() {
    let mut gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let all = publish_lost(&gateway, &place).await;
    // Still nobody wants them: all come back, and none of them is sent twice for that.
    let path = start(&gateway).await;
    gateway.restart().await;
    let progress = done(&gateway, &path).await;
    assert_eq!(progress["matched"], MESSAGES, "{progress}");
    assert_eq!(progress["replayed"], MESSAGES, "{progress}");
    all_are(&gateway, "returned").await;
    for id in all.iter().step_by(500) {
        let last = gateway.wait_final(id).await;
        assert_eq!(last.json["status"], "returned", "{}", last.text);
        assert_eq!(last.json["replays"], 1, "{}", last.text);
    }

    place.bind("later").await;
    let path = start(&gateway).await;
    gateway.restart().await;
    gateway.restart().await;
    let progress = done(&gateway, &path).await;
    assert_eq!(progress["replayed"], MESSAGES, "{progress}");
    all_are(&gateway, "confirmed").await;
    let arrived = place.take_all().await;
    let mut first_copies = ids(&arrived);
    let mut seen = std::collections::HashSet::new();
    first_copies.retain(|id| seen.insert(id.clone()));
    assert_eq!(first_copies, all);
    let copies = arrived.len() - MESSAGES;
    let flagged = arrived.iter().filter(|one| one.duplicate_possible());
    assert!(flagged.count() >= copies, "{copies} copies");
}

#[tokio::test]
async fn a_replay_of_everything_must_say_of_what() {
    let gateway = gateway(&[]).await;
    for (body, pointer) in [
        (json!({"status": "returned"}), ""),
        (json!({"group": "g"}), "/status"),
        (json!({"status": "confirmed", "group": "g"}), "/status"),
        (
            json!({"status": "failed", "group": "g", "limit": 3}),
            "/limit",
        ),
    ] {
        let refused = post(&gateway, "/v1/replays", &body).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text);
        let pointers: Vec<_> = refused.json["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        assert!(
            pointers.iter().any(|one| one["pointer"] == pointer),
            "{}",
            refused.text
        );
    }
    let nobody = "/v1/replays/0193a5c4-0000-7000-8000-000000000001";
    assert_eq!(gateway.get_path(nobody).await.status, 404);
}
