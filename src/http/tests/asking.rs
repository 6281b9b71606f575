//! `GET /v1/messages/{id}`, and what stands beside the API.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::Settings;
use super::model::{Model, Rig};
use super::silent::Silent;
use crate::domain::{Limits, MessageId, Reason, ReasonCode, Status, WallTime};
use crate::relay::Progress;
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{Audience as _, ReadStore as _, Settlement};

async fn published(rig: &Rig) -> (MessageId, String) {
    let answer = rig.publish(r#"{"payload":1}"#).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let id = rig.model.only().id;
    (id, format!("/v1/messages/{id}"))
}

#[tokio::test]
async fn a_pending_message_tells_how_it_is_getting_on() {
    let rig = Rig::new();
    let (_, path) = published(&rig).await;
    *rig.model.progress.lock() = Progress {
        attempts: 3,
        duplicate_possible: true,
        next_attempt_at: Some(WallTime::from_unix_ms(1_795_341_601_000)),
        reason: Some(Reason::own(ReasonCode::Nacked, "the broker refused it")),
        settling: false,
    };
    let answer = rig.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("amqpost-status"), Some("pending"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    assert_eq!(body["attempts"], 3);
    assert_eq!(body["duplicate_possible"], true);
    assert_eq!(body["next_attempt_at"], "2026-11-22T10:00:01.000Z");
    let reason = json!({
        "code": "nacked", "reply_code": null, "reply_text": null, "detail": "the broker refused it",
    });
    assert_eq!((&body["reason"], &body["revision"]), (&reason, &json!(1)));
}

#[tokio::test]
async fn a_message_that_is_being_settled_is_told_once_it_is() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    rig.model.progress.lock().settling = true;
    let settle = async {
        // It settles in any case, so that an answer that did not wait fails the test at once.
        for _ in 0..10_000 {
            if Arc::strong_count(&rig.model.waiters) > 2 {
                break;
            }
            tokio::task::yield_now().await;
        }
        rig.model.settle(id, Status::Confirmed);
    };
    let (answer, ()) = tokio::join!(rig.get(&path), settle);
    assert_eq!(answer.json()["status"], "confirmed");
}

#[tokio::test]
async fn a_returned_message_tells_why() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    rig.model.settle(id, Status::Returned);
    let body = rig.get(&path).await.json();
    assert_eq!(
        (&body["status"], &body["revision"]),
        (&json!("returned"), &json!(2))
    );
    let reason = json!({
        "code": "no_route", "reply_code": 312, "reply_text": "NO_ROUTE", "detail": "no queue matched",
    });
    assert_eq!(body["reason"], reason);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_final_status() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    let ask = rig.get_with(&path, &[("prefer", "wait=60, return=minimal")]);
    let settle = async {
        // The request has registered by the time that it is first pending.
        tokio::task::yield_now().await;
        rig.model.settle(id, Status::Confirmed);
    };
    let (answer, ()) = tokio::join!(ask, settle);
    assert_eq!(answer.json()["status"], "confirmed");
    assert_eq!(answer.header("preference-applied"), Some("wait=60"));
}

/// The worst moment for a commit: behind the look into the store that does not show it yet.
#[tokio::test]
async fn what_ends_while_the_store_is_being_asked_is_told_at_once() {
    let store = MemoryStore::new(HistoryBudget {
        keys_kept: Duration::from_hours(24),
        messages_max: 1,
        bytes_max: usize::MAX,
    });
    let (kept, model) = (store.clone(), Arc::new(OnceLock::<Arc<Model>>::new()));
    let ends = Arc::clone(&model);
    let get = move |id| {
        let found = kept.get(id).expect("an answer");
        let model = ends.get().expect("the rig is ready");
        model.settle(id, Status::Confirmed);
        found
    };
    let reader = Silent::with_get(Box::new(get), false);
    let limits = Limits::default();
    let rig = Rig::over(store, Arc::new(reader), limits, Settings::default());
    assert!(model.set(Arc::clone(&rig.model)).is_ok());
    let (_, path) = published(&rig).await;
    let ask = rig.get_with(&path, &[("prefer", "wait=60")]);
    let answer = tokio::time::timeout(Duration::from_secs(30), ask).await;
    assert_eq!(answer.expect("at once").json()["status"], "confirmed");
}

