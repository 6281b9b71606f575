//! Lists, look-ups and numbers.

use serde_json::{Value, json};

use super::model::Rig;
use super::refusing::assert_refused;
use crate::domain::{MessageId, Reason, ReasonCode, Status};
use crate::relay::Progress;

/// Accepts so many with these routing keys, one after the other.
async fn publish(rig: &Rig, routing_keys: &[&str]) -> Vec<MessageId> {
    for key in routing_keys {
        let body = json!({"exchange": "e", "routing_key": key, "payload": key}).to_string();
        assert_eq!(rig.publish(body).await.status.as_u16(), 202);
    }
    rig.model.accepted.lock().iter().map(|one| one.id).collect()
}

fn ids(messages: &Value) -> Vec<String> {
    let messages = messages.as_array().expect("messages");
    let id = |message: &Value| message["id"].as_str().expect("an id").to_owned();
    messages.iter().map(id).collect()
}

/// The routing keys of a whole list, page by page.
async fn walk(rig: &Rig, query: &str) -> Vec<String> {
    let (mut keys, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let answer = rig.get(&format!("/v1/messages?{query}{cursor}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{query}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let page = answer.json();
        for message in page["messages"].as_array().expect("messages") {
            keys.push(message["routing_key"].as_str().expect("a key").to_owned());
        }
        pages += 1;
        assert!(pages < 100, "the list does not end");
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return keys,
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_are_the_whole_list_newest_first() {
    let rig = Rig::new();
    publish(&rig, &["a", "b", "c", "d", "e"]).await;
    for limit in [1, 2, 3, 5, 6, 1000] {
        let keys = walk(&rig, &format!("limit={limit}")).await;
        assert_eq!(keys, ["e", "d", "c", "b", "a"], "{limit}");
    }
    let page = rig.get("/v1/messages?limit=2").await.json();
    let next = page["next_cursor"].as_str().expect("a cursor").to_owned();
    // What comes later is before the first page.
    publish(&rig, &["f"]).await;
    let rest = rig.get(&format!("/v1/messages?cursor={next}")).await.json();
    assert_eq!(rest["messages"][0]["routing_key"], "c");
    assert_eq!(rest["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_list_holds_what_matches_as_it_is_told_alone() {
    let rig = Rig::new();
    let all = publish(&rig, &["a", "b", "c", "a"]).await;
    rig.model.settle(all[0], Status::Confirmed);
    rig.model.settle(all[1], Status::Returned);
    for (query, expected) in [
        ("", &["a", "c", "b", "a"][..]),
        ("status=pending", &["a", "c"]),
        ("status=confirmed", &["a"]),
        ("status=returned", &["b"]),
        ("status=failed", &[]),
        ("reason=no_route", &["b"]),
        ("reason=nacked", &[]),
        ("routing_key=a", &["a", "a"]),
        ("routing_key=a&status=pending", &["a"]),
        ("exchange=e", &["a", "c", "b", "a"]),
        ("exchange=", &[]),
        ("exchange=amq.default", &[]),
        ("since=2026-11-22T10:00:00.123Z", &["a", "c", "b", "a"]),
        ("since=2026-11-22T10:00:00.124Z", &[]),
        ("until=2026-11-22T10:00:00.123Z", &[]),
        ("until=2026-11-22T10:00:01Z", &["a", "c", "b", "a"]),
    ] {
        assert_eq!(walk(&rig, query).await, expected, "{query}");
    }
    let page = rig.get("/v1/messages").await.json();
    for message in page["messages"].as_array().expect("messages") {
        let id = message["id"].as_str().expect("an id");
        assert_eq!(
            rig.get(&format!("/v1/messages/{id}")).await.json(),
            *message
        );
    }
}

#[tokio::test]
async fn why_a_pending_message_waits_is_a_reason_too() {
    let rig = Rig::new();
    publish(&rig, &["a"]).await;
    assert!(walk(&rig, "reason=nacked").await.is_empty());
    *rig.model.progress.lock() = Progress {
        reason: Some(Reason::own(ReasonCode::Nacked, "the broker refused it")),
        ..Progress::default()
    };
    assert_eq!(walk(&rig, "reason=nacked").await, ["a"]);
    assert!(walk(&rig, "reason=no_route").await.is_empty());
}

#[tokio::test]
async fn what_settles_while_it_is_listed_is_told_as_it_ends() {
    let rig = Rig::new();
    let all = publish(&rig, &["a", "b"]).await;
    rig.model.progress.lock().settling = true;
    let settle = async {
        for _ in 0..10_000 {
            if std::sync::Arc::strong_count(&rig.model.waiters) > 2 {
                break;
            }
            tokio::task::yield_now().await;
        }
        rig.model.settle(all[0], Status::Confirmed);
        rig.model.settle(all[1], Status::Returned);
    };
    let (answer, ()) = tokio::join!(rig.get("/v1/messages?status=pending"), settle);
    assert_eq!(answer.json()["messages"], json!([]));
    rig.model.progress.lock().settling = false;
    assert_eq!(walk(&rig, "status=confirmed").await, ["a"]);
}

#[tokio::test]
async fn a_faulty_query_is_refused() {
    let rig = Rig::new();
    for (query, code) in [
        ("cursor=x", "invalid_cursor"),
        ("cursor=", "invalid_cursor"),
        ("limit=0", "invalid_query"),
        ("limit=1001", "invalid_query"),
        ("status=done", "invalid_query"),
        ("status=pending&status=failed", "invalid_query"),
        ("since=yesterday", "invalid_query"),
        ("group=%ff", "invalid_query"),
        ("idempotency_key=", "invalid_query"),
        ("idempotency_key=a%00", "invalid_query"),
        ("offset=1", "invalid_query"),
    ] {
        let answer = rig.get(&format!("/v1/messages?{query}")).await;
        assert_refused(&rig, &answer, 400, code, query);
    }
}

#[tokio::test]
async fn amqp_headers_are_refused_where_they_would_mean_nothing() {
    let rig = Rig::new();
    let id = "0193a5c4-0000-7000-8000-000000000000";
    for path in [
        "/v1/messages",
        "/v1/stats",
        &format!("/v1/messages/{id}"),
        &format!("/v1/messages/{id}/payload"),
    ] {
        let answer = rig.get_with(path, &[("amqp-priority", "1")]).await;
        assert_refused(&rig, &answer, 422, "invalid_request", path);
    }
}

#[tokio::test]
async fn many_are_looked_up_in_their_order() {
    let rig = Rig::new();
    let all = publish(&rig, &["a", "b", "c"]).await;
    rig.model.settle(all[1], Status::Returned);
    let unknown = "0193a5c4-0000-7000-8000-000000000000";
    let upper = all[0].to_string().to_uppercase();
    let asked = json!({"ids": [all[2].to_string(), "no-uuid", all[1].to_string(), unknown, upper,
                               all[2].to_string(), ""]});
    let answer = rig
        .post_json("/v1/messages/lookup", asked.to_string())
        .await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let body = answer.json();
    let expected: Vec<_> = [all[2], all[1], all[0]]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids(&body["messages"]), expected);
    assert_eq!(body["messages"][1]["status"], "returned");
    assert_eq!(body["not_found"], json!([unknown, "no-uuid", ""]));
}

#[tokio::test]
async fn a_faulty_lookup_is_refused() {
    let rig = Rig::new();
    let many = json!({"ids": vec!["x"; 1001]}).to_string();
    for (body, status, code) in [
        ("[]", 400, "malformed_json"),
        ("{}", 422, "invalid_request"),
        ("{\"ids\":[]}", 422, "invalid_request"),
        ("{\"ids\":[1]}", 422, "invalid_request"),
        (
            "{\"ids\":[\"x\"],\"status\":\"failed\"}",
            422,
            "invalid_request",
        ),
        (many.as_str(), 413, "too_many_items"),
    ] {
        let answer = rig.post_json("/v1/messages/lookup", body.to_owned()).await;
        assert_refused(&rig, &answer, status, code, body);
    }
    let answer = rig
        .post("/v1/messages/lookup", &[], "{\"ids\":[\"x\"]}")
        .await;
    assert_refused(&rig, &answer, 415, "unsupported_media_type", "no type");
}

#[tokio::test]
async fn numbers_tell_of_every_status_and_of_the_backlog() {
    let rig = Rig::new();
    let body = rig.get("/v1/stats").await.json();
    assert_eq!(
        body["backlog"],
        json!({"messages": 0, "oldest": null, "oldest_accepted_after": null})
    );
    let all = publish(&rig, &["a", "b", "c", "d"]).await;
    rig.model.settle(all[0], Status::Confirmed);
    rig.model.settle(all[2], Status::Returned);
    let answer = rig.get("/v1/stats").await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let body = answer.json();
    let counts = json!({"pending": 2, "confirmed": 1, "returned": 1, "failed": 0});
    assert_eq!(body["counts"], counts);
    let oldest = json!({"id": all[1].to_string(), "accepted_at": "2026-11-22T10:00:00.123Z"});
    assert_eq!(body["backlog"]["oldest"], oldest);
    assert_eq!(body["history_since"], Value::Null);
    assert_eq!(body["rates"]["seconds"], 0.0);
    assert_eq!(body["broker"]["state"], "up");
}
