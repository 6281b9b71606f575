//! Queues that confirm nothing, among others on one lane.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqpost::domain::ReasonCode;

use super::sick_broker::{Mood, Seen, SickBroker};
use super::support::stack::{Stack, draft};
use super::support::wait::{self, SOON};
use super::{ALONE, GRACE, STALL_AFTER, Timed, quarantined, shape, stop, tell, timed};

/// Some destinations, each of which has answered.
async fn warm_up(stack: &Arc<Stack>, kind: &str, count: usize) -> Vec<String> {
    let keys: Vec<_> = (0..count)
        .map(|number| format!("{kind} {number}"))
        .collect();
    let mut sent = Vec::new();
    for key in &keys {
        sent.push(timed(stack, draft("", key, "warm")).await);
    }
    for one in sent {
        one.confirmed().await;
    }
    keys
}

/// The worst of those accepted before and from `since` on.
async fn worst(sent: Vec<Timed>, since: Instant) -> (Duration, Duration) {
    let (mut before, mut after) = (Duration::ZERO, Duration::ZERO);
    for one in sent {
        let late = one.accepted >= since;
        let took = one.confirmed().await;
        let worst = if late { &mut after } else { &mut before };
        *worst = took.max(*worst);
    }
    (before, after)
}

/// Kills: a lane that waits for a queue that never answers; and one that stalls again with each
/// further message to it.
async fn one_stall_and_no_more(mood: Mood) {
    let broker = SickBroker::start().await;
    let mut shape = shape();
    // The dead one's messages alone would fill it.
    shape.window_messages = 20;
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape));
    let keys = warm_up(&stack, "well", 5).await;
    warm_up(&stack, "sick", 1).await;

    broker.set("sick 0", mood);
    let began = Instant::now();
    let (mut sick, mut well) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        sick.push(stack.accept(draft("", "sick 0", "sick")).await);
    }
    let mut number = 0;
    while began.elapsed() < STALL_AFTER * 4 {
        let key = &keys[number % keys.len()];
        well.push(timed(&stack, draft("", key, "well")).await);
        if number % 10 == 0 {
            sick.push(stack.accept(draft("", "sick 0", "sick")).await);
        }
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let settled = began + STALL_AFTER + GRACE / 2;
    let (first, later) = worst(well, settled).await;
    tell(&format!(
        "{mood:?}: others took {first:?} at most, and {later:?} once it was set apart"
    ));
    assert!(first < STALL_AFTER + GRACE, "others waited {first:?}");
    assert!(
        later < STALL_AFTER / 2,
        "others waited {later:?} afterwards"
    );
    assert_eq!(
        broker.connections("lane"),
        2,
        "one stall, one fresh connection"
    );
    assert_eq!(quarantined(&stack), 1);
    for id in [sick[0], sick[sick.len() - 1]] {
        let told = stack.relay.progress(&stack.record(id));
        let reason = told.reason.expect("it says why it waits");
        assert_eq!(reason.code, ReasonCode::BrokerUnavailable, "{reason:?}");
        assert!(reason.detail.contains("does not answer"), "{reason:?}");
    }

    broker.heal();
    for id in &sick {
        let outcome = wait::within("it is healed", SOON * 4, stack.outcome(*id)).await;
        assert_eq!(outcome.duplicate_possible, outcome.attempts > 1);
    }
    assert_eq!(quarantined(&stack), 0);
    let mut told = HashSet::new();
    let seen = broker.seen();
    let firsts = seen
        .iter()
        .filter(|one| one.routing_key == "sick 0" && told.insert(one.id.clone()));
    let order: Vec<_> = firsts.skip(1).map(|one| one.id.clone()).collect();
    let ids: Vec<_> = sick.iter().map(ToString::to_string).collect();
    assert_eq!(order, ids, "the order of acceptance");
    stop(stack).await;
}

#[tokio::test]
async fn a_queue_that_never_answers_costs_the_others_one_stall() {
    let _alone = ALONE.lock().await;
    one_stall_and_no_more(Mood::Dead).await;
}

#[tokio::test]
async fn a_queue_that_blocks_everything_behind_it_costs_the_others_one_stall() {
    let _alone = ALONE.lock().await;
    one_stall_and_no_more(Mood::Blocking).await;
}

/// Kills: one stall for each of the queues.
#[tokio::test]
async fn many_queues_that_die_at_once_cost_the_others_one_stall() {
    let _alone = ALONE.lock().await;
    let broker = SickBroker::start().await;
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape()));
    // The dead ones were heard of last, so that nothing speaks for the others.
    let well = warm_up(&stack, "well", 40).await;
    let dead = warm_up(&stack, "sick", 40).await;
    for key in &dead {
        broker.set(key, Mood::Blocking);
    }
    let (mut sick, mut timed_ones) = (Vec::new(), Vec::new());
    for (dead, well) in dead.iter().zip(&well) {
        sick.push(stack.accept(draft("", dead, "sick")).await);
        timed_ones.push(timed(&stack, draft("", well, "well")).await);
    }
    let (first, _) = worst(timed_ones, Instant::now()).await;
    tell(&format!("40 dead ones: others took {first:?} at most"));
    // On a quiet machine it is 2.5 s; that first tries are short is seen where time is a model.
    assert!(first < STALL_AFTER + GRACE * 5, "others waited {first:?}");
    assert!(broker.connections("lane") <= 2, "more than one stall");
    broker.heal();
    let healed = Instant::now();
    for id in &sick {
        wait::within("it is healed", SOON * 4, stack.outcome(*id)).await;
    }
    tell(&format!(
        "healed: all were out after {:?}",
        healed.elapsed()
    ));
    stop(stack).await;
}

/// Kills: probes without pauses, which would leave a copy each in a queue that is only frozen.
#[tokio::test]
async fn a_silent_queue_is_tried_with_growing_pauses_and_by_one_message() {
    let _alone = ALONE.lock().await;
    let broker = SickBroker::start().await;
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape()));
    broker.set("sick", Mood::Dead);
    for _ in 0..10 {
        stack.accept(draft("", "sick", "sick")).await;
    }
    wait::until("it is in quarantine", SOON, || async {
        (quarantined(&stack) == 1).then_some(())
    })
    .await;
    let is_probe = |one: &Seen| one.lane.starts_with("quarantine");
    let probes = wait::until("it was tried some times", SOON, || async {
        let mut probes = broker.seen();
        probes.retain(is_probe);
        (probes.len() == 4).then_some(probes)
    })
    .await;
    // The third try takes 0.8 s, and the third pause half a second at least.
    let gap = probes[3].at - probes[2].at;
    assert!(gap > Duration::from_millis(1200), "{gap:?}");
    let id = &probes[0].id;
    assert!(probes.iter().all(|one| one.id == *id), "{probes:?}");
    assert!(probes.iter().all(|one| one.duplicate_possible));
    assert_eq!(broker.seen().len(), 10 + probes.len());
    broker.heal();
    stack.quiet(SOON * 4).await;
    stop(stack).await;
}
