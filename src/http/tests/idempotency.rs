//! One idempotency key, one message: what repeats are answered.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Settings;
use super::model::{ALICE, Answer, BOB, BOB_NEW, Rig};
use super::refusing::assert_refused;
use super::silent::Silent;
use crate::domain::{Limits, Status};
use crate::store::memory::{HistoryBudget, MemoryStore};

const BODY: &str = r#"{"exchange":"e","routing_key":"k","payload":"hi"}"#;

async fn publish(rig: &Rig, key: &str, body: &str) -> Answer {
    rig.publish_with(&[("idempotency-key", key)], body.to_owned())
        .await
}

async fn batch(rig: &Rig, items: &Value) -> Answer {
    let body = json!({ "messages": items }).to_string();
    rig.post_json("/v1/messages/batch", body).await
}

/// The answer to the first message and its id; the header of repeats is not in it.
async fn first(rig: &Rig, key: &str) -> String {
    let answer = publish(rig, key, BODY).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    assert_eq!(answer.header("idempotent-replayed"), None);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn assert_repeat(answer: &Answer, status: u16, id: &str, word: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    assert_eq!(answer.header("amqpost-status"), Some(word));
    let location = format!("/v1/messages/{id}");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    let body = answer.json();
    assert_eq!((&body["id"], &body["status"]), (&json!(id), &json!(word)));
}

#[tokio::test]
async fn the_same_message_is_accepted_once_by_whatever_way_it_comes() {
    let rig = Rig::new();
    let id = first(&rig, "key").await;
    let by_field = r#"{"exchange":"e","routing_key":"k","payload":"aGk=","payload_encoding":"base64",
                       "mandatory":true,"properties":{"delivery_mode":2},"idempotency_key":"key"}"#;
    let raw = rig.post(
        "/v1/exchanges/e/messages?routing_key=k",
        &[("idempotency-key", "key")],
        "hi",
    );
    for answer in [
        publish(&rig, "key", BODY).await,
        rig.publish(by_field).await,
        publish(&rig, "key", by_field).await,
        raw.await,
    ] {
        assert_repeat(&answer, 202, &id, "pending");
        assert_eq!(answer.json()["accepted_at"], "2026-11-22T10:00:00.123Z");
    }
    assert_eq!(rig.model.payloads(), ["hi"]);
    assert_ne!(first(&rig, "another key").await, id);
}

#[tokio::test]
async fn a_repeat_tells_the_present_status_and_honours_what_is_preferred() {
    let rig = Rig::new();
    let id = first(&rig, "key").await;
    let prefer = [("idempotency-key", "key"), ("prefer", "wait=60")];
    let settle = async {
        tokio::task::yield_now().await;
        rig.model.settle(rig.model.only().id, Status::Returned);
    };
    let (waited, ()) = tokio::join!(rig.publish_with(&prefer, BODY), settle);
    assert_repeat(&waited, 200, &id, "returned");
    assert_eq!(waited.header("preference-applied"), Some("wait=60"));
    assert_eq!(waited.json()["reason"]["code"], "no_route");
    assert_repeat(&publish(&rig, "key", BODY).await, 200, &id, "returned");
    let prefer = [("idempotency-key", "key"), ("prefer", "return=minimal")];
    let minimal = rig.publish_with(&prefer, BODY).await;
    assert_repeat(&minimal, 200, &id, "returned");
    assert_eq!(minimal.json(), json!({"id": id, "status": "returned"}));
    let items =
        json!([{"exchange": "e", "routing_key": "k", "payload": "hi", "idempotency_key": "key"}]);
    let result = batch(&rig, &items).await.json()["results"][0].clone();
    let expected = json!({"index": 0, "id": id, "status": "returned", "idempotent_replayed": true});
    assert_eq!(result, expected);
    rig.model.only();
}

