//! Messages that wait for their time.

use serde_json::json;

use super::support::broker_node::shared_broker_url;
use super::support::callers::{self, assert_confirmed, message};
use super::support::queues::{Arrived, Kind, Place};
use super::support::wait::{self, SOON};
use super::{arrived, gateway, ids, ms_of, now_ms, proxy, publish_batch, rfc3339};

const DAY_MS: u64 = 24 * 3600 * 1000;

#[tokio::test]
async fn messages_go_out_at_their_times_in_the_order_of_these_and_not_before() {
    for store in [&[][..], &[("AMQPOST_STORE_URL", "memory:")]] {
        let gateway = gateway(store).await;
        let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
        let mut past = message(&place, "past");
        past["deliver_at"] = json!(rfc3339(now_ms() - 10_000));
        let past = gateway.post_with(&past, &[("prefer", "wait=10")]).await;
        assert_confirmed(&past);

        // All are accepted before the first one is due.
        let base = now_ms();
        let mut expected = Vec::new();
        for (number, after_ms) in [3500_u64, 2700, 3100, 2300, 2900].into_iter().enumerate() {
            let mut scheduled = message(&place, &number.to_string());
            if number % 2 == 0 {
                scheduled["deliver_at"] = json!(rfc3339(base + after_ms));
            } else {
                scheduled["delay_ms"] = json!(after_ms);
            }
            let answer = gateway.post(&scheduled).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            assert_eq!(answer.json["status"], "pending");
            expected.push((ms_of(&answer.json["deliver_at"]), answer.id()));
        }
        expected.sort();
        for (due_ms, id) in &expected {
            let last = gateway.wait_final(id).await;
            assert_confirmed(&last);
            let settled_ms = ms_of(&last.json["settled_at"]);
            assert!(settled_ms >= *due_ms, "{}", last.text);
            // Generous for a machine that does other things as well.
            assert!(settled_ms < due_ms + 2000, "{}", last.text);
        }
        let mut order = vec![past.id()];
        order.extend(expected.into_iter().map(|(_, id)| id));
        assert_eq!(arrived(&place).await, order);
    }
}

#[tokio::test]
async fn what_is_scheduled_survives_kill_9_and_what_is_overdue_goes_at_once() {
    // Before the kill nothing can be handed over, even if it is due by then.
    let mut network = proxy().await;
    network.refuse().await;
    let mut gateway = callers::gateway(&network.amqp_url(), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let base = now_ms();
    let scheduled = |number: u64, at_ms: u64| {
        let mut one = message(&place, &number.to_string());
        one["deliver_at"] = json!(rfc3339(at_ms));
        one
    };
    let soon: Vec<_> = (0..300).map(|n| scheduled(n, base + 500 + n)).collect();
    let later: Vec<_> = (0..300).map(|n| scheduled(n, base + 6000 - n)).collect();
    let soon = publish_batch(&gateway, &soon).await;
    let mut later = publish_batch(&gateway, &later).await;
    let tomorrow = gateway.post(&scheduled(0, base + DAY_MS)).await.id();
    gateway.kill_9();
    wait::until("the first ones are overdue", SOON, || async {
        (now_ms() > base + 800).then_some(())
    })
    .await;
    network.accept_again().await;
    gateway.restart().await;
    for id in &soon {
        assert_confirmed(&gateway.wait_final(id).await);
    }
    for id in &later {
        let last = gateway.wait_final(id).await;
        assert_confirmed(&last);
        assert!(ms_of(&last.json["settled_at"]) >= ms_of(&last.json["deliver_at"]));
    }
    // Its time does not come, however slow the others were.
    let waiting = gateway.get(&tomorrow).await;
    assert_eq!(waiting.json["status"], "pending", "{}", waiting.text);
    assert_eq!(waiting.json["attempts"], 0, "{}", waiting.text);
    later.reverse();
    let expected: Vec<_> = soon.into_iter().chain(later).collect();
    let arrived = place.take_all().await;
    assert_eq!(ids(&arrived), expected);
    assert!(!arrived.iter().any(Arrived::duplicate_possible));
}

#[tokio::test]
async fn too_far_ahead_is_refused_and_a_repeat_of_the_same_schedule_is_the_same_message() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut far = message(&place, "far");
    far["delay_ms"] = json!(400 * DAY_MS);
    let refused = gateway.post(&far).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert_eq!(refused.json["errors"][0]["pointer"], "/delay_ms");
    let mut one = message(&place, "one");
    one["delay_ms"] = json!(300);
    let key = [("idempotency-key", "k")];
    let first = gateway.post_with(&one, &key).await;
    let again = gateway.post_with(&one, &key).await;
    assert_eq!(first.id(), again.id());
    one["delay_ms"] = json!(301);
    assert_eq!(gateway.post_with(&one, &key).await.status, 422);
    assert_confirmed(&gateway.wait_final(&first.id()).await);
    assert_eq!(arrived(&place).await, [first.id()]);
}
