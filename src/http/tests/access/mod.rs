//! What each caller may do and see, through the router.

mod acting;
mod isolation;
mod publishing;
mod rates;
mod seeing;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::model::{Answer, Rig, alice_and_bob};
use crate::domain::access::{Act, Callers, Grant, KeyHash, Rights, Sight};
use crate::domain::{Caller, MessageId, Status, WallTime};
use crate::http::CallersLoaded;

/// The header of who sees everything.
const OPERATOR: &str = "Bearer key-of-operator-012345";

/// An id that nobody has.
const NEVER: &str = "0193a5c4-0000-7000-8000-000000000000";

fn named(name: &str) -> Caller {
    Caller::named(name).expect("a name")
}

/// Alice and Bob with these rights, and an operator, who sees everything.
fn callers(alice: Rights, bob: Rights) -> Callers {
    let mut callers = alice_and_bob();
    callers.name(named("alice"), alice);
    callers.name(named("bob"), bob);
    let operator = Rights {
        see: Sight::All,
        ..Rights::default()
    };
    callers.name(named("operator"), operator);
    let key = OPERATOR.strip_prefix("Bearer ").expect("a key");
    let hash = KeyHash::of(key.as_bytes());
    let added = callers.add_key(&named("operator"), hash);
    added.expect("a new key");
    callers
}

/// Where alice has these rights.
fn rig_of_alice(alice: Rights) -> Rig {
    Rig::with_callers(callers(alice, Rights::default()))
}

fn grants(grants: &[(&str, &str)]) -> Rights {
    let pattern = |text: &str| text.parse().expect("a pattern");
    let grants = grants.iter().map(|(exchange, routing_key)| Grant {
        exchange: pattern(exchange),
        routing_key: pattern(routing_key),
    });
    Rights {
        publish: Some(grants.collect()),
        ..Rights::default()
    }
}

fn only(acts: &[Act]) -> Rights {
    Rights {
        acts: acts.to_vec(),
        ..Rights::default()
    }
}

/// Sends a request with this key, and JSON if there is a body.
async fn call(rig: &Rig, key: &str, method: &str, path: &str, body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("host", "localhost");
    request = request.header("authorization", key);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Body::from(body.to_owned()));
    rig.send(request.expect("a request")).await
}

async fn get(rig: &Rig, key: &str, path: &str) -> Answer {
    call(rig, key, "GET", path, "").await
}

/// Publishes with a group and an idempotency key, and settles unless it shall be pending.
async fn publish(rig: &Rig, key: &str, status: Status) -> MessageId {
    let body = json!({"exchange": "e", "routing_key": "k", "payload": 1, "group": "g"});
    let answer = call(rig, key, "POST", "/v1/messages", &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    let id = rig.model.accepted.lock().last().expect("a message").id;
    if status != Status::Pending {
        rig.model.settle(id, status);
    }
    id
}

/// Also to whoever has no key: no name and no mistake is told.
#[tokio::test]
async fn readiness_tells_whether_the_callers_are_those_of_the_file() {
    let rig = Rig::new();
    let at = WallTime::from_unix_ms;
    let told = async || rig.get("/readyz").await.json()["callers"].take();
    let loaded_at = at(1_795_341_600_123);
    rig.reloads.send_replace(CallersLoaded {
        loaded_at,
        refused_at: None,
    });
    let loaded =
        json!({"state": "loaded", "loaded_at": "2026-11-22T10:00:00.123Z", "refused_at": null});
    assert_eq!(told().await, loaded);
    rig.reloads.send_replace(CallersLoaded {
        loaded_at,
        refused_at: Some(at(1_795_341_601_000)),
    });
    let kept = json!({"state": "kept", "loaded_at": "2026-11-22T10:00:00.123Z",
                      "refused_at": "2026-11-22T10:00:01.000Z"});
    assert_eq!(told().await, kept);
}
