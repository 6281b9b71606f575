//! Explicit ordering keys that span queues, one of which does not answer or refuses.

use std::sync::Arc;
use std::time::Duration;

use amqpost::domain::{Draft, RetrySchedule, Status};

use super::sick_broker::{Mood, SickBroker};
use super::support::stack::{Stack, draft};
use super::support::wait::{self, SOON};
use super::{ALONE, STALL_AFTER, quarantined, shape, stop, timed};

fn keyed(routing_key: &str, ordering_key: &str) -> Draft {
    Draft {
        ordering_key: Some(ordering_key.into()),
        ..draft("", routing_key, "in order")
    }
}

/// Kills: a quarantine that only knows destinations.
#[tokio::test]
async fn an_ordering_key_waits_for_its_silent_queue_and_other_keys_pass() {
    let _alone = ALONE.lock().await;
    let broker = SickBroker::start().await;
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape()));
    broker.set("sick", Mood::Dead);
    let mut of_key = Vec::new();
    for routing_key in ["well", "sick", "well", "sick", "other", "well"] {
        of_key.push(stack.accept(keyed(routing_key, "account 1")).await);
    }
    wait::until("it is in quarantine", SOON, || async {
        (quarantined(&stack) == 1).then_some(())
    })
    .await;
    // What comes later waits as well, wherever it goes.
    of_key.push(stack.accept(keyed("other", "account 1")).await);
    for routing_key in ["well", "other"] {
        let other = timed(&stack, keyed(routing_key, "account 2")).await;
        assert!(other.confirmed().await < STALL_AFTER, "another key waited");
        let plain = timed(&stack, draft("", routing_key, "plain")).await;
        assert!(plain.confirmed().await < STALL_AFTER, "another key waited");
    }
    let behind = stack.accept(keyed("sick", "account 3")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for id in of_key[6..].iter().chain([&behind]) {
        assert_eq!(stack.record(*id).outcome, None, "it did not wait");
    }
    let before = broker.seen().len();
    broker.heal();
    for id in of_key.iter().chain([&behind]) {
        let outcome = wait::within("it is healed", SOON * 4, stack.outcome(*id)).await;
        assert_eq!(outcome.status, Status::Confirmed);
    }
    // Once healed, the ones of the key come in their order, each of them.
    let ids: Vec<_> = of_key.iter().map(ToString::to_string).collect();
    let seen = broker.seen();
    let came: Vec<_> = seen[before..]
        .iter()
        .filter_map(|one| ids.iter().position(|id| *id == one.id))
        .collect();
    assert!(came.is_sorted_by(|a, b| a < b), "{came:?}");
    assert!(came.contains(&1) && came.contains(&6), "{came:?}");
    stop(stack).await;
}

/// Kills: a try that is used up by silence.
#[tokio::test]
async fn silence_takes_time_and_no_tries_and_a_refusal_afterwards_counts() {
    let _alone = ALONE.lock().await;
    let broker = SickBroker::start().await;
    let mut shape = shape();
    shape.retry = RetrySchedule {
        tries_max: 2,
        pause_min: Duration::from_millis(50),
        pause_max: Duration::from_millis(50),
    };
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape));
    broker.set("sick", Mood::Dead);
    let first = stack.accept(keyed("sick", "account")).await;
    let second = stack.accept(keyed("well", "account")).await;
    wait::until("it was tried some times", SOON, || async {
        let told = stack.relay.progress(&stack.record(first));
        (told.attempts >= 3).then_some(())
    })
    .await;
    broker.set("sick", Mood::Nacking);
    let outcome = wait::within("it is refused", SOON * 4, stack.outcome(first)).await;
    assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
    let reason = outcome.reason.expect("a failed message has a reason");
    assert!(reason.detail.contains("2 times"), "{reason:?}");
    assert_eq!(stack.outcome(second).await.status, Status::Confirmed);
    assert_eq!(quarantined(&stack), 0, "a refusal is an answer");
    stop(stack).await;
}
