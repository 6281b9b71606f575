//! Rights and rates, with the broker behind.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Answer;
use super::support::queues::{Kind, Place, wait_ready};
use super::support::wait::{self, SOON};
use super::{ALICE, BOB, File, Gateway, alice_and_bob, call, gateway, get, post, reload};

fn message(place: &Place, routing_key: &str) -> Value {
    json!({"exchange": place.exchange, "routing_key": routing_key, "payload": "x"})
}

fn only(exchange: &str, routing_key: &str) -> String {
    format!("publish = [{{ exchange = \"{exchange}\", routing_key = \"{routing_key}\" }}]")
}

async fn wait_for_status(gateway: &Gateway, key: &str, id: &str, status: &str) -> Answer {
    let path = format!("/v1/messages/{id}");
    wait::until("it has its status", SOON, || async {
        let told = get(gateway, key, &path).await;
        (told.json["status"] == status).then_some(told)
    })
    .await
}

#[tokio::test]
async fn nothing_that_is_not_granted_reaches_a_queue() {
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let other = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let file = File::new(&alice_and_bob(&only(&place.exchange, &place.routing_key)));
    let gateway = gateway(&file).await;
    let mut copied = message(&place, &place.routing_key);
    copied["properties"] = json!({"headers": {"BCC": [place.queue]}});
    for forbidden in [
        message(&other, &other.routing_key),
        json!({"routing_key": place.queue, "payload": "x"}),
        copied,
    ] {
        let answer = post(&gateway, ALICE, "/v1/messages", &forbidden).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["code"]),
            (403, &json!("forbidden"))
        );
        let bobs = post(&gateway, BOB, "/v1/messages", &forbidden).await;
        assert_eq!(bobs.status, 202, "{}", bobs.text);
    }
    let batch = json!({"messages": [
        message(&place, &place.routing_key), message(&other, &other.routing_key),
    ]});
    let answer = post(&gateway, ALICE, "/v1/messages/batch", &batch).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    assert_eq!(answer.json["results"][1]["error"]["code"], "forbidden");
    let id = answer.text_at("/results/0/id");
    wait_for_status(&gateway, ALICE, &id, "confirmed").await;
    // Bob's one, and nothing of Alice's.
    wait_ready(&other, 1).await;
}

#[tokio::test]
async fn rights_are_asked_again_before_a_replay_and_not_before_a_promise_is_kept() {
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let lost = message(&place, "nowhere");
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(post(&gateway, ALICE, "/v1/messages", &lost).await.id());
    }
    for id in &ids {
        wait_for_status(&gateway, ALICE, id, "returned").await;
    }
    let mut later = message(&place, &place.routing_key);
    later["delay_ms"] = json!(1500);
    let later = post(&gateway, ALICE, "/v1/messages", &later).await.id();

    reload(&gateway, &file, &alice_and_bob(&only("elsewhere", "#"))).await;
    let again = format!("/v1/messages/{}/replay", ids[0]);
    let refused = post(&gateway, ALICE, &again, &Value::Null).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["code"]),
        (403, &json!("forbidden"))
    );
    let replayed = async || {
        let wish = json!({"status": "returned", "exchange": place.exchange});
        let begun = post(&gateway, ALICE, "/v1/replays", &wish).await;
        assert_eq!(begun.status, 202, "{}", begun.text);
        let place = begun.header("location").expect("a place").to_owned();
        let done = wait::until("the replay is done", SOON, || async {
            let told = get(&gateway, ALICE, &place).await.json;
            (told["state"] == "done").then_some(told)
        });
        let done = done.await;
        (done["replayed"].clone(), done["skipped"].clone())
    };
    assert_eq!(replayed().await, (json!(0), json!(2)));
    for id in &ids {
        assert_eq!(
            get(&gateway, ALICE, &format!("/v1/messages/{id}"))
                .await
                .json["replays"],
            0
        );
    }
    // What was accepted is published.
    wait_for_status(&gateway, ALICE, &later, "confirmed").await;

    reload(&gateway, &file, &alice_and_bob("")).await;
    place.bind("nowhere").await;
    assert_eq!(
        post(&gateway, ALICE, &again, &Value::Null).await.status,
        202
    );
    wait_for_status(&gateway, ALICE, &ids[0], "confirmed").await;
    assert_eq!(replayed().await, (json!(1), json!(0)));
    wait_for_status(&gateway, ALICE, &ids[1], "confirmed").await;
}

