//! What RabbitMQ does only by chance, done on purpose: a scripted broker over a real socket.
//!
//! Every test gives a wrong status to some naive version of a publisher; which one stands above it.
//! Messages go to the default exchange, which needs no asking, over one lane.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod closes;
mod confirms;
mod network;

use std::time::Duration;

use amqpost::domain::{MessageId, Reason, RetrySchedule, Status};
use amqpost::store::Settlement;
use support::scripted_peer::{PeerConnection, PeerSettings, Publish, ScriptedPeer};
use support::stack::{Shape, Stack, draft};

/// Time enough to see that something does not happen.
const A_WHILE: Duration = Duration::from_millis(300);

/// A gateway with one lane that takes a nack for the end, and the lane's connection.
async fn start() -> (ScriptedPeer, Stack, PeerConnection) {
    start_with(PeerSettings::default()).await
}

async fn start_with(settings: PeerSettings) -> (ScriptedPeer, Stack, PeerConnection) {
    let peer = ScriptedPeer::listen_with(settings).await;
    let shape = Shape {
        lanes: 1,
        retry: RetrySchedule {
            tries_max: 1,
            ..RetrySchedule::default()
        },
        ..Shape::default()
    };
    let stack = Stack::start(&[peer.url()], &shape);
    let lane = peer.accept_publisher().await;
    (peer, stack, lane)
}

/// Accepts messages with these keys and gives their ids with what the broker got.
async fn publish(
    stack: &Stack,
    lane: &mut PeerConnection,
    keys: &[&str],
) -> (Vec<MessageId>, Vec<Publish>) {
    let ids = accept(stack, keys).await;
    let published = lane.next_publishes(keys.len()).await;
    assert_eq!(ids_of(&published), ids, "the order of acceptance");
    assert!(published.iter().all(|one| !one.duplicate_possible()));
    (ids, published)
}

async fn accept(stack: &Stack, keys: &[&str]) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for key in keys {
        ids.push(stack.accept(draft("", key, key.as_bytes().to_vec())).await);
    }
    ids
}

fn ids_of(published: &[Publish]) -> Vec<MessageId> {
    let id = |one: &Publish| one.amqpost_id().expect("it is there").parse();
    published
        .iter()
        .map(|one| id(one).expect("it is one"))
        .collect()
}

/// The statuses of messages, in their order.
async fn statuses(stack: &Stack, ids: &[MessageId]) -> Vec<Status> {
    let mut statuses = Vec::new();
    for id in ids {
        let outcome = stack.outcome(*id).await;
        assert_eq!(outcome.attempts, 1, "{outcome:?}");
        statuses.push(outcome.status);
    }
    statuses
}

/// The gateway has been told this and no more: `settled` is final, all else is not.
async fn assert_only(stack: &Stack, settled: MessageId, others: &[MessageId]) -> Settlement {
    let outcome = stack.outcome(settled).await;
    for id in others {
        assert_eq!(stack.record(*id).outcome, None, "it was told too early");
    }
    outcome
}

fn refused_reason(outcome: &Settlement) -> &Reason {
    assert_eq!(outcome.status, Status::Failed, "{outcome:?}");
    outcome
        .reason
        .as_ref()
        .expect("a failed message has a reason")
}

/// Confirmed at the second try, and flagged.
async fn assert_sent_twice(stack: &Stack, ids: &[MessageId]) {
    for id in ids {
        let outcome = stack.outcome(*id).await;
        assert_eq!(outcome.status, Status::Confirmed, "{outcome:?}");
        assert_eq!(outcome.attempts, 2, "{outcome:?}");
        assert!(outcome.duplicate_possible, "{outcome:?}");
    }
}

/// The messages come again, in their order and flagged.
async fn expect_again(lane: &mut PeerConnection, ids: &[MessageId]) -> Vec<Publish> {
    let again = lane.next_publishes(ids.len()).await;
    assert_eq!(ids_of(&again), ids);
    assert!(again.iter().all(Publish::duplicate_possible));
    again
}
