//! Whoever has a key sees what is theirs, and nobody else does.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::super::openapi;
use super::model::{ALICE, Answer, BOB, BOB_NEW, Rig};
use crate::domain::{Caller, MessageId, Status};

async fn publish(rig: &Rig, key: &str, payload: &str) -> MessageId {
    let body = json!({"routing_key": "k", "payload": payload}).to_string();
    let answer = rig.publish_with(&[("authorization", key)], body).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
    let accepted = rig.model.accepted.lock();
    accepted.last().expect("a message").id
}

async fn get(rig: &Rig, key: &str, path: &str) -> Answer {
    rig.get_with(path, &[("authorization", key)]).await
}

/// Every operation of the document below `/v1`, with a path that fits.
fn operations() -> Vec<(Method, String)> {
    let document = openapi::yaml().expect("a document");
    let mut operations = Vec::new();
    let mut path = String::new();
    for line in document.lines() {
        let indent = line.len() - line.trim_start().len();
        if indent == 2 && line.trim_start().starts_with('/') {
            path = line
                .trim()
                .trim_end_matches(':')
                .trim_matches('\'')
                .to_owned();
        }
        let method = match line {
            "    get:" => Method::GET,
            "    post:" => Method::POST,
            "    patch:" => Method::PATCH,
            "    delete:" => Method::DELETE,
            _ => continue,
        };
        if path.starts_with("/v1/") {
            let id = "0193a5c4-0000-7000-8000-000000000000";
            operations.push((method, path.replace("{id}", id).replace("{exchange}", "e")));
        }
    }
    operations
}

