//! `POST /v1/messages/{id}/replay`, and replays of many at once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::model::{ALICE, BOB, Rig};
use super::silent::Silent;
use crate::domain::{Caller, Limits, MessageId, ReasonCode, Status};
use crate::http::Settings;
use crate::relay::{AcceptError, Replay};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{BulkReplay, Filter};

async fn returned(rig: &Rig) -> (MessageId, String) {
    let body = r#"{"payload":1,"give_up_after_ms":1000}"#;
    assert_eq!(rig.publish(body).await.status.as_u16(), 202);
    let id = rig.model.only().id;
    rig.model.settle(id, Status::Returned);
    (id, format!("/v1/messages/{id}/replay"))
}

#[tokio::test]
async fn a_message_that_has_ended_is_pending_again() {
    let rig = Rig::new();
    let (id, path) = returned(&rig).await;
    for replays in 1..3_u32 {
        let answer = rig.act(&path).await;
        assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
        assert_eq!(answer.header("amqpost-status"), Some("pending"));
        let location = format!("/v1/messages/{id}");
        assert_eq!(answer.header("location"), Some(location.as_str()));
        let told = answer.json();
        assert_eq!(
            (&told["id"], &told["status"]),
            (&json!(id.to_string()), &json!("pending"))
        );
        assert_eq!(told["replays"], replays);
        assert_eq!(told["revision"], 2 * replays + 1);
        assert_eq!(
            (&told["settled_at"], &told["reason"]),
            (&Value::Null, &Value::Null)
        );
        // The time to settle in begins anew, at the replay.
        assert_eq!(told["give_up_at"], "2026-11-22T10:01:01.123Z");
        rig.model.settle(id, Status::Failed);
        let asked = rig.get(&location).await.json();
        assert_eq!(asked["revision"], 2 * replays + 2);
    }
}

#[tokio::test]
async fn who_waits_for_a_replayed_message_gets_its_new_status() {
    let rig = Rig::new();
    let (id, path) = returned(&rig).await;
    assert_eq!(rig.act(&path).await.status.as_u16(), 202);
    let asked = format!("/v1/messages/{id}");
    let ask = rig.get_with(&asked, &[("prefer", "wait=60")]);
    let settle = async {
        // The request has registered by the time that it is first pending.
        tokio::task::yield_now().await;
        rig.model.settle(id, Status::Confirmed);
    };
    let (answer, ()) = tokio::join!(ask, settle);
    assert_eq!(
        (&answer.json()["status"], &answer.json()["revision"]),
        (&json!("confirmed"), &json!(4))
    );
}

#[tokio::test]
async fn who_wants_little_gets_little() {
    let rig = Rig::new();
    let (id, path) = returned(&rig).await;
    let answer = rig.post(&path, &[("prefer", "return=minimal")], "").await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(
        answer.json(),
        json!({"id": id.to_string(), "status": "pending"})
    );
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
}

#[tokio::test]
async fn only_returned_and_failed_messages_are_sent_again() {
    let rig = Rig::new();
    rig.publish(r#"{"payload":1}"#).await;
    let id = rig.model.only().id;
    let path = format!("/v1/messages/{id}/replay");
    let refused = async |word: &str| {
        let answer = rig.act(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (409, "not_replayable".into())
        );
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(word), "{detail}");
    };
    refused("pending").await;
    rig.model.settle(id, Status::Returned);
    assert_eq!(rig.act(&path).await.status.as_u16(), 202);
    refused("pending").await;
    assert_eq!(
        rig.act(&format!("/v1/messages/{id}/cancel"))
            .await
            .status
            .as_u16(),
        200
    );
    refused("cancelled").await;

    let other = Rig::new();
    other.publish(r#"{"payload":1}"#).await;
    let id = other.model.only().id;
    other.model.settle(id, Status::Confirmed);
    let answer = other.act(&format!("/v1/messages/{id}/replay")).await;
    assert_eq!(answer.code(), "not_replayable");
}

#[tokio::test]
async fn what_the_relay_finds_is_told() {
    for (found, status, code) in [
        (Replay::No, 409, "not_replayable"),
        (Replay::PayloadGone, 410, "payload_not_kept"),
        (Replay::Unknown, 410, "history_expired"),
    ] {
        let rig = Rig::new();
        let (_, path) = returned(&rig).await;
        rig.model.replayings.lock().push_back(found);
        let answer = rig.act(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code)
        );
    }
    for (error, code) in [
        (AcceptError::Full, "store_full"),
        (AcceptError::OutcomeUnknown, "outcome_unknown"),
    ] {
        let rig = Rig::new();
        let (_, path) = returned(&rig).await;
        *rig.model.refuses.lock() = Some(error);
        let answer = rig.act(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (503, code)
        );
    }
}

