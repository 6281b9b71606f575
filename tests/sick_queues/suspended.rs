//! Queues of a real broker that are frozen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::audit::{self, Accepted, Order};
use super::support::broker_node::PrivateNode;
use super::support::callers::{broker_is, gateway, message, post_some};
use super::support::queues::{Kind, Place};
use super::support::stack::{Stack, draft};
use super::support::wait::{self, SOON};
use super::{ALONE, GRACE, STALL_AFTER, quarantined, shape, stop, tell, timed};

/// More than a lane has in flight.
const SICK: usize = 300;

async fn a_frozen_queue(kind: Kind) {
    let node = PrivateNode::shared().await;
    let sick = Place::declare(&node.url(), kind).await;
    let well = Place::declare(&node.url(), Kind::Quorum).await;
    let mut shape = shape();
    shape.window_messages = 200;
    let stack = Arc::new(Stack::start(&[node.url()], &shape));
    for place in [&sick, &well] {
        let one = draft(&place.exchange, &place.routing_key, "warm");
        timed(&stack, one).await.confirmed().await;
    }
    sick.take(1).await;

    node.suspend_queue(&sick.queue).await;
    let began = Instant::now();
    let mut accepted = Vec::new();
    for number in 0..SICK {
        let one = draft(&sick.exchange, &sick.routing_key, number.to_string());
        let id = stack.accept(one).await;
        let key = 0;
        accepted.push(Accepted { id, key, number });
    }
    let mut others = Vec::new();
    while began.elapsed() < STALL_AFTER * 4 {
        let one = draft(&well.exchange, &well.routing_key, "well");
        others.push(timed(&stack, one).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut first, mut later) = (Duration::ZERO, Duration::ZERO);
    for one in others {
        let since = one.accepted - began;
        let took = one.confirmed().await;
        first = first.max(took);
        if since > STALL_AFTER + GRACE / 2 {
            later = later.max(took);
        }
    }
    tell(&format!(
        "{kind:?}: others took {first:?} at most, and {later:?} once it was set apart"
    ));
    assert!(first < STALL_AFTER + GRACE, "others waited {first:?}");
    assert!(
        later < STALL_AFTER / 2,
        "others waited {later:?} afterwards"
    );
    assert_eq!(quarantined(&stack), 1);

    node.resume_queue(&sick.queue).await;
    let resumed = Instant::now();
    let mut told = Vec::new();
    for one in accepted {
        let outcome = wait::within("it is thawed", SOON * 4, stack.outcome(one.id)).await;
        told.push((one, outcome));
    }
    tell(&format!(
        "{kind:?}: thawed, all were out after {:?}",
        resumed.elapsed()
    ));
    assert_eq!(quarantined(&stack), 0);
    // What one connection has sent a quorum queue may put in its place only later.
    let order = match kind {
        Kind::Quorum => Order::OfSomeCopies,
        Kind::Classic => Order::OfFirstCopies,
    };
    audit::assert_nothing_lost(&told, &sick.take_all().await, order);
    stop(stack).await;
}

#[tokio::test]
async fn a_frozen_classic_queue_delays_no_other_for_long() {
    let _alone = ALONE.lock().await;
    a_frozen_queue(Kind::Classic).await;
}

#[tokio::test]
async fn a_quorum_queue_with_a_frozen_leader_delays_no_other_for_long() {
    let _alone = ALONE.lock().await;
    a_frozen_queue(Kind::Quorum).await;
}

#[tokio::test]
async fn what_waits_for_a_frozen_queue_says_so_and_so_does_the_gateway() {
    let _alone = ALONE.lock().await;
    let node = PrivateNode::shared().await;
    let sick = Place::declare(&node.url(), Kind::Classic).await;
    let gateway = gateway(&node.url(), &[("AMQPOST_STALL_AFTER_MS", "500")]).await;
    node.suspend_queue(&sick.queue).await;
    let first = gateway.post(&message(&sick, "first")).await.id();
    broker_is(&gateway, |broker| broker["quarantined"] == 1).await;
    let second = gateway.post(&message(&sick, "second")).await.id();
    for id in [&first, &second] {
        // While the others' connection is made anew, it says that.
        wait::until("it says why", SOON, || async {
            let told = gateway.get(id).await;
            assert_eq!(told.json["status"], "pending", "{}", told.text);
            let reason = &told.json["reason"];
            let detail = reason["detail"].as_str().unwrap_or_default();
            (reason["code"] == "broker_unavailable" && detail.contains("does not answer"))
                .then_some(())
        })
        .await;
    }
    let told = gateway.get(&second).await;
    assert_eq!(told.json["attempts"], 0, "{}", told.text);
    node.resume_queue(&sick.queue).await;
    let told = gateway.wait_final(&first).await;
    assert_eq!(told.json["duplicate_possible"], true, "{}", told.text);
    let told = gateway.wait_final(&second).await;
    assert_eq!(told.json["duplicate_possible"], false, "{}", told.text);
    broker_is(&gateway, |broker| broker["quarantined"] == 0).await;
}

/// Kills: a lane whose memory is full of what waits for one queue.
#[tokio::test]
async fn a_backlog_for_a_frozen_queue_that_is_larger_than_memory_lets_others_pass() {
    const BACKLOG: usize = 400;
    let _alone = ALONE.lock().await;
    let node = PrivateNode::shared().await;
    let sick = Place::declare(&node.url(), Kind::Classic).await;
    let well = Place::declare(&node.url(), Kind::Quorum).await;
    let settings = [
        ("AMQPOST_STALL_AFTER_MS", "1000"),
        ("AMQPOST_LANES", "1"),
        ("AMQPOST_LANE_MEMORY_MESSAGES_MAX", "100"),
    ];
    let gateway = gateway(&node.url(), &settings).await;
    node.suspend_queue(&sick.queue).await;
    let ids = post_some(&gateway, &sick, BACKLOG).await;
    for _ in 0..3 {
        let other = gateway.post(&message(&well, "other")).await;
        let told = gateway.wait_final_within(&other.id(), SOON).await;
        assert_eq!(told.json["status"], "confirmed", "{}", told.text);
    }
    let told = gateway.get(&ids[BACKLOG - 1]).await;
    assert_eq!(told.json["status"], "pending", "{}", told.text);
    assert_eq!(told.json["attempts"], 0, "{}", told.text);
    let detail = told.text_at("/reason/detail");
    assert!(detail.contains("does not answer"), "{}", told.text);

    node.resume_queue(&sick.queue).await;
    for id in &ids {
        let told = gateway.wait_final(id).await;
        assert_eq!(told.json["status"], "confirmed", "{}", told.text);
    }
    let mut arrived = Vec::new();
    for one in sick.take_all().await {
        let id = one.amqpost_id().expect("it is there");
        if !arrived.contains(&id) {
            arrived.push(id);
        }
    }
    assert_eq!(arrived, ids, "the order of acceptance");
}
