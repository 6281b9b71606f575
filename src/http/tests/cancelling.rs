//! `POST /v1/messages/{id}/cancel`.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::model::{ALICE, BOB, Rig};
use crate::domain::{Limits, MessageId, Status};
use crate::http::Settings;
use crate::relay::{AcceptError, Cancellation};

async fn published(rig: &Rig) -> (MessageId, String) {
    let answer = rig.publish(r#"{"payload":1}"#).await;
    assert_eq!(answer.status.as_u16(), 202);
    let id = rig.model.only().id;
    (id, format!("/v1/messages/{id}/cancel"))
}

#[tokio::test]
async fn a_pending_message_is_cancelled_once_and_a_repeat_is_told_the_same() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    let first = rig.act(&path).await;
    assert_eq!(first.status.as_u16(), 200, "{first:?}");
    assert_eq!(first.header("amqpost-status"), Some("failed"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    let told = first.json();
    assert_eq!(
        (&told["status"], &told["revision"]),
        (&json!("failed"), &json!(2))
    );
    assert_eq!(told["reason"]["code"], "cancelled");
    let again = rig.act(&path).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, told.clone()));
    let asked = rig.get(&format!("/v1/messages/{id}")).await;
    assert_eq!(asked.json(), told);
}

#[tokio::test]
async fn a_message_that_only_waits_for_its_time_is_cancelled() {
    let rig = Rig::new();
    rig.publish(r#"{"payload":1,"delay_ms":60000}"#).await;
    let path = format!("/v1/messages/{}/cancel", rig.model.only().id);
    let told = rig.act(&path).await.json();
    assert_eq!(told["reason"]["code"], "cancelled");
    assert_eq!(told["deliver_at"], "2026-11-22T10:01:00.123Z");
}

#[tokio::test]
async fn who_wants_little_gets_little() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    let headers = [("prefer", "return=minimal, wait=5")];
    let answer = rig.post(&path, &headers, "").await;
    let minimal = json!({"id": id.to_string(), "status": "failed"});
    assert_eq!(answer.json(), minimal);
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
    assert_eq!(answer.header("vary"), Some("Prefer"));
}

#[tokio::test]
async fn what_has_ended_otherwise_is_a_409() {
    for status in [Status::Confirmed, Status::Returned, Status::Failed] {
        let rig = Rig::new();
        let (id, path) = published(&rig).await;
        rig.model.settle(id, status);
        let answer = rig.act(&path).await;
        let told = (answer.status.as_u16(), answer.code());
        assert_eq!(told, (409, "not_cancellable".to_owned()), "{status:?}");
        assert_eq!(answer.json()["retryable"], false);
    }
}

#[tokio::test]
async fn what_is_in_flight_is_a_409_that_may_be_tried_again() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    rig.model
        .cancellations
        .lock()
        .push_back(Cancellation::InFlight);
    let answer = rig.act(&path).await;
    let told = (answer.status.as_u16(), answer.code());
    assert_eq!(told, (409, "message_in_flight".to_owned()));
    assert_eq!(answer.json()["retryable"], true);
    let asked = rig.get(&format!("/v1/messages/{id}")).await.json();
    assert_eq!(asked["status"], "pending");
    assert_eq!(rig.act(&path).await.status.as_u16(), 200);
}

/// The endpoint has asked, and was told that the message is ending.
async fn told_of_the_end(rig: &Rig) {
    while !rig.model.cancellations.lock().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_that_is_just_ending_is_answered_by_its_end() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    rig.model
        .cancellations
        .lock()
        .push_back(Cancellation::Ended);
    let end = async {
        told_of_the_end(&rig).await;
        rig.model.settle(id, Status::Confirmed);
    };
    let (answer, ()) = tokio::join!(rig.act(&path), end);
    assert_eq!(answer.code(), "not_cancellable");
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("confirmed"), "{detail}");
}

#[tokio::test]
async fn two_who_cancel_at_the_same_time_are_both_told_that_it_is_cancelled() {
    let rig = Rig::new();
    let (_, path) = published(&rig).await;
    rig.model
        .cancellations
        .lock()
        .push_back(Cancellation::Ended);
    let second = async {
        told_of_the_end(&rig).await;
        rig.act(&path).await
    };
    let (first, second) = tokio::join!(rig.act(&path), second);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(first.json(), second.json());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_does_not_come_is_a_409_after_a_bounded_time() {
    let rig = Rig::new();
    let (_, path) = published(&rig).await;
    rig.model.cancellations.lock().extend([
        Cancellation::Ended,
        Cancellation::Ended,
        Cancellation::Ended,
        Cancellation::Ended,
    ]);
    let answer = rig.act(&path).await;
    assert_eq!(answer.code(), "message_in_flight");
    assert_eq!(rig.model.cancellations.lock().len(), 1);
}

#[tokio::test]
async fn what_the_caller_may_not_see_is_not_there() {
    let rig = Rig::with_keys(false);
    let alice = [("authorization", ALICE)];
    rig.publish_with(&alice, r#"{"payload":1}"#).await;
    let id = rig.model.only().id;
    let path = format!("/v1/messages/{id}/cancel");
    assert_eq!(rig.act(&path).await.code(), "unauthorized");
    let answer = rig.post(&path, &[("authorization", BOB)], "").await;
    assert_eq!(answer.code(), "not_found");
    let asked = rig.get_with(&format!("/v1/messages/{id}"), &alice).await;
    assert_eq!(asked.json()["status"], "pending");
    for id in ["0193a5c4-0000-7000-8000-000000000000", "x", "%ff"] {
        let path = format!("/v1/messages/{id}/cancel");
        let answer = rig.post(&path, &alice, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (404, "not_found".into())
        );
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
    rig.model.settle(id, Status::Returned);
    let answer = rig.act(&path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (410, "history_expired".into())
    );
}

#[tokio::test]
async fn a_body_a_query_and_odd_headers_are_refused_and_change_nothing() {
    let rig = Rig::new();
    let (id, path) = published(&rig).await;
    for action in ["cancel", "replay"] {
        let path = format!("/v1/messages/{id}/{action}");
        let answer = rig.post_json(&path, "{}").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (422, "invalid_request".into())
        );
        // One that does not tell its length before.
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("x")]);
        let request = Request::post(&path).header("host", "localhost");
        let request = request.body(Body::from_stream(chunks)).expect("a request");
        assert_eq!(rig.send(request).await.code(), "invalid_request");
        let answer = rig.act(&format!("{path}?force=true")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "invalid_query".into())
        );
        let answer = rig.post(&path, &[("amqp-priority", "1")], "").await;
        assert_eq!(answer.code(), "invalid_request");
        assert_eq!(rig.get(&path).await.code(), "method_not_allowed");
    }
    let asked = rig.get(&format!("/v1/messages/{id}")).await.json();
    assert_eq!(asked["status"], "pending");
    assert_eq!(rig.act(&path).await.status.as_u16(), 200);
}

#[tokio::test]
async fn what_goes_wrong_behind_the_edge_is_a_503() {
    for (error, code) in [
        (AcceptError::Stopping, "stopping"),
        (AcceptError::OutcomeUnknown, "outcome_unknown"),
        (AcceptError::StoreUnavailable, "store_unavailable"),
        (AcceptError::Full, "store_full"),
    ] {
        let rig = Rig::new();
        let (_, path) = published(&rig).await;
        *rig.model.refuses.lock() = Some(error);
        let answer = rig.act(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (503, code)
        );
    }
}
