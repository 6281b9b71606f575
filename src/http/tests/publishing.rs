//! What is accepted, and what its answer says.

use axum::http::StatusCode;
use serde_json::json;

use super::model::Rig;
use crate::domain::{DeliveryMode, HeaderValue, Status};
use crate::relay::AcceptError;

#[tokio::test]
async fn an_accepted_message_is_answered_with_its_place_and_its_resource() {
    let rig = Rig::new();
    let body = r#"{"exchange":"log.exchange","routing_key":"test","payload":"hello"}"#;
    let answer = rig.publish(body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let id = rig.model.only().id.to_string();
    assert_eq!(
        answer.header("location"),
        Some(format!("/v1/messages/{id}").as_str())
    );
    assert_eq!(answer.header("amqpost-status"), Some("pending"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("Prefer"));
    assert_eq!(answer.header("preference-applied"), None);
    let expected = json!({
        "id": id, "status": "pending", "revision": 1, "exchange": "log.exchange",
        "routing_key": "test", "mandatory": true, "message_id": id, "size_bytes": 5,
        "accepted_at": "2026-11-22T10:00:00.123Z", "settled_at": null, "attempts": 0,
        "replays": 0, "duplicate_possible": false, "group": null, "deliver_at": null,
        "next_attempt_at": null, "give_up_at": null, "reason": null,
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn every_field_reaches_the_message() {
    let rig = Rig::new();
    let body = r#"{
        "exchange": "amq.default", "routing_key": "k\u00e4", "payload": "aGkA",
        "payload_encoding": "base64", "mandatory": false, "ordering_key": "o",
        "properties": {
            "content_type": "", "content_encoding": "gzip", "delivery_mode": 1, "priority": 255,
            "correlation_id": "c", "reply_to": "r", "expiration": 60000, "message_id": "m",
            "timestamp": 1795341600, "type": "t", "user_id": "guest", "app_id": "a",
            "headers": {"s": "x", "b": true, "i": -9223372036854775808, "d": 1.0, "e": 1e3,
                        "n": null, "a": [1, {"x": "\ud83d\ude00"}], "t": {}}
        }}"#;
    let answer = rig.publish(body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    assert_eq!(answer.json()["message_id"], "m");
    let message = rig.model.only();
    let draft = &message.draft;
    assert_eq!((&*draft.exchange, &*draft.routing_key), ("", "kä"));
    assert_eq!((&*draft.payload, draft.mandatory), (&b"hi\0"[..], false));
    assert_eq!(draft.ordering_key.as_deref(), Some("o"));
    let properties = &draft.properties;
    assert_eq!(properties.content_type.as_deref(), Some(""));
    assert_eq!(properties.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(properties.delivery_mode, DeliveryMode::Transient);
    assert_eq!(properties.priority, Some(255));
    assert_eq!(properties.correlation_id.as_deref(), Some("c"));
    assert_eq!(properties.reply_to.as_deref(), Some("r"));
    assert_eq!(properties.expiration.as_deref(), Some("60000"));
    assert_eq!(properties.message_id.as_deref(), Some("m"));
    assert_eq!(properties.timestamp, Some(1_795_341_600));
    assert_eq!(properties.kind.as_deref(), Some("t"));
    assert_eq!(properties.user_id.as_deref(), Some("guest"));
    assert_eq!(properties.app_id.as_deref(), Some("a"));
    let inner = HeaderValue::Table(vec![("x".into(), HeaderValue::Text("😀".into()))]);
    let expected = [
        ("s", HeaderValue::Text("x".into())),
        ("b", HeaderValue::Bool(true)),
        ("i", HeaderValue::Int(i64::MIN)),
        ("d", HeaderValue::Double(1.0)),
        ("e", HeaderValue::Double(1000.0)),
        ("n", HeaderValue::Null),
        ("a", HeaderValue::Array(vec![HeaderValue::Int(1), inner])),
        ("t", HeaderValue::Table(vec![])),
    ];
    let expected: Vec<_> = expected.map(|(name, value)| (name.into(), value)).into();
    assert_eq!(properties.headers, expected);
}

#[tokio::test]
async fn a_payload_is_sent_as_it_is_meant() {
    let json = Some("application/json");
    for (body, payload, content_type) in [
        (r#"{"payload":""}"#, "", None),
        (r#"{"payload":"a\"\u0000\n"}"#, "a\"\0\n", None),
        (r#"{"payload":"x","payload_encoding":null}"#, "x", None),
        (r#"{"payload":"x","payload_encoding":"string"}"#, "x", None),
        (r#"{"payload": null}"#, "null", json),
        (r#"{"payload": -1.50e+1 }"#, "-1.50e+1", json),
        (
            "{\"payload\" : { \"a\" :\t[ 1 ,\n 2 ] } }",
            r#"{"a":[1,2]}"#,
            json,
        ),
        (
            r#"{"payload_encoding":"json","payload":"x y"}"#,
            r#""x y""#,
            json,
        ),
        (
            r#"{"payload_encoding":"json","payload":[1, 1]}"#,
            "[1,1]",
            json,
        ),
        (
            r#"{"payload_encoding":"base64","payload":"eA=="}"#,
            "x",
            None,
        ),
        (r#"{"payload_encoding":"base64","payload":""}"#, "", None),
        (
            r#"{"payload":{},"properties":{"content_type":null}}"#,
            "{}",
            json,
        ),
        (
            r#"{"payload":{},"properties":{"content_type":"a/b"}}"#,
            "{}",
            Some("a/b"),
        ),
        (
            r#"{"payload":{},"properties":{"content_type":""}}"#,
            "{}",
            Some(""),
        ),
    ] {
        let rig = Rig::new();
        let answer = rig.publish(body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{body}: {answer:?}");
        let draft = &rig.model.only().draft;
        assert_eq!(&*draft.payload, payload.as_bytes(), "{body}");
        assert_eq!(
            draft.properties.content_type.as_deref(),
            content_type,
            "{body}"
        );
    }
}

#[tokio::test]
async fn null_means_absent_for_every_optional_field() {
    let rig = Rig::new();
    let mut body = serde_json::Map::new();
    for field in super::super::parse::FIELDS {
        body.insert(field.to_owned(), json!(null));
    }
    let answer = rig.publish(json!(body).to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let mut properties = serde_json::Map::new();
    for field in super::super::parse::properties::FIELDS {
        properties.insert(field.to_owned(), json!(null));
    }
    let answer = rig
        .publish(json!({"payload": 1, "properties": properties}).to_string())
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
}

#[tokio::test]
async fn a_minimal_answer_is_id_and_status() {
    let rig = Rig::new();
    let answer = rig
        .publish_with(&[("prefer", "return=minimal")], r#"{"payload":1}"#)
        .await;
    let id = rig.model.only().id.to_string();
    assert_eq!(answer.json(), json!({"id": id, "status": "pending"}));
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
    assert!(answer.header("location").is_some());
}

#[tokio::test]
async fn who_waits_is_answered_when_the_message_is_settled() {
    for status in [Status::Confirmed, Status::Returned, Status::Failed] {
        let rig = Rig::new();
        let publish = rig.publish_with(&[("prefer", "wait=60")], r#"{"payload":1}"#);
        let settle = async {
            while rig.model.accepted.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            rig.model.settle(rig.model.only().id, status);
        };
        let (answer, ()) = tokio::join!(publish, settle);
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("amqpost-status"), Some(status.as_str()));
        assert_eq!(answer.header("preference-applied"), Some("wait=60"));
        assert!(answer.header("location").is_some());
        let body = answer.json();
        assert_eq!(body["status"], status.as_str());
        assert_eq!(body["settled_at"], "2026-11-22T10:00:00.131Z");
        assert_eq!(
            (&body["revision"], &body["attempts"]),
            (&json!(2), &json!(1))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_runs_out_is_a_202() {
    let rig = Rig::new();
    let answer = rig
        .publish_with(&[("prefer", "wait=100")], r#"{"payload":1}"#)
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.json()["status"], "pending");
    assert_eq!(answer.header("preference-applied"), Some("wait=60"));
}

#[tokio::test]
async fn who_waits_is_answered_at_once_when_the_process_stops() {
    let rig = Rig::new();
    rig.stop.send(true).expect("somebody listens");
    let answer = rig
        .publish_with(&[("prefer", "wait=60")], r#"{"payload":1}"#)
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn who_waits_is_told_the_final_status_also_when_no_history_is_kept() {
    // A history of nothing forgets the message as soon as it is settled.
    let limits = crate::domain::Limits {
        history_messages_max: 0,
        ..Default::default()
    };
    let rig = Rig::with(limits, super::super::Settings::default());
    let publish = rig.publish_with(&[("prefer", "wait=60")], r#"{"payload":1}"#);
    let settle = async {
        while rig.model.accepted.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        rig.model.settle(rig.model.only().id, Status::Confirmed);
    };
    let (answer, ()) = tokio::join!(publish, settle);
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_relay_refuses_is_a_503() {
    for (error, code) in [
        (AcceptError::Full, "store_full"),
        (AcceptError::Stopping, "stopping"),
        (AcceptError::OutcomeUnknown, "outcome_unknown"),
    ] {
        let rig = Rig::new();
        *rig.model.refuses.lock() = Some(error);
        let answer = rig.publish(r#"{"payload":1}"#).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test]
async fn a_panic_ends_one_request_and_leaves_the_outcome_open() {
    let rig = Rig::new();
    let answer = rig.publish(r#"{"payload":1,"routing_key":"panic"}"#).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "outcome_unknown")
    );
    assert_eq!(
        rig.publish(r#"{"payload":1}"#).await.status,
        StatusCode::ACCEPTED
    );
}
