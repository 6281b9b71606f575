//! kill -9 at random moments under load: whatever was answered with 202 is there afterwards.
//!
//! Callers publish singly, raw and in batches. A few rounds always, 50 with `AMQPOST_TEST_FULL=1`. The moments come from a seed that is printed.

#![expect(
    clippy::print_stderr,
    reason = "a failing round is repeated by its seed"
)]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::gateway::Gateway;
use super::support::mixed::{BATCH_MESSAGES_MAX, Caller, Sent};
use super::support::queues::{Arrived, Kind, Place};
use super::support::{process, wait};

const CALLERS: usize = 8;

/// Publishes by every way until the gateway is gone, and tells when something was accepted.
async fn call(
    gateway: Arc<Gateway>,
    place: Arc<Place>,
    mut caller: Caller,
    begun: Arc<Notify>,
) -> (Caller, Vec<Sent>) {
    let mut accepted = Vec::new();
    while let Some(sent) = caller.publish(&gateway, &place).await {
        begun.notify_one();
        accepted.extend(sent);
    }
    (caller, accepted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_answered_with_202_survives_kill_9_at_any_moment() {
    let rounds: u32 = if std::env::var_os("AMQPOST_TEST_FULL").is_some() {
        50
    } else {
        4
    };
    let seed = amqpost::chance::bits();
    eprintln!("seed {seed}");
    let place = Arc::new(Place::declare(&shared_broker_url(), Kind::Quorum).await);
    for caller in 0..CALLERS {
        place.bind(&format!("key.{caller}")).await;
    }
    let mut gateway = gateway(&shared_broker_url(), &[]).await;
    let mut all: Vec<Sent> = Vec::new();
    let mut callers: Vec<_> = (0..CALLERS).map(Caller::new).collect();
    for round in 0..rounds {
        let (shared, begun) = (Arc::new(gateway), Arc::new(Notify::new()));
        let mut calling = JoinSet::new();
        for caller in callers.drain(..) {
            let (shared, place) = (Arc::clone(&shared), Arc::clone(&place));
            calling.spawn(call(shared, place, caller, Arc::clone(&begun)));
        }
        wait::within("something is accepted", wait::SOON, begun.notified()).await;
        let moment = seed.rotate_left(7 * round) % 400;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        process::signal("KILL", &shared.pid().to_string());
        let before = all.len();
        for (caller, accepted) in calling.join_all().await {
            callers.push(caller);
            all.extend(accepted);
        }
        assert!(
            all.len() > before,
            "round {round}: nothing was accepted before the kill"
        );
        gateway = Arc::into_inner(shared).expect("the callers are done");
        gateway.restart().await;
    }
    nothing_is_pending(&gateway).await;

    let arrived = place.take_all().await;
    assert_first_copies_in_order(&arrived);
    let mut copies: HashMap<String, Vec<Arrived>> = HashMap::new();
    for one in arrived {
        copies
            .entry(one.amqpost_id().expect("an id"))
            .or_default()
            .push(one);
    }
    for sent in &all {
        let last = gateway.get(&sent.id).await;
        let status = last.json["status"].as_str().unwrap_or_default();
        let expected = if sent.is_routable() {
            "confirmed"
        } else {
            "returned"
        };
        assert_eq!(status, expected, "{}", last.text);
        let arrived = copies.remove(&sent.id).unwrap_or_default();
        assert_eq!(!arrived.is_empty(), sent.is_routable(), "{sent:?}");
        if arrived.len() > 1 {
            assert_eq!(last.json["duplicate_possible"], true, "{}", last.text);
            let flagged = arrived[1..].iter().all(Arrived::duplicate_possible);
            assert!(flagged, "{sent:?}");
        }
    }
    // What is left was committed, and its answer did not get out before the kill.
    let requests = CALLERS * usize::try_from(rounds).expect("few rounds");
    let unanswered_max = requests * BATCH_MESSAGES_MAX;
    assert!(copies.len() <= unanswered_max, "{} unknown", copies.len());
}

/// Of each routing key, what came first of every message is in the order in which it was sent.
fn assert_first_copies_in_order(arrived: &[Arrived]) {
    let mut seen = HashSet::new();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for one in arrived {
        if seen.insert(one.amqpost_id()) {
            let payload = std::str::from_utf8(&one.payload).expect("digits");
            let number = payload.parse().expect("a number");
            let before = last.insert(&one.routing_key, number).unwrap_or(0);
            assert!(before < number, "{before} before {number} of {one:?}");
        }
    }
}

async fn nothing_is_pending(gateway: &Gateway) {
    wait::until("nothing is pending", Duration::from_mins(1), || async {
        let ready = gateway.get_path("/readyz").await;
        (ready.json["store"]["pending_messages"] == 0).then_some(())
    })
    .await;
}
