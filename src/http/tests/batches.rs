//! Many messages in one request.

use serde_json::{Value, json};

use super::super::Settings;
use super::model::{Answer, Rig};
use super::refusing::assert_refused;
use crate::domain::Limits;
use crate::relay::AcceptError;

const PATH: &str = "/v1/messages/batch";

async fn post(rig: &Rig, messages: &Value) -> Answer {
    rig.post_json(PATH, json!({ "messages": messages }).to_string())
        .await
}

async fn post_lines(rig: &Rig, body: &str) -> Answer {
    rig.post(
        PATH,
        &[("content-type", "application/x-ndjson")],
        body.to_owned(),
    )
    .await
}

/// Three good messages, each followed by a faulty one.
fn mixed() -> Value {
    json!([
        {"payload": "first", "exchange": "e"},
        {"payload": "x", "properties": {"priority": 256}},
        {"payload": "second", "routing_key": "k"},
        {"payload": "x", "unknown": 1, "a/b": 2},
        {"payload": {"third": [1, 2]}},
        17,
    ])
}

#[tokio::test]
async fn good_messages_are_accepted_in_order_and_faulty_ones_are_told_by_place() {
    let lines: Vec<_> = (mixed().as_array().expect("items").iter())
        .map(Value::to_string)
        .collect();
    let lines = lines.join("\n") + "\n";
    for as_lines in [false, true] {
        let rig = Rig::new();
        let answer = if as_lines {
            post_lines(&rig, &lines).await
        } else {
            post(&rig, &mixed()).await
        };
        assert_eq!(answer.status.as_u16(), 207, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("vary"), Some("Prefer"));
        assert_eq!(
            rig.model.payloads(),
            ["first", "second", r#"{"third":[1,2]}"#]
        );
        let body = answer.json();
        assert_eq!(
            (&body["accepted"], &body["rejected"]),
            (&json!(3), &json!(3))
        );
        let results = body["results"].as_array().expect("results");
        for (index, result) in results.iter().enumerate() {
            assert_eq!(result["index"], index);
        }
        let ids: Vec<_> = rig
            .model
            .accepted
            .lock()
            .iter()
            .map(|one| one.id.to_string())
            .collect();
        for (number, id) in ids.iter().enumerate() {
            let expected = json!({"index": 2 * number, "id": id, "status": "pending"});
            assert_eq!(results[2 * number], expected);
        }
        let pointers = |index: usize| -> Vec<&str> {
            let error = &results[index]["error"];
            assert_eq!(
                (&error["code"], &error["status"]),
                (&json!("invalid_message"), &json!(422))
            );
            let errors = error["errors"].as_array().expect("errors");
            errors
                .iter()
                .filter_map(|one| one["pointer"].as_str())
                .collect()
        };
        assert_eq!(pointers(1), ["/properties/priority"]);
        assert_eq!(pointers(3), ["/a~1b", "/unknown"]);
        assert_eq!(pointers(5), [""]);
    }
}

#[tokio::test]
async fn all_good_is_a_202_and_all_faulty_a_422() {
    let rig = Rig::new();
    let answer = post(&rig, &json!([{"payload": 1}, {"payload": 2}])).await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(answer.json()["accepted"], 2);
    let rig = Rig::new();
    let answer = post(&rig, &json!([{}, {"payload": 2, "x": 1}])).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(
        (&body["accepted"], &body["rejected"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(body["results"][1]["error"]["errors"][0]["pointer"], "/x");
    assert!(rig.model.accepted.lock().is_empty());
}

#[tokio::test]
async fn a_minimal_answer_tells_the_refused_only_and_nothing_waits() {
    let rig = Rig::new();
    let headers = [
        ("content-type", "application/json"),
        ("prefer", "wait=60, return=minimal"),
    ];
    let body = json!({ "messages": mixed() }).to_string();
    let answer = rig.post(PATH, &headers, body).await;
    assert_eq!(answer.header("preference-applied"), Some("return=minimal"));
    let body = answer.json();
    assert_eq!(
        (&body["accepted"], &body["rejected"]),
        (&json!(3), &json!(3))
    );
    let results = body["results"].as_array().expect("results");
    let indexes: Vec<_> = results
        .iter()
        .filter_map(|one| one["index"].as_u64())
        .collect();
    assert_eq!(indexes, [1, 3, 5]);
}

#[tokio::test]
async fn what_is_cut_off_or_no_json_accepts_nothing() {
    let whole = "{\"messages\":[{\"payload\":\"a\"},{\"payload\":\"b\"}]}";
    for cut in 0..whole.len() {
        let rig = Rig::new();
        let answer = rig.post_json(PATH, whole[..cut].to_owned()).await;
        assert_refused(&rig, &answer, 400, "malformed_json", &whole[..cut]);
    }
    for body in [
        "{\"payload\":\"a\"}\n{\"payload\":\"b",
        "{\"payload\":\"a\"}\n{\"payload\":\"b\"",
        "{\"payload\":\"a\"}\nnonsense\n{\"payload\":\"b\"}\n",
        "{\"payload\":\"a\"}{\"payload\":\"b\"}",
    ] {
        let rig = Rig::new();
        let answer = post_lines(&rig, body).await;
        assert_refused(&rig, &answer, 400, "malformed_json", body);
    }
}

#[tokio::test]
async fn a_batch_that_says_nothing_or_something_else_is_refused_whole() {
    for (body, pointer) in [
        ("{}", "/messages"),
        ("{\"messages\":[]}", "/messages"),
        ("{\"messages\":{\"payload\":1}}", "/messages"),
        (
            "{\"messages\":[{\"payload\":1}],\"exchange\":\"e\"}",
            "/exchange",
        ),
    ] {
        let rig = Rig::new();
        let answer = rig.post_json(PATH, body).await;
        assert_refused(&rig, &answer, 422, "invalid_request", body);
        assert_eq!(answer.pointers(), [pointer]);
    }
    let rig = Rig::new();
    let answer = post_lines(&rig, "\n").await;
    assert_refused(&rig, &answer, 422, "invalid_request", "no line");
}

#[tokio::test]
async fn exactly_the_limit_is_accepted_and_one_message_more_is_not() {
    let limits = Limits {
        batch_items_max: 2,
        ..Limits::default()
    };
    let rig = Rig::with(limits, Settings::default());
    let answer = post(
        &rig,
        &json!([{"payload": 1}, {"payload": 2}, {"payload": 3}]),
    )
    .await;
    assert_refused(&rig, &answer, 413, "too_many_items", "three");
    let answer = post(&rig, &json!([{"payload": 1}, {"payload": 2}])).await;
    assert_eq!(answer.status.as_u16(), 202);
}

#[tokio::test]
async fn headers_that_cannot_be_those_of_all_are_refused() {
    for (name, value) in [("idempotency-key", "k"), ("amqp-priority", "1")] {
        let rig = Rig::new();
        let headers = [("content-type", "application/json"), (name, value)];
        let answer = rig
            .post(PATH, &headers, "{\"messages\":[{\"payload\":1}]}")
            .await;
        assert_refused(&rig, &answer, 422, "invalid_request", name);
        assert_eq!(answer.pointers(), [""]);
    }
    for media_type in [
        "text/plain",
        "application/ndjson",
        "application/x-ndjson; charset=latin1",
    ] {
        let rig = Rig::new();
        let answer = rig
            .post(PATH, &[("content-type", media_type)], "{\"payload\":1}")
            .await;
        assert_refused(&rig, &answer, 415, "unsupported_media_type", media_type);
    }
}

#[tokio::test]
async fn when_no_good_message_can_be_accepted_the_caller_shall_come_back() {
    for (error, code) in [
        (AcceptError::Full, "store_full"),
        (AcceptError::Stopping, "stopping"),
        (AcceptError::OutcomeUnknown, "outcome_unknown"),
    ] {
        let rig = Rig::new();
        *rig.model.refuses.lock() = Some(error);
        let answer = post(&rig, &mixed()).await;
        assert_refused(&rig, &answer, 503, code, code);
    }
    // One of them may be there, so nobody may be told that none is.
    let rig = Rig::new();
    let items = json!([
        {"payload": 1, "routing_key": "full"}, {"payload": 1, "routing_key": "unknown"},
    ]);
    let answer = post(&rig, &items).await;
    assert_refused(&rig, &answer, 503, "outcome_unknown", "one of each");
}

#[tokio::test]
async fn when_some_cannot_be_accepted_each_of_them_is_told() {
    let rig = Rig::new();
    let items = json!([
        {"payload": "a"},
        {"payload": "b", "routing_key": "full"},
        {},
        {"payload": "c", "routing_key": "unknown"},
        {"payload": "d"},
    ]);
    let answer = post(&rig, &items).await;
    assert_eq!(answer.status.as_u16(), 207);
    assert_eq!(rig.model.payloads(), ["a", "d"]);
    let results = answer.json()["results"].clone();
    for (index, code, retryable) in [
        (1, "store_full", true),
        (2, "invalid_message", false),
        (3, "outcome_unknown", true),
    ] {
        let error = &results[index]["error"];
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!(code), &json!(retryable))
        );
    }
    assert!(results[4]["id"].is_string());
}

#[tokio::test]
async fn a_large_batch_is_read_like_a_small_one() {
    let rig = Rig::new();
    let payloads: Vec<_> = (0..3000).map(|number| format!("{number:0>200}")).collect();
    let lines: Vec<_> = (payloads.iter())
        .map(|payload| json!({ "payload": payload }).to_string())
        .collect();
    let answer = post_lines(&rig, &lines.join("\n")).await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(rig.model.payloads(), payloads);
}
