//! Counting messages by the caller's own label.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::support::broker_node::shared_broker_url;
use super::support::callers::message;
use super::support::queues::{Kind, Place};
use super::{gateway, publish_batch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_a_group_ends_when_all_that_is_expected_has_settled() {
    let keys = "alice:alices-key-0123456789,bob:bobs-key-0123456789";
    for store in [&[][..], &[("AMQPOST_STORE_URL", "memory:")]] {
        let settings = [store, &[("AMQPOST_API_KEYS", keys)]].concat();
        let gateway = Arc::new(gateway(&settings).await);
        let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
        let path = "/v1/groups/day%2F1?expect=120";
        let (alice, bob) = (
            ("authorization", "Bearer alices-key-0123456789"),
            ("authorization", "Bearer bobs-key-0123456789"),
        );
        let unknown = gateway
            .request(Method::GET, "/v1/groups/day%2F1", &[alice], "")
            .await;
        assert_eq!(unknown.status, 404, "{}", unknown.text);
        let publish = |count: usize, key: &'static str| {
            let mut one = message(&place, "x");
            one["routing_key"] = json!(if key.is_empty() {
                &place.routing_key
            } else {
                key
            });
            one["group"] = json!("day/1");
            let body = json!({"messages": vec![one; count]}).to_string();
            let gateway = Arc::clone(&gateway);
            async move {
                let headers = [alice, ("content-type", "application/json")];
                let answer = gateway
                    .request(Method::POST, "/v1/messages/batch", &headers, body)
                    .await;
                assert_eq!(answer.status, 202, "{}", answer.text);
            }
        };
        publish(100, "").await;
        let waiting = {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move {
                let headers = [alice, ("prefer", "wait=60")];
                let started = Instant::now();
                let answer = gateway.request(Method::GET, path, &headers, "").await;
                (answer, started.elapsed())
            })
        };
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!waiting.is_finished(), "20 are still expected");
        publish(20, "nobody").await;
        let (answer, took) = waiting.await.expect("an answer");
        let counts = json!({"group": "day/1", "total": 120, "pending": 0, "confirmed": 100,
            "returned": 20, "failed": 0});
        assert_eq!(answer.json, counts);
        assert!(took < Duration::from_secs(30), "{took:?}");
        let bobs = gateway.request(Method::GET, path, &[bob], "").await;
        assert_eq!(bobs.status, 404, "{}", bobs.text);
        let list = "/v1/messages?group=day%2F1&status=returned";
        let list = gateway.request(Method::GET, list, &[alice], "").await;
        assert_eq!(list.json["messages"].as_array().map(Vec::len), Some(20));
    }
}

#[tokio::test]
async fn counts_are_right_after_kill_9() {
    let mut gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut one = message(&place, "x");
    one["group"] = json!("g");
    let mut total = 0;
    for _ in 0..4 {
        total += publish_batch(&gateway, &vec![one.clone(); 500]).await.len();
        gateway.restart().await;
        let group = gateway.get_path("/v1/groups/g").await;
        assert_eq!(group.json["total"], total, "{}", group.text);
    }
    let all = gateway
        .request(Method::GET, "/v1/groups/g", &[("prefer", "wait=60")], "")
        .await;
    assert_eq!(all.json["confirmed"], total, "{}", all.text);
}
