//! How much callers may do in a time.

use serde_json::json;

use super::super::model::{ALICE, Answer, BOB, Rig};
use super::{Rights, Status, call, get, publish, rig_of_alice};
use crate::domain::access::Rate;

/// So few that none comes back while a test runs.
const SLOW: Rate = Rate {
    per_second: 1,
    burst: 1000,
};

fn limited(answer: &Answer) -> bool {
    if answer.status.as_u16() != 429 {
        return false;
    }
    assert_eq!(answer.code(), "rate_limited");
    assert_eq!(answer.json()["retryable"], true);
    let seconds = answer
        .header("retry-after")
        .and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1), "{answer:?}");
    true
}

fn of_requests(burst: u32) -> Rig {
    rig_of_alice(Rights {
        requests: Some(Rate {
            per_second: 1,
            burst,
        }),
        ..Rights::default()
    })
}

fn of_messages() -> Rig {
    rig_of_alice(Rights {
        messages: Some(SLOW),
        ..Rights::default()
    })
}

fn batch(count: usize) -> String {
    json!({"messages": vec![json!({"payload": 1}); count]}).to_string()
}

#[tokio::test]
async fn requests_of_any_kind_are_counted_by_caller() {
    let rig = of_requests(3);
    let mut answers = Vec::new();
    for path in [
        "/v1/stats",
        "/v1/messages",
        "/v1/messages/x",
        "/v1/groups/g",
        "/v1/events",
    ] {
        answers.push(limited(&get(&rig, ALICE, path).await));
    }
    // Unless the machine was so slow that a second went by.
    assert_eq!(answers[..3], [false; 3]);
    assert!(answers[3] || answers[4]);
    assert!(!limited(&get(&rig, BOB, "/v1/stats").await));
    assert_eq!(rig.get("/healthz").await.status.as_u16(), 200);
}

#[tokio::test]
async fn what_is_over_the_rate_is_not_accepted() {
    let rig = of_messages();
    let accepted = || rig.model.accepted.lock().len();
    let post = async |body: String| call(&rig, ALICE, "POST", "/v1/messages/batch", &body).await;
    assert_eq!(post(batch(900)).await.status.as_u16(), 202);
    assert!(limited(&post(batch(200)).await));
    assert_eq!(accepted(), 900);
    assert_eq!(post(batch(100)).await.status.as_u16(), 202);
    // What is refused costs nothing, and questions are no messages.
    let faulty = json!({"messages": [{}, {}]}).to_string();
    assert_eq!(post(faulty).await.status.as_u16(), 422);
    assert_eq!(get(&rig, ALICE, "/v1/stats").await.status.as_u16(), 200);
    assert!(limited(&post(batch(100)).await));
    assert_eq!(accepted(), 1000);
    publish(&rig, BOB, Status::Pending).await;
}

#[tokio::test]
async fn single_messages_and_replays_cost_one_each() {
    let rig = of_messages();
    let id = publish(&rig, ALICE, Status::Returned).await;
    let rest = call(&rig, ALICE, "POST", "/v1/messages/batch", &batch(999)).await;
    assert_eq!(rest.status.as_u16(), 202);
    for (path, body) in [
        ("/v1/messages", r#"{"payload":1}"#),
        ("/v1/messages", r#"{"payload":1,"idempotency_key":"k"}"#),
        ("/v1/exchanges/e/messages", "1"),
        (&format!("/v1/messages/{id}/replay"), ""),
    ] {
        let answer = call(&rig, ALICE, "POST", path, body).await;
        // One comes back with each second.
        assert!(
            limited(&answer) || limited(&call(&rig, ALICE, "POST", path, body).await),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_batch_of_more_than_the_burst_is_taken_from_a_full_bucket() {
    let rig = of_messages();
    let post = async |count| call(&rig, ALICE, "POST", "/v1/messages/batch", &batch(count)).await;
    assert_eq!(post(3000).await.status.as_u16(), 202);
    let refused = post(1).await;
    assert!(limited(&refused));
    let seconds: u64 = (refused.header("retry-after").expect("a time"))
        .parse()
        .expect("seconds");
    assert!((1900..=2001).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_wrong_key_is_nobodys_request() {
    let rig = of_requests(1);
    for _ in 0..20 {
        let answer = get(&rig, "Bearer key-of-alice-0123456788", "/v1/stats").await;
        assert_eq!(answer.code(), "unauthorized");
    }
    assert_eq!(get(&rig, ALICE, "/v1/stats").await.status.as_u16(), 200);
}
