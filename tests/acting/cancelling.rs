//! Messages that their callers take back.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::callers::{self, assert_confirmed, message, post_some};
use super::support::gateway::Answer;
use super::support::queues::{Kind, Place};
use super::support::tcp_proxy::End;
use super::{arrived, cancel, gateway, proxy, publish_batch, replay};

fn assert_cancelled(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json["status"], "failed", "{}", answer.text);
    assert_eq!(
        answer.json["reason"]["code"], "cancelled",
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_scheduled_message_that_is_cancelled_never_goes() {
    for store in [&[][..], &[("AMQPOST_STORE_URL", "memory:")]] {
        let gateway = gateway(store).await;
        let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
        let mut scheduled = message(&place, "late");
        scheduled["delay_ms"] = json!(5000);
        let (first, second) = (
            gateway.post(&scheduled).await,
            gateway.post(&scheduled).await,
        );
        let answer = cancel(&gateway, &first.id()).await;
        assert_cancelled(&answer);
        assert_eq!(answer.json["attempts"], 0);
        assert_eq!(answer.json["duplicate_possible"], false);
        assert_cancelled(&cancel(&gateway, &first.id()).await);
        assert_eq!(gateway.get(&first.id()).await.json, answer.json);
        assert_eq!(replay(&gateway, &first.id()).await.status, 409);
        assert_confirmed(&gateway.wait_final(&second.id()).await);
        assert_eq!(cancel(&gateway, &second.id()).await.status, 409);
        assert_eq!(arrived(&place).await, [second.id()]);
    }
    let gateway = gateway(&[]).await;
    let nobody = "0193a5c4-0000-7000-8000-000000000001";
    assert_eq!(cancel(&gateway, nobody).await.status, 404);
    assert_eq!(cancel(&gateway, "x").await.status, 404);
}

#[tokio::test]
async fn what_waits_for_a_broker_is_cancelled_also_where_it_is_only_in_the_store() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let small = [
        ("AMQPOST_LANE_MEMORY_MESSAGES_MAX", "16"),
        ("AMQPOST_LANES", "1"),
    ];
    for more in [&[][..], &small] {
        let mut proxy = proxy().await;
        let gateway = callers::gateway(&proxy.amqp_url(), more).await;
        proxy.refuse().await;
        proxy.end_all(End::Close);
        callers::broker_is(&gateway, |broker| broker["state"] == "down").await;
        let ids = post_some(&gateway, &place, 200).await;
        for id in ids.iter().step_by(3) {
            let answer = cancel(&gateway, id).await;
            assert_cancelled(&answer);
            assert_eq!(answer.json["duplicate_possible"], false, "{}", answer.text);
        }
        proxy.accept_again().await;
        let left: Vec<_> = (ids.iter().enumerate())
            .filter(|(at, _)| at % 3 != 0)
            .map(|(_, id)| id.clone())
            .collect();
        for id in &left {
            assert_confirmed(&gateway.wait_final(id).await);
        }
        assert_eq!(arrived(&place).await, left);
        let empty = |ready: &Answer| ready.json["store"]["pending_messages"] == 0;
        gateway.wait_for("/readyz", empty).await;
    }
}

/// Whatever a cancel was answered, the broker has seen the message or it has not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_races_with_publishing_wins_or_loses_and_says_which() {
    let gateway = Arc::new(gateway(&[]).await);
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let (mut cancelled, mut confirmed) = (HashSet::new(), HashSet::new());
    for round in 0..20_u64 {
        let batch: Vec<_> = (0..50_u64)
            .map(|number| {
                let mut one = message(&place, &number.to_string());
                // Some are due at the very moment at which they are cancelled.
                if number % 2 == 0 {
                    one["delay_ms"] = json!(1 + (round + number) % 20);
                }
                one
            })
            .collect();
        let ids = publish_batch(&gateway, &batch).await;
        let mut racing = JoinSet::new();
        for id in ids {
            let gateway = Arc::clone(&gateway);
            racing.spawn(async move {
                let answer = cancel(&gateway, &id).await;
                (id, answer)
            });
        }
        for (id, answer) in racing.join_all().await {
            let last = gateway.wait_final(&id).await;
            if answer.status == 200 {
                assert_cancelled(&answer);
                assert_cancelled(&last);
                assert_eq!(answer.json["attempts"], 0, "{}", answer.text);
                cancelled.insert(id);
            } else {
                assert_eq!(answer.status, 409, "{}", answer.text);
                assert_confirmed(&last);
                confirmed.insert(id);
            }
        }
    }
    let arrived = arrived(&place).await;
    assert_eq!(arrived.len(), confirmed.len());
    assert_eq!(arrived.into_iter().collect::<HashSet<_>>(), confirmed);
    assert!(!cancelled.is_empty() && !confirmed.is_empty(), "no race");
}
