//! Changing, rotating and deleting webhooks.

use serde_json::{Value, json};

use super::super::super::Settings;
use super::super::model::Rig;
use super::{HOOK, call, get, make, make_one, outcome};
use crate::domain::{Status, WallTime};
use crate::http::parse;
use crate::store::{DisabledFor, OutboxChange, StoreError};

/// A webhook of which everything was said.
const FULL: &str = r#"{"url":"https://hooks.example/in","events":["message.failed"],
    "filter":{"exchange":"e","group":"g"}}"#;

async fn change(rig: &Rig, path: &str, body: &Value) -> Value {
    let answer = call(rig, "PATCH", path, &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 200, "{body}: {answer:?}");
    answer.json()
}

#[tokio::test]
async fn what_is_absent_from_a_change_stays_and_null_clears() {
    let all = json!(["message.confirmed", "message.returned", "message.failed"]);
    let failed = json!(["message.failed"]);
    let url = "https://hooks.example/in";
    for (patch, url, events, exchange, group, enabled) in [
        (json!({}), url, &failed, json!("e"), json!("g"), true),
        (
            json!({"enabled": false}),
            url,
            &failed,
            json!("e"),
            json!("g"),
            false,
        ),
        (
            json!({"url": "http://b.example"}),
            "http://b.example",
            &failed,
            json!("e"),
            json!("g"),
            true,
        ),
        (
            json!({"events": null}),
            url,
            &all,
            json!("e"),
            json!("g"),
            true,
        ),
        (
            json!({"events": all}),
            url,
            &all,
            json!("e"),
            json!("g"),
            true,
        ),
        (
            json!({"filter": {}}),
            url,
            &failed,
            json!("e"),
            json!("g"),
            true,
        ),
        (
            json!({"filter": {"group": null}}),
            url,
            &failed,
            json!("e"),
            Value::Null,
            true,
        ),
        (
            json!({"filter": {"exchange": null}}),
            url,
            &failed,
            Value::Null,
            json!("g"),
            true,
        ),
        (
            json!({"filter": {"exchange": "amq.default"}}),
            url,
            &failed,
            json!(""),
            json!("g"),
            true,
        ),
        (
            json!({"filter": {"group": "h"}}),
            url,
            &failed,
            json!("e"),
            json!("h"),
            true,
        ),
        (
            json!({"filter": null}),
            url,
            &failed,
            Value::Null,
            Value::Null,
            true,
        ),
    ] {
        let rig = Rig::new();
        let path = make_one(&rig, FULL).await;
        let changed = change(&rig, &path, &patch).await;
        assert_eq!(changed["url"], url, "{patch}");
        assert_eq!(&changed["events"], events, "{patch}");
        assert_eq!(
            changed["filter"],
            json!({"exchange": exchange, "group": group}),
            "{patch}"
        );
        assert_eq!(changed["enabled"], enabled, "{patch}");
        assert_eq!(get(&rig, &path).await, changed, "{patch}");
    }
}

#[tokio::test]
async fn a_change_reaches_the_webhook_it_names_only() {
    let rig = Rig::new();
    let (one, other) = (make_one(&rig, HOOK).await, make_one(&rig, FULL).await);
    let before = get(&rig, &other).await;
    change(&rig, &one, &json!({"url": "http://b.example"})).await;
    assert_eq!(get(&rig, &other).await, before);
}

#[tokio::test]
async fn who_enables_a_webhook_forgets_why_it_was_disabled() {
    for (why, word) in [
        (DisabledFor::Gone, "gone"),
        (DisabledFor::Failing, "failing"),
    ] {
        let rig = Rig::new();
        let path = make_one(&rig, HOOK).await;
        let id = rig.model.webhooks()[0].id;
        let since = WallTime::from_unix_ms(1_795_341_600_123);
        rig.model.keep(OutboxChange::Failing(id, Some(since)));
        rig.model.keep(OutboxChange::Disable(id, why));
        let told = get(&rig, &path).await;
        assert_eq!(told["enabled"], false);
        assert_eq!(told["disabled_reason"], word);
        assert_eq!(told["failing_since"], "2026-11-22T10:00:00.123Z");
        // Another URL alone does not enable it.
        let moved = change(&rig, &path, &json!({"url": "http://b.example"})).await;
        assert_eq!(moved["disabled_reason"], word);
        let enabled = change(&rig, &path, &json!({"enabled": true})).await;
        assert_eq!(enabled["enabled"], true);
        assert_eq!(enabled["disabled_reason"], Value::Null);
        assert_eq!(enabled["failing_since"], Value::Null);
    }
}