#[tokio::test]
async fn the_end_of_the_life_before_a_replay_is_no_news() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    rig.model.settle(id, Status::Returned);
    let replayed = rig.post(&format!("{path}/replay"), &[], "").await;
    assert_eq!(replayed.status, StatusCode::ACCEPTED);
    let ask = rig.get_with(&path, &[("prefer", "wait=60")]);
    let settle = async {
        tokio::task::yield_now().await;
        let late = Settlement {
            id,
            status: Status::Returned,
            reason: None,
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: WallTime::default(),
        };
        rig.model.waiters.settled(&[late]);
        rig.model.settle(id, Status::Confirmed);
    };
    let (answer, ()) = tokio::join!(ask, settle);
    let told = answer.json();
    assert_eq!(
        (&told["status"], &told["revision"]),
        (&json!("confirmed"), &json!(4))
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_that_runs_out_is_still_a_200() {
    let rig = Rig::new();
    let (_, path) = published(&rig).await;
    let answer = rig.get_with(&path, &[("prefer", "wait=1")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["status"], "pending");
}

#[tokio::test]
async fn who_waits_is_answered_when_the_stop_comes_and_who_leaves_is_forgotten() {
    let rig = Rig::new();
    let (_, path) = published(&rig).await;
    let ask = rig.get_with(&path, &[("prefer", "wait=60")]);
    let stop = async {
        tokio::task::yield_now().await;
        rig.stop.send(true).expect("somebody listens");
    };
    let (answer, ()) = tokio::join!(ask, stop);
    assert_eq!(answer.json()["status"], "pending");
    assert_eq!(
        Arc::strong_count(&rig.model.waiters),
        2,
        "a waiter holds the others"
    );
}

#[tokio::test]
async fn nobody_knows_an_id_that_was_never_made() {
    let rig = Rig::new();
    published(&rig).await;
    for id in [
        "0193a5c4-0000-7000-8000-000000000000",
        "no-uuid",
        "%ff",
        "0193a5c400007000800000000000000",
    ] {
        let answer = rig.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (404, "not_found"),
            "{id}"
        );
        let answer = rig
            .get_with(&format!("/v1/messages/{id}"), &[("prefer", "wait=60")])
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_is_gone() {
    let limits = Limits {
        history_messages_max: 0,
        ..Limits::default()
    };
    let rig = Rig::with(limits, Settings::default());
    let (id, path) = published(&rig).await;
    rig.model.settle(id, Status::Confirmed);
    let answer = rig.get(&path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (410, "history_expired")
    );
}

/// What is accepted is kept, and cannot be asked about.
fn over_a_silent_store() -> Rig {
    let store = MemoryStore::new(HistoryBudget {
        keys_kept: Duration::from_hours(24),
        messages_max: 1,
        bytes_max: usize::MAX,
    });
    let silent = Arc::new(Silent::default());
    Rig::over(store, silent, Limits::default(), Settings::default())
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_a_503_but_takes_no_acceptance_back() {
    let rig = over_a_silent_store();
    let answer = rig
        .publish_with(&[("prefer", "wait=60")], r#"{"payload":1}"#)
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let answer = rig
        .get(&format!("/v1/messages/{}", rig.model.only().id))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "store_unavailable")
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_from_the_acceptance_on_is_told_without_asking_the_store() {
    let rig = over_a_silent_store();
    let publish = rig.publish_with(&[("prefer", "wait=60")], r#"{"payload":1}"#);
    let settle = async {
        while rig.model.accepted.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        rig.model.settle(rig.model.only().id, Status::Returned);
    };
    let (answer, ()) = tokio::join!(publish, settle);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["reason"]["code"], "no_route");
}

#[tokio::test]
async fn health_is_told() {
    let rig = Rig::new();
    let answer = rig.get("/healthz").await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::OK, json!({"status": "ok"}))
    );
    let broker = json!({
        "state": "up", "lanes": 4, "lanes_up": 4, "lanes_blocked": 0, "quarantined": 0, "reason": null,
    });
    let topology = json!({
        "state": "none", "exchanges": 0, "queues": 0, "bindings": 0, "detail": null,
        "problems_total": 0, "problems": [],
    });
    let at = "1970-01-01T00:00:00.000Z";
    let callers = json!({"state": "loaded", "loaded_at": at, "refused_at": null});
    let answer = rig.get("/readyz").await;
    let store = json!({"state": "ok", "pending_messages": 0});
    let ready = |status: &str, stopping: bool, store: Value| {
        json!({
            "status": status, "stopping": stopping, "store": store, "broker": broker,
            "topology": topology, "callers": callers,
        })
    };
    let told = (answer.status, answer.json());
    assert_eq!(told, (StatusCode::OK, ready("ready", false, store.clone())));
    // Whoever is about to go says so, and still takes messages.
    rig.leaving.send_replace(true);
    let answer = rig.get("/readyz").await;
    let unready = StatusCode::SERVICE_UNAVAILABLE;
    let told = (answer.status, answer.json());
    assert_eq!(told, (unready, ready("not_ready", true, store)));
    rig.leaving.send_replace(false);
    *rig.model.accepting.lock() = false;
    let answer = rig.get("/readyz").await;
    let store = json!({"state": "refusing", "pending_messages": 0});
    let told = (answer.status, answer.json());
    assert_eq!(told, (unready, ready("not_ready", false, store)));
}

#[tokio::test]
async fn the_document_is_served() {
    let answer = Rig::new().get("/openapi.yaml").await;
    assert_eq!(answer.header("content-type"), Some("application/yaml"));
    assert!(answer.body.starts_with(b"openapi: 3.1"));
}