#[tokio::test]
async fn another_message_with_the_key_is_refused_and_changes_nothing() {
    let rig = Rig::new();
    let id = first(&rig, "key").await;
    for body in [
        BODY.replace("hi", "ho"),
        BODY.replace("\"k\"", "\"other\""),
        BODY.replace('}', r#","mandatory":false}"#),
        BODY.replace('}', r#","properties":{"headers":{"a":1}}}"#),
    ] {
        let answer = publish(&rig, "key", &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (422, "idempotency_key_reused"),
            "{body}"
        );
        assert_eq!(answer.json()["retryable"], false);
    }
    rig.model.only();
    assert_repeat(&publish(&rig, "key", BODY).await, 202, &id, "pending");
}

#[tokio::test]
async fn a_refused_request_leaves_the_key_free() {
    let rig = Rig::new();
    let faulty = publish(&rig, "key", r#"{"payload":1,"unknown":1}"#).await;
    assert_refused(&rig, &faulty, 422, "invalid_message", "faulty");
    let full = publish(&rig, "key", r#"{"payload":1,"routing_key":"full"}"#).await;
    assert_refused(&rig, &full, 503, "store_full", "full");
    first(&rig, "key").await;
}

#[tokio::test]
async fn a_key_is_its_callers_own_whatever_api_key_the_caller_has() {
    let rig = Rig::with_keys(false);
    let publish = |api_key| {
        let headers = [("authorization", api_key), ("idempotency-key", "key")];
        let rig = &rig;
        async move { rig.publish_with(&headers, BODY).await }
    };
    let alice = publish(ALICE).await.json()["id"].clone();
    let bob = publish(BOB).await;
    assert_eq!(bob.header("idempotent-replayed"), None);
    let bob = bob.json()["id"].as_str().expect("an id").to_owned();
    assert_ne!(alice, bob.as_str());
    assert_repeat(&publish(BOB_NEW).await, 202, &bob, "pending");
    assert_eq!(rig.model.accepted.lock().len(), 2);
}

#[tokio::test]
async fn the_items_of_a_batch_have_keys_of_their_own() {
    let rig = Rig::new();
    let id = first(&rig, "key").await;
    let item = |payload: &str, key: Option<&str>| json!({"exchange": "e", "routing_key": "k", "payload": payload, "idempotency_key": key});
    let items = json!([
        item("a", None),
        item("hi", Some("key")),
        item("ho", Some("key")),
        item("b", Some("new")),
        item("c", Some("")),
        item("b", Some("new")),
        item("a", None),
    ]);
    let answer = batch(&rig, &items).await;
    assert_eq!(answer.status.as_u16(), 207, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["accepted"], &body["rejected"]),
        (&json!(5), &json!(2))
    );
    assert_eq!(rig.model.payloads(), ["hi", "a", "b", "a"]);
    let ids: Vec<_> = (rig.model.accepted.lock().iter())
        .map(|message| message.id.to_string())
        .collect();
    let new = |index: usize, id: &str| json!({"index": index, "id": id, "status": "pending"});
    let repeat = |index: usize, id: &str| json!({"index": index, "id": id, "status": "pending", "idempotent_replayed": true});
    let results = &body["results"];
    assert_eq!(results[0], new(0, &ids[1]));
    assert_eq!(results[1], repeat(1, &id));
    assert_eq!(results[2]["error"]["code"], "idempotency_key_reused");
    assert_eq!(results[3], new(3, &ids[2]));
    let fault = &results[4]["error"]["errors"][0];
    assert_eq!(
        fault,
        &json!({"pointer": "/idempotency_key", "detail": "is empty"})
    );
    assert_eq!(results[5], repeat(5, &ids[2]));
    assert_eq!(results[6], new(6, &ids[3]));
}

#[tokio::test]
async fn a_batch_of_reused_keys_is_refused_for_good() {
    let rig = Rig::new();
    first(&rig, "key").await;
    let reused = json!({"payload": 1, "idempotency_key": "key"});
    let answer = batch(&rig, &json!([reused])).await;
    assert_eq!(answer.status.as_u16(), 422, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    // The other one may be accepted later, so the caller shall come back with both.
    let full = json!({"payload": 1, "routing_key": "full"});
    let answer = batch(&rig, &json!([reused, full])).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "store_full")
    );
}

#[tokio::test]
async fn a_repeat_of_what_is_no_longer_kept_is_told_its_id() {
    let limits = Limits {
        history_messages_max: 1,
        ..Limits::default()
    };
    let rig = Rig::with(limits, Settings::default());
    let id = first(&rig, "key").await;
    first(&rig, "another").await;
    let ids: Vec<_> = rig.model.accepted.lock().iter().map(|one| one.id).collect();
    for id in ids {
        rig.model.settle(id, Status::Confirmed);
    }
    for prefer in ["return=minimal", "wait=60"] {
        let headers = [("idempotency-key", "key"), ("prefer", prefer)];
        let answer = rig.publish_with(&headers, BODY).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (410, "history_expired")
        );
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(&id), "{detail}");
    }
    let items = json!([
        {"exchange": "e", "routing_key": "k", "payload": "hi", "idempotency_key": "key"},
        {"exchange": "e", "routing_key": "k", "payload": "hi", "idempotency_key": "another"},
    ]);
    let answer = batch(&rig, &items).await;
    assert_eq!(answer.status.as_u16(), 207);
    let results = answer.json()["results"].clone();
    assert_eq!(
        (&results[0]["id"], &results[0]["error"]["code"]),
        (&json!(id), &json!("history_expired"))
    );
    assert_eq!(results[1]["status"], "confirmed");
    assert_eq!(rig.model.accepted.lock().len(), 2);
}

