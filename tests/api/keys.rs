//! Keys: whose messages are whose, at a gateway as it runs.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};
use super::{all_final, gateway, post};

const KEYS: &str = "alice:alices-key-0123456789,bob:bobs-key-0123456789";
const ALICE: (&str, &str) = ("authorization", "Bearer alices-key-0123456789");
const BOB: (&str, &str) = ("authorization", "Bearer bobs-key-0123456789");

#[tokio::test]
async fn each_caller_sees_what_is_its_own() {
    let gateway = gateway(&[("AMQPOST_API_KEYS", KEYS), ("AMQPOST_LOG_FILTER", "debug")]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let message = json!({"exchange": place.exchange, "routing_key": "to nowhere", "payload": "x"});
    let refused = post(&gateway, "/v1/messages", &[], &message).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let ids = [
        post(&gateway, "/v1/messages", &[ALICE], &message)
            .await
            .id(),
        post(&gateway, "/v1/messages", &[BOB], &message).await.id(),
    ];
    for (key, own, other) in [(ALICE, &ids[0], &ids[1]), (BOB, &ids[1], &ids[0])] {
        let told = all_final(&gateway, &[key], std::slice::from_ref(own)).await;
        assert_eq!(told[0]["status"], "returned");
        for what in ["", "/payload"] {
            let get = async |id| {
                let path = format!("/v1/messages/{id}{what}");
                gateway
                    .request(Method::GET, &path, &[key, ("prefer", "wait=30")], "")
                    .await
            };
            assert_eq!(get(own).await.status, 200);
            assert_eq!(get(other).await.status, 404);
        }
        let list = gateway
            .request(Method::GET, "/v1/messages", &[key], "")
            .await;
        let listed: Vec<_> = (list.json["messages"].as_array().expect("messages").iter())
            .map(|one| one["id"].clone())
            .collect();
        assert_eq!(listed, [json!(own)]);
        let stats = gateway.request(Method::GET, "/v1/stats", &[key], "").await;
        assert_eq!(stats.json["counts"]["returned"], 1, "{}", stats.text);
        assert_eq!(stats.json["backlog"]["oldest"], Value::Null);
    }
    let log = gateway.log();
    assert!(
        log.contains("unauthorized"),
        "refusals are logged with their code"
    );
    assert!(!log.contains("s-key-0123"), "a key is logged");
}

#[tokio::test]
async fn a_short_key_ends_the_start_with_clear_words() {
    let (status, log) = Gateway::start_in_vain([("AMQPOST_API_KEYS", "alice:tiny")]);
    assert!(!status.success());
    assert!(log.contains("of alice: a key has 16 to"), "{log}");
    assert!(!log.contains("tiny"), "{log}");
}