fn moment(told: &Value) -> u64 {
    let text = told.as_str().expect("a time");
    parse::time(text).expect("a time").unix_ms()
}

#[tokio::test]
async fn after_a_rotation_the_old_secret_signs_for_as_long_as_is_configured() {
    for overlap_seconds in [86_400, 60] {
        let settings = Settings {
            webhook_secret_overlap_seconds: overlap_seconds,
            ..Settings::default()
        };
        let rig = Rig::with_allowed("", settings);
        let made = make(&rig, HOOK).await;
        let path = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
        let answer = call(&rig, "POST", &format!("{path}/rotate-secret"), "").await;
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        let rotated = answer.json();
        assert_ne!(rotated["secret"], made["secret"]);
        let left = moment(&rotated["old_secret_expires_at"]) - moment(&made["created_at"]);
        let overlap_ms = u64::from(overlap_seconds) * 1000;
        assert!((overlap_ms..overlap_ms + 30_000).contains(&left), "{left}");
        let kept = &rig.model.webhooks()[0];
        assert_eq!(rotated["secret"], &*kept.secret);
        let (old, until) = kept.old_secret.clone().expect("the old one");
        assert_eq!(made["secret"], &*old);
        assert_eq!(until.unix_ms(), moment(&rotated["old_secret_expires_at"]));
        let told = get(&rig, &path).await;
        assert_eq!(
            told["old_secret_expires_at"],
            rotated["old_secret_expires_at"]
        );
    }
}

#[tokio::test]
async fn a_secret_that_signs_no_more_is_not_told_of() {
    let settings = Settings {
        webhook_secret_overlap_seconds: 0,
        ..Settings::default()
    };
    let rig = Rig::with_allowed("", settings);
    let path = make_one(&rig, HOOK).await;
    let answer = call(&rig, "POST", &format!("{path}/rotate-secret"), "").await;
    assert_eq!(answer.json()["old_secret_expires_at"], Value::Null);
    assert_eq!(get(&rig, &path).await["old_secret_expires_at"], Value::Null);
}

#[tokio::test]
async fn a_webhook_that_was_deleted_is_gone_with_all_that_waits() {
    let rig = Rig::new();
    let (path, other) = (make_one(&rig, HOOK).await, make_one(&rig, HOOK).await);
    outcome(&rig, Status::Failed).await;
    let answer = call(&rig, "DELETE", &path, "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    for path in [&path, &format!("{path}/deliveries")] {
        assert_eq!(rig.get(path).await.code(), "not_found");
    }
    assert_eq!(call(&rig, "DELETE", &path, "").await.code(), "not_found");
    let left = get(&rig, &format!("{other}/deliveries")).await;
    assert_eq!(left["deliveries"].as_array().map(Vec::len), Some(1));
    let list = get(&rig, "/v1/webhooks").await;
    assert_eq!(list["webhooks"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_change_that_the_store_does_not_confirm_is_told_so() {
    let rig = Rig::new();
    let path = make_one(&rig, HOOK).await;
    outcome(&rig, Status::Failed).await;
    let list = get(&rig, &format!("{path}/deliveries")).await;
    let delivery = list["deliveries"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let before = rig.model.webhooks();
    for (method, path, body) in [
        ("POST", "/v1/webhooks".to_owned(), HOOK),
        ("PATCH", path.clone(), r#"{"enabled":false}"#),
        ("POST", format!("{path}/rotate-secret"), ""),
        ("POST", format!("{path}/deliveries/{delivery}/resend"), ""),
        ("DELETE", path.clone(), ""),
    ] {
        for (error, code) in [
            (StoreError::Full, "store_full"),
            (StoreError::Unavailable("x".into()), "outcome_unknown"),
            (StoreError::Fatal("x".into()), "outcome_unknown"),
        ] {
            *rig.model.write_fails.lock() = Some(error);
            let answer = call(&rig, method, &path, body).await;
            assert_eq!(answer.status.as_u16(), 503);
            assert_eq!(answer.code(), code, "{method} {path}");
            assert!(!answer.body.windows(6).any(|part| part == b"whsec_"));
        }
    }
    assert!(rig.model.webhooks() == before, "something has changed");
}
