//! What a caller wishes beyond publishing, in each form of a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::model::Rig;
use super::refusing::assert_refused;
use super::silent::Silent;
use crate::clock;
use crate::domain::{Deliver, Limits, Status, Terms, WallTime};
use crate::http::Settings;
use crate::relay::Progress;
use crate::store::ReadStore as _;
use crate::store::memory::{HistoryBudget, MemoryStore};

/// What is accepted, and at which fields the same is refused.
const FAULTY: [(&str, &str, &[&str]); 13] = [
    ("deliver_at", "\"tomorrow\"", &["/deliver_at"]),
    ("deliver_at", "\"2026-11-22T10:00:00\"", &["/deliver_at"]),
    ("deliver_at", "\"9999-11-22T10:00:00Z\"", &["/deliver_at"]),
    ("delay_ms", "-1", &["/delay_ms"]),
    ("delay_ms", "1.5", &["/delay_ms"]),
    ("delay_ms", "31536000001", &["/delay_ms"]),
    ("give_up_after_ms", "0", &["/give_up_after_ms"]),
    ("give_up_after_ms", "x", &["/give_up_after_ms"]),
    ("give_up_after_ms", "315360000001", &["/give_up_after_ms"]),
    ("group", "\"\"", &["/group"]),
    ("group", "\"a\\u0001\"", &["/group"]),
    (
        "callback_url",
        "\"http://hooks.example/in\"",
        &["/callback_url"],
    ),
    ("callback_url", "\"x\"", &["/callback_url"]),
];

