//! Where a caller may publish to, at each endpoint that publishes.

use serde_json::{Value, json};

use super::super::model::ALICE;
use super::{Act, Rights, call, grants, only, rig_of_alice};

fn message(exchange: &str, routing_key: &str) -> Value {
    json!({"exchange": exchange, "routing_key": routing_key, "payload": "x"})
}

#[tokio::test]
async fn single_messages_go_where_they_may() {
    let rig = rig_of_alice(grants(&[("log.*", "#"), ("", "jobs")]));
    let copies = |name: &str, key: &str| {
        let mut message = message("", "jobs");
        message["properties"] = json!({"headers": {name: [key]}});
        message
    };
    for (message, expected) in [
        (message("log.app", "any.key"), 202),
        (message("amq.default", "jobs"), 202),
        (copies("BCC", "jobs"), 202),
        (message("log.app.x", "any.key"), 403),
        (message("", "other"), 403),
        (copies("CC", "other"), 403),
        (copies("BCC", "other"), 403),
    ] {
        let answer = call(&rig, ALICE, "POST", "/v1/messages", &message.to_string()).await;
        assert_eq!(answer.status.as_u16(), expected, "{message}");
        if expected == 403 {
            assert_eq!(answer.code(), "forbidden");
            assert_eq!(answer.json()["retryable"], false);
        }
    }
    for (path, expected) in [
        ("/v1/exchanges/log.app/messages?routing_key=k", 202),
        ("/v1/exchanges/amq.default/messages?routing_key=jobs", 202),
        ("/v1/exchanges/amq.default/messages?routing_key=k", 403),
        ("/v1/exchanges/other/messages?routing_key=k", 403),
    ] {
        let answer = call(&rig, ALICE, "POST", path, "1").await;
        assert_eq!(answer.status.as_u16(), expected, "{path}");
    }
    assert_eq!(rig.model.accepted.lock().len(), 5);
}

#[tokio::test]
async fn of_a_batch_only_what_may_not_be_published_is_refused() {
    let rig = rig_of_alice(grants(&[("e", "#")]));
    let batch = json!({"messages": [message("e", "1"), message("f", "2"), {"exchange": "f"}, message("e", "3")]});
    let answer = call(
        &rig,
        ALICE,
        "POST",
        "/v1/messages/batch",
        &batch.to_string(),
    )
    .await;
    assert_eq!(answer.status.as_u16(), 207);
    let told = answer.json();
    assert_eq!(
        (&told["accepted"], &told["rejected"]),
        (&json!(2), &json!(2))
    );
    let codes: Vec<_> = (told["results"].as_array().expect("results").iter())
        .map(|result| {
            (
                result["error"]["status"].clone(),
                result["error"]["code"].clone(),
            )
        })
        .collect();
    let faulty = (json!(422), json!("invalid_message"));
    let denied = (json!(403), json!("forbidden"));
    let good = (Value::Null, Value::Null);
    assert_eq!(codes, [good.clone(), denied, faulty, good]);
    let none = json!({"messages": [message("f", "1")]}).to_string();
    let answer = call(&rig, ALICE, "POST", "/v1/messages/batch", &none).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert_eq!(answer.json()["results"][0]["error"]["code"], "forbidden");
}

/// What is told is the same whether there is something or not.
#[tokio::test]
async fn a_refusal_tells_of_rights_only() {
    let rig = rig_of_alice(grants(&[("e", "#")]));
    let told = async |exchange: &str| {
        let body = message(exchange, "k").to_string();
        call(&rig, ALICE, "POST", "/v1/messages", &body).await.body
    };
    assert_eq!(told("amq.topic").await, told("nowhere").await);
}

#[tokio::test]
async fn who_may_not_use_webhooks_may_name_no_callback() {
    let rig = rig_of_alice(only(&[Act::Replay]));
    rig.callers.send_modify(|callers| {
        let secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            .parse()
            .expect("a secret");
        let callers = std::sync::Arc::make_mut(callers);
        callers
            .add_secret(&super::named("alice"), secret)
            .expect("the first");
    });
    let mut message = message("e", "k");
    message["callback_url"] = json!("https://hooks.example/in");
    let answer = call(&rig, ALICE, "POST", "/v1/messages", &message.to_string()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (403, "forbidden".into())
    );
    rig.callers.send_modify(|callers| {
        let callers = std::sync::Arc::make_mut(callers);
        callers.name(super::named("alice"), Rights::default());
    });
    let answer = call(&rig, ALICE, "POST", "/v1/messages", &message.to_string()).await;
    assert_eq!(answer.status.as_u16(), 202, "{answer:?}");
}
