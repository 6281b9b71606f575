//! One key, one message in the queue: over races, kills, batches and callers.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::callers::{self, assert_confirmed, message};
use super::support::gateway::{Answer, Gateway};
use super::support::queues::{Arrived, Kind, Place};
use super::{gateway, post};

fn is_repeat(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// The ids in the queue, each as often as it is there.
async fn arrived(place: &Place) -> Vec<String> {
    let arrived = place.take_all().await;
    arrived.iter().filter_map(Arrived::amqpost_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_race_with_one_key_are_one_message() {
    for store in [&[][..], &[("AMQPOST_STORE_URL", "memory:")]] {
        let gateway = gateway(store).await;
        let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
        let mut ids = Vec::new();
        for round in 0..5 {
            let body = message(&place, &round.to_string());
            let key = format!("key {round}");
            let mut racing = JoinSet::new();
            for _ in 0..20 {
                let (gateway, body, key) = (gateway.clone(), body.clone(), key.clone());
                racing.spawn(async move {
                    gateway.post_with(&body, &[("idempotency-key", &key)]).await
                });
            }
            let answers = racing.join_all().await;
            for answer in &answers {
                let status = answer.status.as_u16();
                assert!([200, 202].contains(&status), "{}", answer.text);
            }
            let told: HashSet<_> = answers.iter().map(Answer::id).collect();
            assert_eq!(told.len(), 1, "one key, one id");
            assert_eq!(answers.iter().filter(|one| !is_repeat(one)).count(), 1);
            ids.extend(told);
        }
        for id in &ids {
            assert_confirmed(&gateway.wait_final(id).await);
        }
        assert_eq!(arrived(&place).await, ids);
    }
}

#[tokio::test]
async fn a_repeat_tells_the_first_message_and_another_message_is_refused() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let key = [("idempotency-key", "order-42")];
    let body = message(&place, "first");
    let mut faulty = body.clone();
    faulty["nonsense"] = json!(1);
    let refused = gateway.post_with(&faulty, &key).await;
    assert_eq!(refused.status, 422, "{}", refused.text);

    let first = gateway.post_with(&body, &key).await;
    assert!(first.status == 202 && !is_repeat(&first), "{}", first.text);
    let id = first.id();
    let waited = [key[0], ("prefer", "wait=30")];
    let waited = gateway.post_with(&body, &waited).await;
    assert!(
        waited.status == 200 && is_repeat(&waited),
        "{}",
        waited.text
    );
    assert_confirmed(&waited);
    assert_eq!(waited.id(), id);
    let raw = format!(
        "/v1/exchanges/{}/messages?routing_key={}",
        place.exchange, place.routing_key
    );
    let raw = gateway.request(Method::POST, &raw, &key, "first").await;
    assert!(raw.status == 200 && is_repeat(&raw), "{}", raw.text);
    assert_eq!(raw.json, waited.json);

    let other = gateway.post_with(&message(&place, "second"), &key).await;
    assert_eq!(other.status, 422, "{}", other.text);
    assert_eq!(other.json["code"], "idempotency_key_reused");
    let list = gateway
        .get_path("/v1/messages?idempotency_key=order-42")
        .await;
    assert_eq!(list.json["messages"], json!([waited.json]));
    assert_eq!(arrived(&place).await, [id]);
}

#[tokio::test]
async fn each_item_of_a_batch_has_its_key_and_each_caller_its_own() {
    let keys = "alice:alices-key-0123456789,bob:bobs-key-0123456789,bob:bobs-next-key-0123456789";
    let gateway = gateway(&[("AMQPOST_API_KEYS", keys)]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let item = |payload: &str, key: Option<&str>| {
        let mut item = message(&place, payload);
        item["idempotency_key"] = json!(key);
        item
    };
    let items = json!({"messages": [
        item("a", Some("1")), item("b", Some("2")), item("a", Some("1")), item("c", None),
        item("c", Some("1")), item("c", None),
    ]});
    let mut seen = Vec::new();
    let mut callers = Vec::new();
    for api_key in [
        "alices-key-0123456789",
        "bobs-key-0123456789",
        "bobs-next-key-0123456789",
    ] {
        let api_key = format!("Bearer {api_key}");
        let headers = [("authorization", &*api_key)];
        let answer = post(&gateway, "/v1/messages/batch", &headers, &items).await;
        assert_eq!(answer.status, 207, "{}", answer.text);
        assert_eq!(answer.json["accepted"], 5);
        let results = answer.json["results"].as_array().expect("results").clone();
        assert_eq!(results[0]["id"], results[2]["id"]);
        assert_eq!(results[2]["idempotent_replayed"], true);
        assert_eq!(results[4]["error"]["code"], "idempotency_key_reused");
        for result in &results {
            let id = result["id"].as_str().map(str::to_owned);
            seen.extend(id.filter(|_| result["idempotent_replayed"] == Value::Null));
        }
        callers.push((results[0].clone(), results[1].clone()));
        for id in &seen[seen.len() - 2..] {
            let path = format!("/v1/messages/{id}");
            let headers = [headers[0], ("prefer", "wait=30")];
            let last = gateway.request(Method::GET, &path, &headers, "").await;
            assert_eq!(last.json["status"], "confirmed", "{}", last.text);
        }
    }
    let [alice, bob, bob_again] = &callers[..] else {
        panic!("three of them");
    };
    assert_ne!(alice.0["id"], bob.0["id"]);
    assert_eq!(
        (&bob.0["id"], &bob.1["id"]),
        (&bob_again.0["id"], &bob_again.1["id"])
    );
    assert_eq!(bob_again.1["idempotent_replayed"], true);
    // Two new ones with keys and two without for each caller, and two without for the next key.
    assert_eq!(seen.len(), 4 + 4 + 2);
    let arrived = arrived(&place).await;
    assert_eq!(arrived.len(), seen.len());
    assert_eq!(
        HashSet::<String>::from_iter(arrived),
        HashSet::from_iter(seen)
    );
}

/// Callers whose gateway is killed in the middle send everything again with the same keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_repeats_after_kill_9_publishes_nothing_twice() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut gateway = callers::gateway(&shared_broker_url(), &[]).await;
    let mut told = vec![None; 60];
    let mut sending = JoinSet::new();
    let client = reqwest::Client::new();
    for number in 0..told.len() {
        let body = message(&place, &number.to_string());
        let request = (client.post(format!("{}/v1/messages", gateway.url())))
            .header("content-type", "application/json")
            .header("idempotency-key", format!("key-{number}"))
            .body(body.to_string());
        sending.spawn(async move { (number, told_id(request).await) });
    }
    // Killed between two of the answers.
    for _ in 0..5 {
        let (number, id) = sending.join_next().await.expect("more").expect("an end");
        told[number] = id;
    }
    gateway.kill_9();
    for (number, id) in sending.join_all().await {
        told[number] = id;
    }
    assert!(told.iter().filter(|id| id.is_some()).count() >= 5);

    gateway.restart().await;
    let mut ids = Vec::new();
    for (number, before) in told.iter().enumerate() {
        let answer = again(&gateway, &place, number).await;
        let id = answer.id();
        if let Some(before) = before {
            assert_eq!(&id, before, "the key has another message now");
            assert!(is_repeat(&answer), "{}", answer.text);
        }
        ids.push(id);
    }
    gateway.kill_9();
    gateway.restart().await;
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(again(&gateway, &place, number).await.id(), *id);
        assert_eq!(gateway.wait_final(id).await.message_status(), "confirmed");
    }
    // A message that was in flight may be there twice, with one id.
    let arrived = arrived(&place).await;
    assert_eq!(
        HashSet::<String>::from_iter(arrived),
        HashSet::from_iter(ids)
    );
}

async fn told_id(request: reqwest::RequestBuilder) -> Option<String> {
    let text = request.send().await.ok()?.text().await.ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    json["id"].as_str().map(str::to_owned)
}

async fn again(gateway: &Gateway, place: &Place, number: usize) -> Answer {
    let body = message(place, &number.to_string());
    let key = format!("key-{number}");
    let answer = gateway.post_with(&body, &[("idempotency-key", &key)]).await;
    assert!(
        [200, 202].contains(&answer.status.as_u16()),
        "{}",
        answer.text
    );
    answer
}