#[tokio::test]
async fn every_operation_wants_a_key_and_every_way_to_have_none_is_answered_the_same() {
    let rig = Rig::with_keys(false);
    let operations = operations();
    assert!(operations.len() >= 8, "{operations:?}");
    for (method, path) in operations {
        let mut answers = Vec::new();
        for given in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer key-of-alice-012345678"],
            &["Bearer key-of-alice-01234567890"],
            &["Basic key-of-alice-0123456789"],
            &["key-of-alice-0123456789"],
            &[ALICE, ALICE],
        ] {
            let mut request = Request::builder().method(&method).uri(&path);
            request = request.header("host", "localhost");
            for value in given {
                request = request.header("authorization", *value);
            }
            let answer = rig
                .send(request.body(Body::empty()).expect("a request"))
                .await;
            assert_eq!(answer.code(), "unauthorized", "{method} {path} {given:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            answers.push((answer.status.as_u16(), answer.body));
        }
        assert_eq!(answers[0].0, 401);
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
    for open in ["/healthz", "/readyz", "/openapi.yaml"] {
        let headers = [("host", "example.com"), ("origin", "https://example.com")];
        let answer = rig.get_with(open, &headers[1..]).await;
        assert_eq!(answer.status.as_u16(), 200, "{open}");
    }
    assert!(rig.model.accepted.lock().is_empty());
}

#[tokio::test]
async fn a_message_is_its_callers_by_any_of_their_keys() {
    let rig = Rig::with_keys(false);
    let id = publish(&rig, BOB, "bob's").await;
    assert_eq!(
        rig.model.only().draft.caller,
        Caller::named("bob").expect("a name")
    );
    for key in [BOB, BOB_NEW, "bearer key-of-bob-9876543210"] {
        let answer = get(&rig, key, &format!("/v1/messages/{id}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    }
    for (path, body) in [
        ("/v1/exchanges/e/messages", "raw"),
        ("/v1/messages/batch", r#"{"messages":[{"payload":1}]}"#),
    ] {
        let headers = [
            ("authorization", ALICE),
            ("content-type", "application/json"),
        ];
        assert_eq!(rig.post(path, &headers, body).await.status.as_u16(), 202);
    }
    let callers: Vec<_> = (rig.model.accepted.lock().iter())
        .map(|message| message.draft.caller.to_string())
        .collect();
    assert_eq!(callers, ["bob", "alice", "alice"]);
}

/// The same as for an id that never was, whatever is asked.
#[tokio::test]
async fn somebody_elses_message_is_as_unknown_as_one_that_never_was() {
    let rig = Rig::with_keys(false);
    let pending = publish(&rig, BOB, "1").await;
    let returned = publish(&rig, BOB, "2").await;
    rig.model.settle(returned, Status::Returned);
    let never = "0193a5c4-0000-7000-8000-000000000000";
    for id in [pending, returned] {
        for what in ["", "/payload"] {
            let theirs = get(&rig, ALICE, &format!("/v1/messages/{id}{what}")).await;
            let nobodys = get(&rig, ALICE, &format!("/v1/messages/{never}{what}")).await;
            assert_eq!(theirs.code(), "not_found");
            assert_eq!((theirs.status, theirs.body), (nobodys.status, nobodys.body));
        }
        // Nor does waiting tell anything, or take its time.
        let headers = [("authorization", ALICE), ("prefer", "wait=60")];
        let answer = rig.get_with(&format!("/v1/messages/{id}"), &headers).await;
        assert_eq!(answer.code(), "not_found");
    }
    let body = json!({"ids": [pending.to_string(), never, returned.to_string()]}).to_string();
    let look_up = async |key| {
        let headers = [("authorization", key), ("content-type", "application/json")];
        rig.post("/v1/messages/lookup", &headers, body.clone())
            .await
            .json()
    };
    let theirs = look_up(ALICE).await;
    assert_eq!(theirs["messages"], json!([]));
    let all = json!([pending.to_string(), never, returned.to_string()]);
    assert_eq!(theirs["not_found"], all);
    assert_eq!(look_up(BOB).await["not_found"], json!([never]));
}

#[tokio::test]
async fn lists_and_numbers_are_the_callers_own() {
    let rig = Rig::with_keys(false);
    for (key, payload) in [
        (ALICE, "a1"),
        (BOB, "b1"),
        (ALICE, "a2"),
        (BOB, "b2"),
        (BOB, "b3"),
    ] {
        publish(&rig, key, payload).await;
    }
    let all: Vec<_> = rig.model.accepted.lock().clone();
    rig.model.settle(all[1].id, Status::Returned);
    for (key, name, pending, returned) in [(ALICE, "alice", 2, 0), (BOB, "bob", 2, 1)] {
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&rig, key, &format!("/v1/messages?limit=1{cursor}"))
                .await
                .json();
            let ids = page["messages"].as_array().expect("messages").iter();
            listed.extend(ids.filter_map(|one| one["id"].as_str().map(str::to_owned)));
            assert!(listed.len() <= all.len(), "the list does not end");
            match &page["next_cursor"] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        let own: Vec<_> = (all.iter().rev())
            .filter(|message| message.draft.caller.as_str() == name)
            .map(|message| message.id.to_string())
            .collect();
        assert_eq!(listed, own, "{name}");
        let stats = get(&rig, key, "/v1/stats").await.json();
        let counts = json!({"pending": pending, "confirmed": 0, "returned": returned, "failed": 0});
        assert_eq!(stats["counts"], counts, "{name}");
        let oldest = if name == "alice" { &all[0] } else { &all[3] };
        assert_eq!(stats["backlog"]["oldest"]["id"], oldest.id.to_string());
    }
}

#[tokio::test]
async fn where_it_is_allowed_who_has_no_key_is_the_caller_without_a_name() {
    let rig = Rig::with_keys(true);
    let id = publish(&rig, ALICE, "alice's").await;
    let path = format!("/v1/messages/{id}");
    assert_eq!(rig.get(&path).await.code(), "not_found");
    assert_eq!(get(&rig, ALICE, &path).await.status.as_u16(), 200);
    assert_eq!(rig.publish(r#"{"payload":1}"#).await.status.as_u16(), 202);
    let last = rig.model.accepted.lock().last().expect("a message").clone();
    assert_eq!(last.draft.caller, Caller::default());
    // A wrong key is not as good as none.
    assert_eq!(
        get(&rig, "Bearer wrong", &path).await.code(),
        "unauthorized"
    );
}