#[tokio::test]
async fn a_message_of_somebody_else_is_as_one_that_never_was() {
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let lost = json!({"routing_key": "no such queue", "payload": "x"});
    let alices = post(&gateway, ALICE, "/v1/messages", &lost).await.id();
    wait_for_status(&gateway, ALICE, &alices, "returned").await;
    let never = "0193a5c4-0000-7000-8000-000000000000";
    for (method, what) in [
        (Method::GET, ""),
        (Method::GET, "/payload"),
        (Method::POST, "/replay"),
        (Method::POST, "/cancel"),
    ] {
        let ask = async |key, id: &str| {
            let path = format!("/v1/messages/{id}{what}");
            let answer = call(&gateway, key, method.clone(), &path, &Value::Null).await;
            (answer.status.as_u16(), answer.text)
        };
        let theirs = ask(BOB, &alices).await;
        assert_eq!(theirs.0, 404, "{method} {what}: {}", theirs.1);
        assert_eq!(theirs, ask(BOB, never).await, "{method} {what}");
        assert_ne!(ask(ALICE, &alices).await.0, 404, "{method} {what}");
    }
}

#[tokio::test]
async fn who_sees_everything_replays_what_its_own_caller_may_publish() {
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let file = File::new(&alice_and_bob("see = \"all\"\npublish = []"));
    let gateway = gateway(&file).await;
    let lost = post(&gateway, BOB, "/v1/messages", &message(&place, "nowhere"))
        .await
        .id();
    wait_for_status(&gateway, ALICE, &lost, "returned").await;
    place.bind("nowhere").await;
    let again = format!("/v1/messages/{lost}/replay");
    assert_eq!(
        post(&gateway, ALICE, &again, &Value::Null).await.status,
        202
    );
    wait_for_status(&gateway, BOB, &lost, "confirmed").await;
}

#[tokio::test]
async fn who_is_over_its_rate_comes_back_when_it_is_told() {
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let file = File::new(&alice_and_bob(
        "messages_per_second = 2\nmessages_burst = 4",
    ));
    let gateway = gateway(&file).await;
    let one = message(&place, &place.routing_key);
    let batch = json!({"messages": vec![one.clone(); 4]});
    let first = post(&gateway, ALICE, "/v1/messages/batch", &batch).await;
    assert_eq!(first.status, 202, "{}", first.text);
    let limited = wait::until("the rate is used up", SOON, || async {
        let answer = post(&gateway, ALICE, "/v1/messages/batch", &batch).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!(limited.json["code"], "rate_limited");
    let more = post(&gateway, ALICE, "/v1/messages/batch", &batch).await;
    assert_eq!(more.status, 429, "{}", more.text);
    // Operators learn who it is, and not with each request.
    let log = gateway.log();
    let told: Vec<_> = (log.lines().filter(|line| line.contains("over its rate"))).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("caller=alice"), "{told:?}");
    assert_eq!(
        post(&gateway, BOB, "/v1/messages/batch", &batch)
            .await
            .status,
        202
    );
    let seconds: u64 = (limited.header("retry-after").expect("a time"))
        .parse()
        .expect("seconds");
    assert!((1..=2).contains(&seconds), "{seconds}");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let again = post(&gateway, ALICE, "/v1/messages/batch", &batch).await;
    assert_eq!(again.status, 202, "{}", again.text);
    // A higher rate holds at once.
    reload(
        &gateway,
        &file,
        &alice_and_bob("messages_per_second = 1000"),
    )
    .await;
    assert_eq!(
        post(&gateway, ALICE, "/v1/messages/batch", &batch)
            .await
            .status,
        202
    );
}