#[tokio::test]
async fn a_store_that_does_not_answer_accepts_no_key_and_takes_no_acceptance_back() {
    let store = MemoryStore::new(HistoryBudget {
        keys_kept: std::time::Duration::from_hours(24),
        messages_max: 1,
        bytes_max: usize::MAX,
    });
    let over = |keys: Option<MemoryStore>| {
        Rig::over(
            store.clone(),
            Arc::new(Silent::with_keys(keys)),
            Limits::default(),
            Settings::default(),
        )
    };
    let rig = over(None);
    let answer = publish(&rig, "key", BODY).await;
    assert_refused(&rig, &answer, 503, "store_unavailable", "one");
    let items = json!([{"payload": "hi", "idempotency_key": "key"}]);
    let answer = batch(&rig, &items).await;
    assert_refused(&rig, &answer, 503, "store_unavailable", "a batch");

    // Where only the message itself cannot be asked about, what is known of it is told.
    let rig = over(Some(store.clone()));
    let id = first(&rig, "key").await;
    for prefer in ["wait=60", "return=minimal"] {
        let headers = [("idempotency-key", "key"), ("prefer", prefer)];
        let answer = rig.publish_with(&headers, BODY).await;
        assert_repeat(&answer, 202, &id, "pending");
        assert_eq!(answer.header("preference-applied"), Some(prefer));
    }
    let items =
        json!([{"exchange": "e", "routing_key": "k", "payload": "hi", "idempotency_key": "key"}]);
    let answer = batch(&rig, &items).await;
    assert_eq!(answer.json()["results"][0]["id"], id);
    rig.model.only();
}

#[tokio::test]
async fn faults_of_a_key_are_told_like_others() {
    let longest = "k".repeat(255);
    first(&Rig::new(), &longest).await;
    let too_long = longest + "k";
    for (key, body, pointer) in [
        ("", BODY, ""),
        (&*too_long, BODY, ""),
        ("a\tb", BODY, ""),
        (
            "k",
            r#"{"payload":1,"idempotency_key":"K"}"#,
            "/idempotency_key",
        ),
        (
            "k",
            r#"{"payload":1,"idempotency_key":""}"#,
            "/idempotency_key",
        ),
        (
            "k",
            r#"{"payload":1,"idempotency_key":7}"#,
            "/idempotency_key",
        ),
    ] {
        let rig = Rig::new();
        let answer = publish(&rig, key, body).await;
        assert_refused(&rig, &answer, 422, "invalid_message", key);
        assert_eq!(answer.pointers(), [pointer], "{key}");
    }
    let rig = Rig::new();
    let twice = [("idempotency-key", "k"), ("idempotency-key", "k")];
    let answer = rig.publish_with(&twice, BODY).await;
    assert_refused(&rig, &answer, 422, "invalid_message", "twice");
}

#[tokio::test]
async fn a_list_finds_the_message_of_a_key() {
    // The model's messages are always of the same day, so keys live long enough for any other.
    let settings = Settings {
        idempotency_seconds: u32::MAX,
        ..Settings::default()
    };
    let rig = Rig::with(Limits::default(), settings);
    first(&rig, "another").await;
    let id = first(&rig, "a key").await;
    first(&rig, "one more").await;
    let list = async |query: &str| {
        let answer = rig
            .get(&format!("/v1/messages?idempotency_key={query}"))
            .await;
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        let body = answer.json();
        assert_eq!(body["next_cursor"], Value::Null);
        let messages = body["messages"].as_array().expect("messages").clone();
        (messages.iter().map(|one| one["id"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(list("a+key").await, [json!(id)]);
    assert_eq!(
        list("a%20key&status=pending&exchange=e&limit=1").await,
        [json!(id)]
    );
    for nothing in [
        "key",
        "a+key&status=confirmed",
        "a+key&exchange=f",
        "a+key&until=2026-11-22T10:00:00Z",
    ] {
        assert_eq!(list(nothing).await, [] as [Value; 0], "{nothing}");
    }

    let rig = Rig::with_keys(false);
    let headers = [("authorization", ALICE), ("idempotency-key", "key")];
    rig.publish_with(&headers, BODY).await;
    let path = "/v1/messages?idempotency_key=key";
    let alice = rig.get_with(path, &[("authorization", ALICE)]).await;
    let hers = alice.json()["messages"].as_array().map(Vec::len);
    assert_eq!(hers, Some(1), "{alice:?}");
    let bob = rig.get_with(path, &[("authorization", BOB)]).await;
    assert_eq!(bob.json()["messages"], json!([]));
}
