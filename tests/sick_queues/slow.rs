//! Queues that answer late.

use std::sync::Arc;
use std::time::Duration;

use super::sick_broker::{Mood, SickBroker};
use super::support::stack::{Stack, draft};
use super::support::wait::{self, SOON};
use super::{ALONE, STALL_AFTER, quarantined, shape, stop, timed};

/// Kills: a silence that is counted from the first hand-over, or over the whole row of them.
#[tokio::test]
async fn a_queue_that_answers_late_is_not_called_silent() {
    let _alone = ALONE.lock().await;
    let broker = SickBroker::start().await;
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape()));
    broker.set("slow", Mood::Slow(STALL_AFTER * 6 / 10));
    let mut sent = Vec::new();
    for _ in 0..40 {
        sent.push(timed(&stack, draft("", "slow", "slow")).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(quarantined(&stack), 0);
    }
    for one in sent {
        let id = one.id;
        one.confirmed().await;
        assert_eq!(stack.outcome(id).await.attempts, 1);
    }
    assert_eq!(broker.connections(""), 1);
    stop(stack).await;
}

/// Kills: tries that are always shorter than a slow queue takes.
#[tokio::test]
async fn a_slow_queue_that_was_taken_for_silent_gets_out_again() {
    let _alone = ALONE.lock().await;
    let broker = SickBroker::start().await;
    let mut shape = shape();
    shape.stall_after = STALL_AFTER * 2;
    let stack = Arc::new(Stack::start(std::slice::from_ref(&broker.url), &shape));
    broker.set("sick", Mood::Blocking);
    broker.set("slow", Mood::Slow(shape.stall_after * 8 / 10));
    stack.accept(draft("", "sick", "sick")).await;
    let slow = stack.accept(draft("", "slow", "slow")).await;
    let outcome = wait::within("it is confirmed", SOON, stack.outcome(slow)).await;
    assert!(outcome.duplicate_possible);
    assert_eq!(quarantined(&stack), 1);
    let again = timed(&stack, draft("", "slow", "slow")).await;
    assert!(again.confirmed().await < shape.stall_after);
    broker.heal();
    stack.quiet(SOON * 4).await;
    stop(stack).await;
}
