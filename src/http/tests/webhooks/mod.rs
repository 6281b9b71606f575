//! Standing webhooks, through the router.

mod changing;
mod delivered;
mod faults;
mod making;
mod owners;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::model::{Answer, Rig};
use crate::domain::{MessageId, Status};

/// What most tests make.
const HOOK: &str = r#"{"url":"https://hooks.example/in"}"#;

/// An id that nobody has.
const NEVER: &str = "0193a5c4-0000-7000-8000-000000000000";

/// Sends a request with this key, and JSON if there is a body.
async fn call_as(rig: &Rig, key: Option<&str>, method: &str, path: &str, body: &str) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    if let Some(key) = key {
        request = request.header("authorization", key);
    }
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Body::from(body.to_owned()));
    rig.send(request.expect("a request")).await
}

async fn call(rig: &Rig, method: &str, path: &str, body: &str) -> Answer {
    call_as(rig, None, method, path, body).await
}

/// Makes a webhook, and gives what was answered.
async fn make(rig: &Rig, body: &str) -> Value {
    let answer = call(rig, "POST", "/v1/webhooks", body).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    answer.json()
}

/// Makes a webhook, and gives its path.
async fn make_one(rig: &Rig, body: &str) -> String {
    let made = make(rig, body).await;
    format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"))
}

/// What a good question is answered.
async fn get(rig: &Rig, path: &str) -> Value {
    let answer = rig.get(path).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()
}

/// Publishes a message and settles it.
async fn outcome(rig: &Rig, status: Status) -> MessageId {
    let body = json!({"exchange": "e", "payload": 1}).to_string();
    assert_eq!(rig.publish(body).await.status.as_u16(), 202);
    let id = rig.model.accepted.lock().last().expect("a message").id;
    rig.model.settle(id, status);
    id
}
