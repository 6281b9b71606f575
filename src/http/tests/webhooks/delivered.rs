//! What became of deliveries, and sending them again.

use serde_json::{Value, json};

use super::super::model::Rig;
use super::{HOOK, call, get, make_one, outcome};
use crate::domain::{Status, WallTime};
use crate::http::message_resource;
use crate::store::{DeliveryId, DeliveryStatus, Lookup, OutboxChange, Tried};

/// When deliveries were tried.
fn at(ms: u64) -> WallTime {
    WallTime::from_unix_ms(1_795_341_600_000 + ms)
}

fn tried(
    id: u64,
    status_code: Option<u16>,
    error: Option<&str>,
    status: DeliveryStatus,
) -> OutboxChange {
    OutboxChange::Tried {
        id: DeliveryId(id),
        tried: Tried {
            at: at(200),
            status_code,
            error: error.map(Into::into),
        },
        status,
    }
}

#[tokio::test]
async fn a_delivery_is_told_with_everything_but_what_the_receiver_said() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    let failed = outcome(&rig, Status::Failed).await;
    let confirmed = outcome(&rig, Status::Confirmed).await;
    let returned = outcome(&rig, Status::Returned).await;
    let later = DeliveryStatus::Waiting { next_at: at(5_200) };
    rig.model
        .keep(tried(1, Some(410), None, DeliveryStatus::Failed));
    rig.model
        .keep(tried(2, Some(204), None, DeliveryStatus::Delivered));
    rig.model.keep(tried(3, None, Some("timeout"), later));
    let list = get(&rig, &format!("{path}/deliveries")).await;
    let delivery = |number: u64, id, event, status, next: Value, code: Value, error: Value| {
        json!({
            "id": format!("00000000-0000-8000-8000-{number:012}"), "message_id": format!("{id}"),
            "revision": 2, "event": event, "webhook_id": format!("{id}-2"), "status": status,
            "attempts": 1, "next_attempt_at": next, "last_attempt_at": "2026-11-22T10:00:00.200Z",
            "last_status_code": code, "last_error": error,
        })
    };
    let next = json!("2026-11-22T10:00:05.200Z");
    let null = Value::Null;
    let expected = json!({
        "deliveries": [
            delivery(3, returned, "message.returned", "waiting", next, null.clone(), json!("timeout")),
            delivery(2, confirmed, "message.confirmed", "delivered", null.clone(), json!(204), null.clone()),
            delivery(1, failed, "message.failed", "failed", null.clone(), json!(410), null.clone()),
        ],
        "next_cursor": null,
    });
    assert_eq!(list, expected);
}

#[tokio::test]
async fn the_body_of_a_webhook_has_the_message_as_the_api_tells_it() {
    let rig = Rig::new();
    let id = outcome(&rig, Status::Returned).await;
    let record = match rig.gateway.store.get(id) {
        Ok(Lookup::Found(record)) => record,
        other => panic!("{other:?}"),
    };
    let told: Value = serde_json::from_slice(&message_resource(&record)).expect("JSON");
    assert_eq!(told, get(&rig, &format!("/v1/messages/{id}")).await);
}

#[tokio::test]
async fn one_that_was_never_tried_waits_since_the_outcome() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    outcome(&rig, Status::Returned).await;
    let list = get(&rig, &format!("{path}/deliveries")).await;
    let delivery = &list["deliveries"][0];
    assert_eq!(delivery["status"], "waiting");
    assert_eq!(delivery["attempts"], 0);
    assert_eq!(delivery["next_attempt_at"], "2026-11-22T10:00:00.131Z");
    for never in ["last_attempt_at", "last_status_code", "last_error"] {
        assert_eq!(delivery[never], Value::Null, "{never}");
    }
}

