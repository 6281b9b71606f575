//! Exchanges that do not exist hurt nobody but who names them.

use serde_json::Value;

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Answer;
use super::support::queues::{Kind, Place, unique};
use super::{WAIT, assert_confirmed, gateway, message, post_all};

/// Failed at the first try, in the broker's own words.
fn assert_not_found(answer: &Answer, exchange: &str) {
    assert_eq!(answer.json["status"], "failed", "{}", answer.text);
    assert_eq!(answer.json["attempts"], 1, "{}", answer.text);
    assert_eq!(answer.json["duplicate_possible"], false, "{}", answer.text);
    let reason = &answer.json["reason"];
    assert_eq!(reason["code"], "exchange_not_found", "{}", answer.text);
    assert_eq!(reason["reply_code"], 404);
    let words = format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'");
    assert_eq!(reason["reply_text"], Value::String(words));
}

#[tokio::test]
async fn a_missing_exchange_fails_its_own_messages_and_no_others() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let missing = unique("missing");
    let mut messages = Vec::new();
    for number in 0..520 {
        // Keys of every lane; and one missing one after every 26 good ones.
        let key = format!("key.{}", number % 16);
        if number % 26 == 13 {
            messages.push(message(&missing, &key, "poison"));
        } else {
            let mut good = message(&place.exchange, &place.routing_key, "good");
            good["ordering_key"] = Value::String(key);
            messages.push(good);
        }
    }
    let answers = post_all(&gateway, messages).await;
    let (poison, good): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.json["exchange"] == missing.as_str());
    assert_eq!((poison.len(), good.len()), (20, 500));
    for answer in good {
        assert_confirmed(answer);
    }
    for answer in poison {
        assert_not_found(answer, &missing);
    }
    assert_eq!(place.take_all().await.len(), 500);
    // It is the caller's error, not the gateway's.
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

#[tokio::test]
async fn twenty_missing_exchanges_at_once_are_each_told_by_name() {
    let gateway = gateway(&[]).await;
    let exchanges: Vec<_> = (0..20).map(|_| unique("missing")).collect();
    let messages = exchanges
        .iter()
        .map(|exchange| message(exchange, "key", "poison"));
    let answers = post_all(&gateway, messages.collect()).await;
    for (answer, exchange) in answers.iter().zip(&exchanges) {
        assert_not_found(answer, exchange);
    }
}

#[tokio::test]
async fn an_exchange_that_was_created_after_a_failure_works_at_once() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let message = message(&place.exchange, &place.routing_key, "hello");
    for _ in 0..2 {
        place.delete_exchange().await;
        let answer = gateway.post_with(&message, &[WAIT]).await;
        assert_eq!(answer.json["status"], "failed", "{}", answer.text);
        assert_eq!(answer.json["reason"]["code"], "exchange_not_found");
        place.declare_exchange().await;
        let answer = gateway.post_with(&message, &[WAIT]).await;
        assert_confirmed(&answer);
    }
    assert_eq!(place.take_all().await.len(), 2);
}

#[tokio::test]
async fn an_exchange_that_vanishes_while_it_is_known_fails_only_its_own_messages() {
    let gateway = gateway(&[("AMQPOST_LANES", "1")]).await;
    let gone = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let there = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let lost = message(&gone.exchange, &gone.routing_key, "lost");
    let good = message(&there.exchange, &there.routing_key, "good");
    assert_confirmed(&gateway.post_with(&lost, &[WAIT]).await);
    gone.delete_exchange().await;

    let mut messages = vec![good; 50];
    messages.insert(25, lost);
    let mut answers = post_all(&gateway, messages).await;
    let failed = answers.remove(25);
    assert_eq!(failed.json["status"], "failed", "{}", failed.text);
    assert_eq!(failed.json["reason"]["code"], "exchange_not_found");
    // Neighbours may have been sent twice, and are flagged then.
    for answer in &answers {
        assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
        let again = answer.json["attempts"].as_u64() > Some(1);
        assert_eq!(answer.json["duplicate_possible"], again, "{}", answer.text);
    }
    assert!(there.take_all().await.len() >= 50);
}
