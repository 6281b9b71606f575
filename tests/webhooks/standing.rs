//! Standing webhooks.

use reqwest::Method;
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::support::broker_node::shared_broker_url;
use super::support::callers::message;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};
use super::{gateway, send};

async fn create(gateway: &Gateway, webhook: &Value) -> (String, String) {
    let made = send(gateway, Method::POST, "/v1/webhooks", webhook).await;
    assert_eq!(made.status, 201, "{}", made.text);
    (made.id(), made.text_at("/secret"))
}

/// Publishes one that is confirmed and one that is returned, of a group, and gives their ids.
async fn publish(gateway: &Gateway, place: &Place, group: &str) -> (String, String) {
    let mut good = message(place, "x");
    good["group"] = json!(group);
    let mut lost = good.clone();
    lost["routing_key"] = json!("nobody");
    let ids = (
        gateway.post(&good).await.id(),
        gateway.post(&lost).await.id(),
    );
    gateway.wait_final(&ids.0).await;
    gateway.wait_final(&ids.1).await;
    ids
}

#[tokio::test]
async fn a_webhook_gets_what_it_wants_and_nothing_else_and_its_log_says_so() {
    let gateway = gateway().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let (all, some) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let (_, all_secret) = create(&gateway, &json!({"url": all.url()})).await;
    let wanted =
        json!({"url": some.url(), "events": ["message.returned"], "filter": {"group": "a"}});
    let (id, secret) = create(&gateway, &wanted).await;
    let (_, lost_a) = publish(&gateway, &place, "a").await;
    publish(&gateway, &place, "b").await;

    let got = all.wait_for(4).await;
    assert_eq!(got.len(), 4);
    assert!(got.iter().all(|one| one.signed_by(&all_secret) == 1));
    let got = some.wait_for(1).await;
    assert_eq!(got[0].json["data"]["id"], json!(lost_a));
    assert_eq!((got.len(), got[0].signed_by(&secret)), (1, 1));

    let path = format!("/v1/webhooks/{id}/deliveries");
    let log = gateway
        .wait_for(&path, |log| {
            log.json["deliveries"][0]["status"] == "delivered"
        })
        .await;
    let one = &log.json["deliveries"][0];
    assert_eq!(
        one["webhook_id"],
        json!(format!("{lost_a}-2")),
        "{}",
        log.text
    );
    assert_eq!(log.json["deliveries"].as_array().map(Vec::len), Some(1));

    let resend = format!("{path}/{}/resend", one["id"].as_str().expect("an id"));
    let again = gateway.request(Method::POST, &resend, &[], "").await;
    assert_eq!(again.status, 202, "{}", again.text);
    let got = some.wait_for(2).await;
    assert_eq!(got[0].id, got[1].id);
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_sign_and_the_new_one_stays_over_a_restart() {
    let mut gateway = gateway().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let receiver = Receiver::start(&[]).await;
    let (id, old) = create(&gateway, &json!({"url": receiver.url()})).await;
    let rotate = format!("/v1/webhooks/{id}/rotate-secret");
    let rotated = gateway.request(Method::POST, &rotate, &[], "").await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let new = rotated.text_at("/secret");
    gateway.restart().await;
    publish(&gateway, &place, "g").await;
    for one in receiver.wait_for(2).await {
        assert_eq!(
            (one.signed_by(&old), one.signed_by(&new)),
            (1, 1),
            "{one:?}"
        );
    }
    let told = gateway.get_path(&format!("/v1/webhooks/{id}")).await;
    assert!(!told.text.contains("whsec_"), "{}", told.text);
    assert!(!gateway.log().contains("whsec_"));
}

#[tokio::test]
async fn who_is_gone_is_disabled_and_who_was_deleted_gets_nothing() {
    let gateway = gateway().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let (gone, deleted) = (Receiver::start(&[410]).await, Receiver::start(&[]).await);
    let (gone_id, _) = create(&gateway, &json!({"url": gone.url()})).await;
    let (deleted_id, _) = create(&gateway, &json!({"url": deleted.url()})).await;
    let path = format!("/v1/webhooks/{deleted_id}");
    let answer = gateway.request(Method::DELETE, &path, &[], "").await;
    assert_eq!(answer.status, 204, "{}", answer.text);
    publish(&gateway, &place, "g").await;
    let path = format!("/v1/webhooks/{gone_id}");
    gateway
        .wait_for(&path, |told| told.json["enabled"] == false)
        .await;
    publish(&gateway, &place, "g").await;

    let back = send(&gateway, Method::PATCH, &path, &json!({"enabled": true})).await;
    assert_eq!(back.json["enabled"], true, "{}", back.text);
    let (good, lost) = publish(&gateway, &place, "g").await;
    for id in [good, lost] {
        gone.wait_for_id(&format!("{id}-2")).await;
    }
    assert!(deleted.got().is_empty());
}