/// The numbers of all pages, one after the other.
async fn walk(rig: &Rig, path: &str, query: &str) -> Vec<u64> {
    let (mut numbers, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(rig, &format!("{path}/deliveries?{query}{cursor}")).await;
        for delivery in page["deliveries"].as_array().expect("deliveries") {
            let id = delivery["id"].as_str().expect("an id");
            numbers.push(u64::from_str_radix(&id[24..], 16).expect("a number"));
        }
        assert!(numbers.len() < 1000, "the list does not end");
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return numbers,
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_are_the_whole_list_newest_first() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    assert_eq!(walk(&rig, &path, "").await, [0; 0]);
    for _ in 0..5 {
        outcome(&rig, Status::Returned).await;
    }
    for limit in [1, 2, 3, 4, 5, 6, 1000] {
        let numbers = walk(&rig, &path, &format!("limit={limit}")).await;
        assert_eq!(numbers, [5, 4, 3, 2, 1], "{limit}");
    }
    let page = get(&rig, &format!("{path}/deliveries?limit=5")).await;
    assert_eq!(page["next_cursor"], Value::Null);
    for _ in 5..103 {
        outcome(&rig, Status::Returned).await;
    }
    let page = get(&rig, &format!("{path}/deliveries")).await;
    assert_eq!(page["deliveries"].as_array().map(Vec::len), Some(100));
    assert_eq!(walk(&rig, &path, "").await.len(), 103);
}

#[tokio::test]
async fn a_faulty_query_is_told_and_another_lists_cursor_is_refused() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    for (query, code) in [
        ("limit=0", "invalid_query"),
        ("limit=1001", "invalid_query"),
        ("limit=x&status=failed", "invalid_query"),
        ("limit=1&limit=1", "invalid_query"),
        ("cursor=", "invalid_cursor"),
        ("cursor=AQAAAAAAAAAA", "invalid_cursor"),
        ("cursor=x", "invalid_cursor"),
    ] {
        let answer = rig.get(&format!("{path}/deliveries?{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (400, code),
            "{query}"
        );
    }
    let all = format!("{path}/deliveries?limit=1000&cursor=AgAAAAAAAAAA");
    assert_eq!(get(&rig, &all).await["deliveries"], json!([]));
}

#[tokio::test]
async fn a_delivery_is_sent_again_whatever_became_of_it() {
    for (status, wait_ms) in [
        (DeliveryStatus::Delivered, None),
        (DeliveryStatus::Failed, None),
        (
            DeliveryStatus::Waiting {
                next_at: at(u64::from(u32::MAX)),
            },
            Some(()),
        ),
    ] {
        let rig = Rig::new();
        let path = make_one(&rig, HOOK).await;
        outcome(&rig, Status::Failed).await;
        rig.model.keep(tried(1, Some(500), None, status));
        let before = get(&rig, &format!("{path}/deliveries")).await;
        let delivery = before["deliveries"][0].clone();
        assert_eq!(delivery["next_attempt_at"].is_string(), wait_ms.is_some());
        let id = delivery["id"].as_str().expect("an id");
        let answer = call(&rig, "POST", &format!("{path}/deliveries/{id}/resend"), "").await;
        assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
        let again = answer.json();
        assert_eq!(again["status"], "waiting");
        assert_ne!(again["next_attempt_at"], delivery["next_attempt_at"]);
        assert_eq!(again["webhook_id"], delivery["webhook_id"]);
        assert_eq!(again["attempts"], 1);
        let after = get(&rig, &format!("{path}/deliveries")).await;
        assert_eq!(after["deliveries"], json!([again]));
    }
}

#[tokio::test]
async fn a_delivery_that_is_not_there_is_not_sent_again() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    outcome(&rig, Status::Failed).await;
    for delivery in [
        "1",
        "x",
        "%ff",
        super::NEVER,
        "00000000-0000-8000-8000-000000000000",
        "00000000-0000-8000-8000-000000000002",
        "00000000-0000-8000-bfff-ffffffffffff",
    ] {
        let answer = call(
            &rig,
            "POST",
            &format!("{path}/deliveries/{delivery}/resend"),
            "",
        )
        .await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (404, "not_found"),
            "{delivery}"
        );
    }
}