#[tokio::test]
async fn what_the_caller_may_not_see_is_not_there_and_what_is_not_kept_is_gone() {
    let rig = Rig::with_keys(false);
    rig.publish_with(&[("authorization", ALICE)], r#"{"payload":1}"#)
        .await;
    let id = rig.model.only().id;
    rig.model.settle(id, Status::Returned);
    let path = format!("/v1/messages/{id}/replay");
    let answer = rig.post(&path, &[("authorization", BOB)], "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (404, "not_found".into())
    );
    let answer = rig.post(&path, &[("authorization", ALICE)], "").await;
    assert_eq!(answer.status.as_u16(), 202);

    let limits = Limits {
        history_messages_max: 0,
        ..Limits::default()
    };
    let rig = Rig::with(limits, Settings::default());
    let (_, path) = returned(&rig).await;
    let answer = rig.act(&path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (410, "history_expired".into())
    );
}

/// Starts a replay of what these filters say.
async fn started(rig: &Rig, key: &str, filters: &str) -> Value {
    let headers = [("content-type", "application/json"), ("authorization", key)];
    let answer = rig.post("/v1/replays", &headers, filters.to_owned()).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    let location = format!("/v1/replays/{}", told["id"].as_str().expect("an id"));
    assert_eq!(answer.header("location"), Some(location.as_str()));
    told
}

#[tokio::test]
async fn a_replay_of_many_is_kept_with_what_it_was_asked_for() {
    let rig = Rig::with_keys(false);
    rig.publish_with(&[("authorization", ALICE)], r#"{"payload":1}"#)
        .await;
    rig.model.settle(rig.model.only().id, Status::Failed);
    let filters = r#"{"status":"failed","reason":"nacked","exchange":"amq.default","group":"g"}"#;
    let told = started(&rig, ALICE, filters).await;
    let fresh =
        json!({"id": told["id"], "state": "running", "matched": 0, "replayed": 0, "skipped": 0});
    assert_eq!(told, fresh);
    let kept = rig
        .gateway
        .store
        .bulk_replays_under_way()
        .expect("an answer");
    let expected = Filter {
        caller: Some(Caller::named("alice").expect("a name")),
        status: Some(Status::Failed),
        reason: Some(ReasonCode::Nacked),
        exchange: Some("".into()),
        group: Some("g".into()),
        settled_to: Some(1),
        ..Filter::default()
    };
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].filter, expected);
}

#[tokio::test]
async fn only_who_started_a_replay_can_ask_how_far_it_has_come() {
    let rig = Rig::with_keys(false);
    let told = started(&rig, ALICE, r#"{"status":"returned","exchange":"e"}"#).await;
    let path = format!("/v1/replays/{}", told["id"].as_str().expect("an id"));
    let ask = async |key| rig.get_with(&path, &[("authorization", key)]).await;
    assert_eq!(ask(ALICE).await.json(), told);
    let answer = ask(BOB).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (404, "not_found".into())
    );
    assert_eq!(rig.get(&path).await.code(), "unauthorized");

    let kept = rig
        .gateway
        .store
        .bulk_replays_under_way()
        .expect("an answer")
        .remove(0);
    rig.model.keep_bulk(&BulkReplay {
        matched: 42,
        replayed: 40,
        skipped: 2,
        done: true,
        ..kept
    });
    let done =
        json!({"id": told["id"], "state": "done", "matched": 42, "replayed": 40, "skipped": 2});
    let answer = ask(ALICE).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, done));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn nobody_knows_a_replay_that_was_never_started() {
    let rig = Rig::new();
    rig.publish(r#"{"payload":1}"#).await;
    let message = rig.model.only().id.to_string();
    for id in [
        &*message,
        "0193a5c4-0000-7000-8000-000000000000",
        "x",
        "%ff",
    ] {
        let answer = rig.get(&format!("/v1/replays/{id}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (404, "not_found".into()),
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_replay_of_many_that_is_faulty_starts_nothing() {
    let rig = Rig::new();
    for (body, status, code, pointers) in [
        ("x", 400, "malformed_json", &[][..]),
        ("[]", 400, "malformed_json", &[]),
        ("{}", 422, "invalid_request", &["/status", ""]),
        (r#"{"status":"failed"}"#, 422, "invalid_request", &[""]),
        (
            r#"{"status":"pending","group":"g"}"#,
            422,
            "invalid_request",
            &["/status"],
        ),
        (
            r#"{"status":"failed","limit":5}"#,
            422,
            "invalid_request",
            &["/limit", ""],
        ),
    ] {
        let answer = rig.post_json("/v1/replays", body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{body}"
        );
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    let good = r#"{"status":"failed","group":"g"}"#;
    let answer = rig.post("/v1/replays", &[], good).await;
    assert_eq!(answer.code(), "unsupported_media_type");
    let answer = rig.post_json("/v1/replays?status=failed", good).await;
    assert_eq!(answer.code(), "invalid_query");
    *rig.model.refuses.lock() = Some(AcceptError::Stopping);
    let answer = rig.post_json("/v1/replays", good).await;
    assert_eq!(answer.code(), "stopping");
    let kept = rig
        .gateway
        .store
        .bulk_replays_under_way()
        .expect("an answer");
    assert_eq!(kept, []);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_a_503() {
    let budget = HistoryBudget {
        keys_kept: std::time::Duration::from_hours(24),
        messages_max: 1,
        bytes_max: usize::MAX,
    };
    let silent = Arc::new(Silent::default());
    let rig = Rig::over(
        MemoryStore::new(budget),
        silent,
        Limits::default(),
        Settings::default(),
    );
    let id = "0193a5c4-0000-7000-8000-000000000000";
    for path in [format!("/v1/replays/{id}"), "/v1/groups/g".to_owned()] {
        assert_eq!(rig.get(&path).await.code(), "store_unavailable", "{path}");
    }
    for action in ["cancel", "replay"] {
        let answer = rig.act(&format!("/v1/messages/{id}/{action}")).await;
        assert_eq!(answer.code(), "store_unavailable", "{action}");
    }
}
