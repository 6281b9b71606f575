//! Messages that are not tried for ever.

use std::time::Duration;

use serde_json::json;

use super::support::broker_node::shared_broker_url;
use super::support::callers::{self, assert_confirmed, message};
use super::support::queues::{Kind, Place};
use super::support::tcp_proxy::End;
use super::{arrived, gateway, ms_of, proxy, publish_batch, replay};

#[tokio::test]
async fn what_does_not_settle_in_its_time_while_the_broker_is_away_expires() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let small = [
        ("AMQPOST_LANE_MEMORY_MESSAGES_MAX", "16"),
        ("AMQPOST_LANES", "1"),
    ];
    let memory = [("AMQPOST_STORE_URL", "memory:")];
    for more in [&[][..], &small, &memory] {
        let mut proxy = proxy().await;
        let gateway = callers::gateway(&proxy.amqp_url(), more).await;
        proxy.refuse().await;
        proxy.end_all(End::Close);
        callers::broker_is(&gateway, |broker| broker["state"] == "down").await;
        let batch: Vec<_> = (0..200_u64)
            .map(|number| {
                let mut one = message(&place, &number.to_string());
                if number % 2 == 0 {
                    one["give_up_after_ms"] = json!(500 + number);
                }
                one
            })
            .collect();
        let ids = publish_batch(&gateway, &batch).await;
        for id in ids.iter().step_by(2) {
            let last = gateway.wait_final(id).await;
            assert_eq!(last.json["status"], "failed", "{}", last.text);
            assert_eq!(last.json["reason"]["code"], "expired", "{}", last.text);
            assert_eq!(last.json["attempts"], 0, "{}", last.text);
            assert_eq!(last.json["duplicate_possible"], false, "{}", last.text);
            let (give_up_ms, settled_ms) = (
                ms_of(&last.json["give_up_at"]),
                ms_of(&last.json["settled_at"]),
            );
            assert!(settled_ms >= give_up_ms, "{}", last.text);
            assert!(settled_ms < give_up_ms + 3000, "{}", last.text);
        }
        proxy.accept_again().await;
        let left: Vec<_> = ids.iter().skip(1).step_by(2).cloned().collect();
        for id in &left {
            assert_confirmed(&gateway.wait_final(id).await);
        }
        assert_eq!(arrived(&place).await, left);

        let id = &ids[0];
        assert_eq!(replay(&gateway, id).await.status, 202);
        let again = gateway.wait_final(id).await;
        assert_confirmed(&again);
        assert_eq!(arrived(&place).await, std::slice::from_ref(id));
    }
}

#[tokio::test]
async fn a_message_that_is_nacked_again_and_again_expires_between_two_tries() {
    let gateway = gateway(&[
        ("AMQPOST_RETRY_PAUSE_MS_MIN", "50"),
        ("AMQPOST_RETRY_PAUSE_MS_MAX", "200"),
        ("AMQPOST_RETRY_TRIES_MAX", "1000"),
    ])
    .await;
    let place = Place::declare_nacking(&shared_broker_url()).await;
    let mut nacked = message(&place, "x");
    nacked["give_up_after_ms"] = json!(1500);
    let answer = gateway.post(&nacked).await;
    let last = gateway.wait_final(&answer.id()).await;
    assert_eq!(last.json["status"], "failed", "{}", last.text);
    assert_eq!(last.json["reason"]["code"], "expired", "{}", last.text);
    assert!(last.json["attempts"].as_u64() > Some(1), "{}", last.text);
    assert_eq!(last.json["duplicate_possible"], true, "{}", last.text);
}

#[tokio::test]
async fn over_a_restart_the_time_goes_on() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut proxy = proxy().await;
    let mut gateway = callers::gateway(&proxy.amqp_url(), &[]).await;
    proxy.refuse().await;
    proxy.end_all(End::Close);
    callers::broker_is(&gateway, |broker| broker["state"] == "down").await;
    let mut one = message(&place, "x");
    one["give_up_after_ms"] = json!(1000);
    let id = gateway.post(&one).await.id();
    gateway.kill_9();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    gateway.restart().await;
    let last = gateway.wait_final(&id).await;
    assert_eq!(last.json["reason"]["code"], "expired", "{}", last.text);
    assert_eq!(last.json["duplicate_possible"], false, "{}", last.text);
    assert!(arrived(&place).await.is_empty());
}