/// A value of the table as JSON (a word that is none is a string) and as text.
fn forms(value: &str) -> (Value, String) {
    let json = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    let text = json
        .as_str()
        .map_or_else(|| value.to_owned(), str::to_owned);
    (json, text)
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[tokio::test]
async fn every_faulty_term_is_refused_in_each_form_of_a_message() {
    for (field, value, expected) in FAULTY {
        let what = format!("{field}={value}");
        let (json, text) = forms(value);
        let message = json!({"payload": 1, field: json});
        let rig = Rig::new();
        let answer = rig.publish(message.to_string()).await;
        assert_refused(&rig, &answer, 422, "invalid_message", &what);
        assert_eq!(answer.pointers(), expected, "{what}");

        let path = format!("/v1/exchanges/e/messages?{field}={}", encoded(&text));
        let answer = rig.post(&path, &[], "x").await;
        assert_refused(&rig, &answer, 422, "invalid_message", &what);
        assert_eq!(answer.pointers(), expected, "{what}");

        let batch = json!({"messages": [message]}).to_string();
        let answer = rig.post_json("/v1/messages/batch", batch).await;
        assert_eq!(answer.status.as_u16(), 422, "{what}");
        let error = &answer.json()["results"][0]["error"];
        assert_eq!(error["errors"][0]["pointer"], expected[0], "{what}");
    }
    assert!(Rig::new().model.accepted.lock().is_empty());
}

#[tokio::test]
async fn a_time_and_a_delay_exclude_each_other() {
    let rig = Rig::new();
    let body = r#"{"payload":1,"deliver_at":"2026-11-22T10:00:00Z","delay_ms":1}"#;
    let answer = rig.publish(body).await;
    assert_refused(&rig, &answer, 422, "invalid_message", "both");
    assert_eq!(answer.pointers(), ["/delay_ms"]);
}

#[tokio::test]
async fn who_has_no_webhook_secret_is_told_so() {
    let body = r#"{"payload":1,"callback_url":"https://hooks.example/in"}"#;
    let answer = Rig::new().publish(body).await;
    let detail = answer.json()["errors"][0]["detail"].to_string();
    assert!(detail.contains("webhook secret"), "{detail}");
}

#[tokio::test]
async fn terms_reach_the_message_in_each_form() {
    let expected = Terms {
        deliver: Some(Deliver::After { ms: 60_000 }),
        give_up_after_ms: Some(5_000),
        callback_url: None,
        group: Some("a/b c".into()),
        trace: None,
    };
    let item =
        json!({"payload": "x", "delay_ms": 60_000, "give_up_after_ms": 5_000, "group": "a/b c"});
    let rig = Rig::new();
    assert_eq!(rig.publish(item.to_string()).await.status.as_u16(), 202);
    let path =
        "/v1/exchanges/amq.default/messages?delay_ms=60000&give_up_after_ms=5000&group=a%2Fb%20c";
    assert_eq!(rig.post(path, &[], "x").await.status.as_u16(), 202);
    let batch = json!({"messages": [item]}).to_string();
    let answer = rig.post_json("/v1/messages/batch", batch).await;
    assert_eq!(answer.status.as_u16(), 202);
    let lines = [("content-type", "application/x-ndjson")];
    let answer = rig
        .post("/v1/messages/batch", &lines, item.to_string())
        .await;
    assert_eq!(answer.status.as_u16(), 202);
    let accepted = rig.model.accepted.lock();
    assert_eq!(accepted.len(), 4);
    for message in accepted.iter() {
        assert_eq!(message.draft.terms.as_deref(), Some(&expected));
    }
}

#[tokio::test]
async fn a_scheduled_message_tells_its_times_and_that_it_only_waits_for_them() {
    let rig = Rig::new();
    let body = r#"{"payload":1,"delay_ms":60000,"give_up_after_ms":5000,"group":"g"}"#;
    let accepted = rig.publish(body).await.json();
    let path = format!("/v1/messages/{}", rig.model.only().id);
    let asked = rig.get(&path).await.json();
    for told in [&accepted, &asked] {
        assert_eq!(told["status"], "pending");
        assert_eq!(told["group"], "g");
        assert_eq!(told["accepted_at"], "2026-11-22T10:00:00.123Z");
        assert_eq!(told["deliver_at"], "2026-11-22T10:01:00.123Z");
        assert_eq!(told["give_up_at"], "2026-11-22T10:01:05.123Z");
        assert_eq!(
            (&told["next_attempt_at"], &told["reason"]),
            (&Value::Null, &Value::Null)
        );
    }
    assert_eq!(accepted, asked);
}

#[tokio::test]
async fn a_message_without_terms_tells_none() {
    let rig = Rig::new();
    let told = rig
        .publish(r#"{"payload":1,"group":null,"delay_ms":null}"#)
        .await
        .json();
    assert!(rig.model.only().draft.terms.is_none());
    for field in ["group", "deliver_at", "give_up_at", "next_attempt_at"] {
        assert_eq!(told[field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn a_time_that_is_over_means_at_once() {
    let rig = Rig::new();
    let body = r#"{"payload":1,"deliver_at":"2020-02-29T00:00:00+01:00","give_up_after_ms":1000}"#;
    let answer = rig.publish(body).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["deliver_at"], "2020-02-28T23:00:00.000Z");
    // It is given its time from its acceptance, and not from a day that is long over.
    assert_eq!(told["give_up_at"], "2026-11-22T10:00:01.123Z");
}

#[tokio::test]
async fn times_go_as_far_ahead_as_the_gateway_allows() {
    let limits = Limits {
        schedule_seconds_max: 60,
        ..Limits::default()
    };
    let rig = Rig::with(limits, Settings::default());
    let ahead = |ms| {
        let at: WallTime = clock::wall().plus_ms(ms);
        json!({"payload": 1, "deliver_at": at.to_string()}).to_string()
    };
    let answer = rig.publish(ahead(90_000)).await;
    assert_refused(&rig, &answer, 422, "invalid_message", "too far");
    assert_eq!(answer.pointers(), ["/deliver_at"]);
    assert_eq!(rig.publish(ahead(55_000)).await.status.as_u16(), 202);
}

#[tokio::test]
async fn a_key_stands_for_a_message_with_its_terms() {
    let rig = Rig::with_keys(true);
    let key = [("idempotency-key", "k")];
    let publish = |body| rig.publish_with(&key, body);
    let first = publish(r#"{"payload":1,"deliver_at":"2020-01-01T00:00:00Z"}"#).await;
    assert_eq!(first.status.as_u16(), 202);
    let same = publish(r#"{"payload":1,"deliver_at":"2020-01-01T01:00:00+01:00"}"#).await;
    assert_eq!(same.header("idempotent-replayed"), Some("true"));
    let other = publish(r#"{"payload":1,"deliver_at":"2020-01-01T00:00:01Z"}"#).await;
    assert_eq!(other.code(), "idempotency_key_reused");
}

#[tokio::test]
async fn an_expired_message_tells_so_and_when_it_was_given_up() {
    let rig = Rig::new();
    rig.publish(r#"{"payload":1,"give_up_after_ms":1}"#).await;
    let id = rig.model.only().id;
    *rig.model.progress.lock() = Progress::default();
    rig.model.expire(id);
    let told = rig.get(&format!("/v1/messages/{id}")).await.json();
    assert_eq!(told["status"], Status::Failed.as_str());
    assert_eq!(told["reason"]["code"], "expired");
    assert_eq!(told["give_up_at"], "2026-11-22T10:00:00.124Z");
    let listed = rig.get("/v1/messages?reason=expired").await.json();
    assert_eq!(listed["messages"][0], told);
    let none = rig.get("/v1/messages?reason=cancelled").await.json();
    assert_eq!(none["messages"], json!([]));
}

#[tokio::test]
async fn a_list_is_of_one_group_of_one_caller() {
    let rig = Rig::with_keys(false);
    let publish = async |key, group| {
        let body = json!({"payload": 1, "group": group}).to_string();
        let answer = rig.publish_with(&[("authorization", key)], body).await;
        answer.json()["id"].as_str().expect("an id").to_owned()
    };
    let [alice, bob] = [super::model::ALICE, super::model::BOB];
    let first = publish(alice, "g h").await;
    publish(alice, "g").await;
    publish(bob, "g h").await;
    let second = publish(alice, "g h").await;
    let headers = [("authorization", alice)];
    let listed = rig
        .get_with("/v1/messages?group=g+h", &headers)
        .await
        .json();
    let messages = listed["messages"].as_array().expect("messages");
    let ids: Vec<_> = messages.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, [&json!(second), &json!(first)]);
}

/// A gateway with a message whose end comes along with a step of the clock, the path of the message, and how
/// often it was looked up.
async fn stepping() -> (Rig, String, Arc<AtomicUsize>) {
    let store = MemoryStore::new(HistoryBudget {
        keys_kept: Duration::from_hours(24),
        messages_max: 10,
        bytes_max: 1 << 20,
    });
    let looks = Arc::new(AtomicUsize::new(0));
    let (reader, counted) = (store.clone(), Arc::clone(&looks));
    let reader = Silent::with_get(
        Box::new(move |id| {
            let found = reader.get(id).expect("an answer");
            counted.fetch_add(1, Ordering::SeqCst);
            found
        }),
        true,
    );
    let rig = Rig::over(
        store,
        Arc::new(reader),
        Limits::default(),
        Settings::default(),
    );
    *rig.model.clock_step_ms.lock() = -3_600_000;
    rig.publish(r#"{"payload":1,"delay_ms":60000,"give_up_after_ms":5000}"#)
        .await;
    let path = format!("/v1/messages/{}", rig.model.only().id);
    (rig, path, looks)
}

/// Ends the message once it was looked up so often while it was pending.
async fn ends_after(rig: &Rig, looks: &AtomicUsize, count: usize) {
    while looks.load(Ordering::SeqCst) < count {
        tokio::task::yield_now().await;
    }
    rig.model.expire(rig.model.only().id);
}

#[tokio::test]
async fn who_cancels_is_told_the_times_as_everybody_is_also_when_the_clock_steps_then() {
    let (rig, path, _) = stepping().await;
    let told = rig.act(&format!("{path}/cancel")).await.json();
    assert_eq!(told["reason"]["code"], "cancelled");
    assert_eq!(told["give_up_at"], "2026-11-22T09:01:05.123Z");
    assert_eq!(rig.get(&path).await.json(), told);
}

#[tokio::test]
async fn who_waits_is_told_the_times_as_everybody_is_also_when_the_clock_steps_then() {
    let (rig, path, looks) = stepping().await;
    let prefer = [("prefer", "wait=20")];
    let waits = rig.get_with(&path, &prefer);
    let (told, ()) = tokio::join!(waits, ends_after(&rig, &looks, 1));
    assert_eq!(told.json()["give_up_at"], "2026-11-22T09:01:05.123Z");
    assert_eq!(rig.get(&path).await.json(), told.json());
}

#[tokio::test]
async fn who_asks_while_the_end_is_committed_is_told_the_times_as_everybody_is() {
    let (rig, path, looks) = stepping().await;
    rig.model.progress.lock().settling = true;
    // Once for the question, and once more when somebody waits for the commit.
    let (told, ()) = tokio::join!(rig.get(&path), ends_after(&rig, &looks, 2));
    *rig.model.progress.lock() = Progress::default();
    assert_eq!(told.json()["give_up_at"], "2026-11-22T09:01:05.123Z");
    assert_eq!(rig.get(&path).await.json(), told.json());
}

#[tokio::test]
async fn who_publishes_and_waits_is_told_the_times_as_everybody_is_also_when_the_clock_steps_then()
{
    let rig = Rig::new();
    *rig.model.clock_step_ms.lock() = -3_600_000;
    let body = r#"{"payload":1,"give_up_after_ms":5000}"#;
    let waits = rig.publish_with(&[("prefer", "wait=20")], body);
    let ends = async {
        while rig.model.waiters.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        rig.model.expire(rig.model.only().id);
    };
    let (told, ()) = tokio::join!(waits, ends);
    assert_eq!(told.json()["give_up_at"], "2026-11-22T09:00:05.123Z");
    let path = format!("/v1/messages/{}", rig.model.only().id);
    assert_eq!(rig.get(&path).await.json(), told.json());
}
