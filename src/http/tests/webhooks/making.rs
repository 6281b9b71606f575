//! Making, listing and looking at webhooks.

use serde_json::{Value, json};

use super::super::super::Settings;
use super::super::model::Rig;
use super::{HOOK, call, get, make, make_one};
use crate::domain::webhook::Secret;
use crate::domain::{MessageId, Status};

const ALL: [&str; 3] = ["message.confirmed", "message.returned", "message.failed"];

#[tokio::test]
async fn a_webhook_of_which_only_the_url_is_said_gets_everything() {
    let rig = Rig::new();
    let answer = call(&rig, "POST", "/v1/webhooks", HOOK).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut made = answer.json();
    let id = made["id"].as_str().expect("an id").to_owned();
    id.parse::<MessageId>().expect("a UUID");
    assert_eq!(
        answer.header("location"),
        Some(&*format!("/v1/webhooks/{id}"))
    );
    let secret = made.as_object_mut().expect("an object").remove("secret");
    let secret = secret.expect("a secret");
    let secret: Secret = secret.as_str().expect("text").parse().expect("a secret");
    assert_eq!(secret.bytes().len(), 32);
    let created_at = made["created_at"].clone();
    assert!(created_at.as_str().is_some_and(|at| at.ends_with('Z')));
    let expected = json!({
        "id": id, "url": "https://hooks.example/in", "events": ALL,
        "filter": {"exchange": null, "group": null}, "enabled": true, "disabled_reason": null,
        "failing_since": null, "old_secret_expires_at": null, "created_at": created_at,
    });
    assert_eq!(made, expected);
    assert_eq!(get(&rig, &format!("/v1/webhooks/{id}")).await, expected);
    assert_eq!(
        get(&rig, "/v1/webhooks").await,
        json!({"webhooks": [expected]})
    );
    // What is kept is what was told.
    let kept = rig.model.webhooks();
    assert_eq!(kept[0].secret.parse(), Ok(secret));
}

#[tokio::test]
async fn everything_that_is_said_of_a_webhook_is_kept_and_told() {
    let rig = Rig::new();
    let body = json!({
        "url": "http://hooks.example:8080/a?b=%20", "events": ["message.failed", "message.returned"],
        "filter": {"exchange": "amq.default", "group": "g ä"}, "enabled": false,
    });
    let path = make_one(&rig, &body.to_string()).await;
    let told = get(&rig, &path).await;
    assert_eq!(told["url"], body["url"]);
    assert_eq!(
        told["events"],
        json!(["message.returned", "message.failed"])
    );
    assert_eq!(told["filter"], json!({"exchange": "", "group": "g ä"}));
    assert_eq!(told["enabled"], false);
    assert_eq!(told["disabled_reason"], Value::Null);
}

#[tokio::test]
async fn a_secret_is_told_when_it_is_made_and_in_no_other_answer() {
    let rig = Rig::new();
    let made = make(&rig, HOOK).await;
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let path = format!("/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    super::outcome(&rig, Status::Returned).await;
    for (method, path, body) in [
        ("GET", "/v1/webhooks".to_owned(), ""),
        ("GET", path.clone(), ""),
        ("PATCH", path.clone(), r#"{"enabled":true}"#),
        ("GET", format!("{path}/deliveries"), ""),
        ("POST", format!("{path}/rotate-secret"), ""),
        ("GET", path.clone(), ""),
        ("DELETE", path.clone(), ""),
    ] {
        let answer = call(&rig, method, &path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        let told = String::from_utf8(answer.body).expect("text");
        assert!(!told.contains(&secret), "{method} {path}: {told}");
        let rotated = path.ends_with("rotate-secret");
        assert_eq!(told.contains("whsec_"), rotated, "{method} {path}: {told}");
    }
    let hook = format!("{:?}", rig.model.webhooks());
    assert!(!hook.contains("whsec_"), "{hook}");
}

#[tokio::test]
async fn secrets_and_ids_differ() {
    let rig = Rig::new();
    let (one, other) = (make(&rig, HOOK).await, make(&rig, HOOK).await);
    assert_ne!(one["secret"], other["secret"]);
    assert_ne!(one["id"], other["id"]);
}

#[tokio::test]
async fn webhooks_are_listed_in_the_order_in_which_they_were_made() {
    let rig = Rig::new();
    let mut made = Vec::new();
    for at in 0..20 {
        let body = json!({"url": format!("https://hooks.example/{at}")}).to_string();
        made.push(make(&rig, &body).await["id"].clone());
    }
    let list = get(&rig, "/v1/webhooks").await;
    let list = list["webhooks"].as_array().expect("webhooks").iter();
    assert_eq!(list.map(|one| one["id"].clone()).collect::<Vec<_>>(), made);
}

fn three_each() -> Settings {
    Settings {
        webhooks_per_caller_max: 3,
        ..Settings::default()
    }
}

#[tokio::test]
async fn there_are_at_most_so_many_webhooks_of_one_caller() {
    let rig = Rig::with_allowed("", three_each());
    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(make_one(&rig, HOOK).await);
    }
    let answer = call(&rig, "POST", "/v1/webhooks", HOOK).await;
    assert_eq!(answer.status.as_u16(), 409);
    assert_eq!(answer.code(), "too_many_webhooks");
    let problem = answer.json();
    assert_eq!(problem["retryable"], false);
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|text| text.contains('3'))
    );
    assert_eq!(rig.model.webhooks().len(), 3);
    assert_eq!(
        call(&rig, "DELETE", &paths[1], "").await.status.as_u16(),
        204
    );
    make_one(&rig, HOOK).await;
}

#[tokio::test]
async fn who_races_for_the_last_places_gets_no_more_than_there_are() {
    let rig = Rig::with_allowed("", three_each());
    let make = || call(&rig, "POST", "/v1/webhooks", HOOK);
    let answers: [_; 5] = tokio::join!(make(), make(), make(), make(), make()).into();
    let mut statuses = answers.map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 409, 409]);
    assert_eq!(rig.model.webhooks().len(), 3);
}

#[tokio::test]
async fn the_allow_list_opens_what_is_not_public_also_for_callbacks() {
    let closed = Rig::with_allowed("", Settings::default());
    let open = Rig::with_allowed("127.0.0.0/8,localhost", Settings::default());
    for (url, opened) in [
        ("http://127.0.0.1:9000/in", true),
        ("http://0x7f.1/in", true),
        ("http://localhost:9000/", true),
        ("http://10.0.0.1/", false),
        ("http://169.254.169.254/latest/meta-data/", false),
        ("http://[::ffff:10.0.0.1]/", false),
        ("http://[::1]/", false),
    ] {
        let hook = json!({"url": url}).to_string();
        let message = json!({"payload": 1, "callback_url": url}).to_string();
        for (rig, is_good) in [(&closed, false), (&open, opened)] {
            let hook = call(rig, "POST", "/v1/webhooks", &hook).await;
            let message = rig.publish(message.clone()).await;
            let statuses = [hook.status.as_u16(), message.status.as_u16()];
            if is_good {
                assert_eq!(statuses, [201, 202], "{url}");
                continue;
            }
            assert_eq!(statuses, [422, 422], "{url}");
            assert_eq!(
                (hook.code(), hook.pointers()),
                ("invalid_request".into(), vec!["/url".into()])
            );
            assert_eq!(message.code(), "invalid_message");
            assert_eq!(message.pointers(), ["/callback_url"]);
        }
    }
}
