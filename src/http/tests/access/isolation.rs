//! One caller never learns of another's messages: all that Alice can ask is answered, byte for byte, as if
//! Bob had never been there, also when she asks by his ids.

use serde_json::{Value, json};

use super::super::model::{ALICE, Answer, BOB, Rig};
use super::{MessageId, Rights, Status, call, callers, publish};

fn rig() -> Rig {
    Rig::with_callers(callers(Rights::default(), Rights::default()))
}

/// What Alice does, in both worlds the same.
async fn alice_has_been_there(rig: &Rig) {
    for status in [Status::Pending, Status::Returned, Status::Confirmed] {
        publish(rig, ALICE, status).await;
    }
}

/// What of Bob's is there.
struct Bobs {
    messages: Vec<MessageId>,
    webhook: String,
    delivery: String,
    replay: String,
}

async fn bob_has_been_there(rig: &Rig) -> Bobs {
    let hook = r#"{"url":"https://hooks.example/in"}"#;
    let made = call(rig, BOB, "POST", "/v1/webhooks", hook).await.json();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let webhook = text(&made["id"]);
    let keyed = json!({"exchange": "e", "payload": 1, "idempotency_key": "key"}).to_string();
    let answer = call(rig, BOB, "POST", "/v1/messages", &keyed).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    for status in [
        Status::Pending,
        Status::Returned,
        Status::Failed,
        Status::Confirmed,
    ] {
        publish(rig, BOB, status).await;
    }
    let path = format!("/v1/webhooks/{webhook}/deliveries");
    let deliveries = call(rig, BOB, "GET", &path, "").await.json();
    let delivery = text(&deliveries["deliveries"][0]["id"]);
    let wish = r#"{"status":"returned","group":"g","exchange":"e"}"#;
    let replay = call(rig, BOB, "POST", "/v1/replays", wish).await.json();
    let bobs = |message: &std::sync::Arc<crate::domain::Message>| {
        (message.draft.caller.as_str() == "bob").then_some(message.id)
    };
    Bobs {
        messages: rig.model.accepted.lock().iter().filter_map(bobs).collect(),
        webhook,
        delivery,
        replay: text(&replay["id"]),
    }
}

/// Everything that Alice can ask and do, in terms of Bob's ids where there are any.
fn everything(bobs: &Bobs) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    let mut add =
        |method, path: &str, body: &str| all.push((method, path.to_owned(), body.to_owned()));
    for id in &bobs.messages {
        add("GET", &format!("/v1/messages/{id}"), "");
        add("GET", &format!("/v1/messages/{id}/payload"), "");
        add("POST", &format!("/v1/messages/{id}/cancel"), "");
        add("POST", &format!("/v1/messages/{id}/replay"), "");
    }
    let ids: Vec<_> = bobs.messages.iter().map(ToString::to_string).collect();
    add(
        "POST",
        "/v1/messages/lookup",
        &json!({"ids": ids}).to_string(),
    );
    for query in [
        "",
        "?status=returned",
        "?status=failed",
        "?exchange=e&group=g",
        "?idempotency_key=key",
        "?limit=1",
    ] {
        add("GET", &format!("/v1/messages{query}"), "");
    }
    add("GET", "/v1/groups/g", "");
    add("GET", "/v1/stats", "");
    add("GET", &format!("/v1/replays/{}", bobs.replay), "");
    let webhook = format!("/v1/webhooks/{}", bobs.webhook);
    add("GET", "/v1/webhooks", "");
    add("GET", &webhook, "");
    add("PATCH", &webhook, r#"{"enabled":false}"#);
    add("POST", &format!("{webhook}/rotate-secret"), "");
    add("GET", &format!("{webhook}/deliveries"), "");
    add(
        "POST",
        &format!("{webhook}/deliveries/{}/resend", bobs.delivery),
        "",
    );
    add("DELETE", &webhook, "");
    all
}

#[tokio::test]
async fn everything_is_answered_as_if_the_other_had_never_been_there() {
    let (alone, together) = (rig(), rig());
    alice_has_been_there(&alone).await;
    alice_has_been_there(&together).await;
    let bobs = bob_has_been_there(&together).await;
    let (before, webhooks) = (
        together.model.accepted.lock().clone(),
        together.model.webhooks(),
    );
    for (method, path, body) in everything(&bobs) {
        let here = call(&together, ALICE, method, &path, &body).await;
        let there = call(&alone, ALICE, method, &path, &body).await;
        assert_eq!(here.status, there.status, "{method} {path}");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&here.body), text(&there.body), "{method} {path}");
        // Each request has an id of its own.
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            headers
        };
        assert_eq!(headers(&here), headers(&there), "{method} {path}");
    }
    // Nor was anything done to what is his.
    assert_eq!(*together.model.accepted.lock(), before);
    assert!(
        together.model.webhooks() == webhooks,
        "a webhook has changed"
    );
    for id in &bobs.messages[..2] {
        let told = call(&together, BOB, "GET", &format!("/v1/messages/{id}"), "").await;
        assert_eq!(told.json()["status"], "pending");
    }
}

#[tokio::test]
async fn his_idempotency_key_is_free_for_her() {
    let (alone, together) = (rig(), rig());
    bob_has_been_there(&together).await;
    for payload in [1, 2] {
        let body =
            json!({"exchange": "e", "payload": payload, "idempotency_key": "key"}).to_string();
        let here = call(&together, ALICE, "POST", "/v1/messages", &body).await;
        let there = call(&alone, ALICE, "POST", "/v1/messages", &body).await;
        assert_eq!(here.status, there.status, "{here:?}");
        let replayed = (
            here.header("idempotent-replayed"),
            here.json()["code"].clone(),
        );
        let expected = (
            there.header("idempotent-replayed"),
            there.json()["code"].clone(),
        );
        assert_eq!(replayed, expected);
    }
}

#[tokio::test]
async fn who_waits_for_his_message_or_group_is_answered_at_once() {
    let rig = rig();
    let id = publish(&rig, BOB, Status::Pending).await;
    for path in [format!("/v1/messages/{id}"), "/v1/groups/g".to_owned()] {
        let headers = [("authorization", ALICE), ("prefer", "wait=60")];
        let asked = rig.get_with(&path, &headers);
        let answer = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
        assert_eq!(answer.expect("at once").code(), "not_found", "{path}");
    }
}
