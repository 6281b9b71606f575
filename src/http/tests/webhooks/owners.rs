//! Each caller has webhooks of their own.

use super::super::model::{ALICE, BOB, BOB_NEW, Rig};
use super::{HOOK, NEVER, call_as};
use crate::domain::Status;

/// Every operation on one webhook.
fn operations(id: &str, delivery: &str) -> [(&'static str, String, &'static str); 6] {
    let path = format!("/v1/webhooks/{id}");
    [
        ("GET", path.clone(), ""),
        ("PATCH", path.clone(), r#"{"enabled":false}"#),
        ("POST", format!("{path}/rotate-secret"), ""),
        ("GET", format!("{path}/deliveries"), ""),
        ("POST", format!("{path}/deliveries/{delivery}/resend"), ""),
        ("DELETE", path, ""),
    ]
}

#[tokio::test]
async fn somebody_elses_webhook_is_as_unknown_as_one_that_never_was() {
    let rig = Rig::with_keys(false);
    let made = call_as(&rig, Some(BOB), "POST", "/v1/webhooks", HOOK).await;
    let made = made.json();
    let id = made["id"].as_str().expect("an id");
    let delivery = "00000000-0000-8000-8000-000000000001";
    let before = rig.model.webhooks();
    for (theirs, nobodys) in operations(id, delivery)
        .into_iter()
        .zip(operations(NEVER, delivery))
    {
        let (method, path, body) = theirs;
        let theirs = call_as(&rig, Some(ALICE), method, &path, body).await;
        let nobodys = call_as(&rig, Some(ALICE), method, &nobodys.1, body).await;
        assert_eq!(theirs.code(), "not_found", "{method} {path}");
        assert_eq!(theirs.status.as_u16(), 404);
        assert_eq!(theirs.body, nobodys.body, "{method} {path}");
    }
    let list = call_as(&rig, Some(ALICE), "GET", "/v1/webhooks", "").await;
    assert_eq!(list.json(), serde_json::json!({"webhooks": []}));
    assert!(rig.model.webhooks() == before, "something has changed");
    // Its owner reaches it by any of their keys.
    let path = format!("/v1/webhooks/{id}");
    let owned = call_as(&rig, Some(BOB_NEW), "GET", &path, "").await;
    assert_eq!(owned.status.as_u16(), 200);
}

#[tokio::test]
async fn a_delivery_of_another_webhook_cannot_be_sent_again_through_ones_own() {
    let rig = Rig::with_keys(false);
    let mut paths = Vec::new();
    for key in [ALICE, BOB] {
        let made = call_as(&rig, Some(key), "POST", "/v1/webhooks", HOOK)
            .await
            .json();
        paths.push(format!(
            "/v1/webhooks/{}",
            made["id"].as_str().expect("an id")
        ));
    }
    let body = r#"{"exchange":"e","payload":1}"#;
    let answer = rig.publish_with(&[("authorization", BOB)], body).await;
    assert_eq!(answer.status.as_u16(), 202);
    rig.model.settle(rig.model.only().id, Status::Failed);
    let deliveries = |key, path: &str| {
        let path = format!("{path}/deliveries");
        let rig = &rig;
        async move { call_as(rig, Some(key), "GET", &path, "").await.json()["deliveries"].take() }
    };
    assert_eq!(deliveries(ALICE, &paths[0]).await, serde_json::json!([]));
    let bobs = deliveries(BOB, &paths[1]).await;
    let delivery = bobs[0]["id"].as_str().expect("a delivery");
    let resend = |path: &str| format!("{path}/deliveries/{delivery}/resend");
    let through_own = call_as(&rig, Some(ALICE), "POST", &resend(&paths[0]), "").await;
    assert_eq!(through_own.code(), "not_found");
    let theirs = call_as(&rig, Some(BOB), "POST", &resend(&paths[1]), "").await;
    assert_eq!(theirs.status.as_u16(), 202);
}

#[tokio::test]
async fn each_caller_has_places_of_their_own() {
    let rig = Rig::with_keys(false);
    let max = rig.gateway.settings.webhooks_per_caller_max;
    assert_eq!(max, 100);
    for _ in 0..max {
        let made = call_as(&rig, Some(BOB), "POST", "/v1/webhooks", HOOK).await;
        assert_eq!(made.status.as_u16(), 201);
    }
    let refused = call_as(&rig, Some(BOB), "POST", "/v1/webhooks", HOOK).await;
    assert_eq!(refused.code(), "too_many_webhooks");
    let made = call_as(&rig, Some(ALICE), "POST", "/v1/webhooks", HOOK).await;
    assert_eq!(made.status.as_u16(), 201);
}
