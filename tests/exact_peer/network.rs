//! Connections that are cut, silent, blocked, or tell what cannot be.

use std::time::Duration;

use amqpost::domain::{ReasonCode, Status};

use super::support::scripted_peer::{PeerEvent, PeerSettings};
use super::support::wait::{self, SOON};
use super::{
    A_WHILE, accept, assert_sent_twice, expect_again, publish, start, start_with, statuses,
};

/// Kills: half an ack counts, or what is unknown is taken for failed or for unsent.
#[tokio::test]
async fn a_connection_that_is_cut_within_a_frame_leaves_everything_unknown() {
    let (peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b"]).await;
    let channel = u8::try_from(published[0].channel).expect("a small number");
    // basic.ack of tag 2, multiple, without its end.
    lane.send_bytes(&[1, 0, channel, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0])
        .await;
    lane.send_bytes(&[0, 0, 0, 0, 2, 1]).await;
    lane.cut().await;
    let mut lane = peer.accept_publisher().await;
    let again = expect_again(&mut lane, &ids).await;
    lane.ack(again[0].channel, 2, true).await;
    assert_sent_twice(&stack, &ids).await;
    stack.stop().await;
}

/// Kills: a peer that is gone without a word is waited for without end.
#[tokio::test]
async fn a_silent_broker_is_left_after_two_heartbeats() {
    let settings = PeerSettings {
        heartbeat: 1,
        ..PeerSettings::default()
    };
    let (peer, stack, mut lane) = start_with(settings).await;
    let (ids, _) = publish(&stack, &mut lane, &["a", "b"]).await;
    let fresh = peer.accept_publisher();
    let told = wait::until("the lane is down", SOON, || async {
        stack.relay.health().broker.reason
    });
    let (mut fresh, reason) = tokio::join!(fresh, told);
    assert!(reason.detail.contains("silent"), "{reason:?}");
    let again = expect_again(&mut fresh, &ids).await;
    fresh.ack(again[0].channel, 2, true).await;
    assert_sent_twice(&stack, &ids).await;
    stack.stop().await;
}

/// Kills: a broker that has nothing to say but lives is given up.
#[tokio::test]
async fn a_broker_that_only_beats_is_kept() {
    let settings = PeerSettings {
        heartbeat: 1,
        ..PeerSettings::default()
    };
    let (peer, stack, mut lane) = start_with(settings).await;
    let (ids, published) = publish(&stack, &mut lane, &["a"]).await;
    for _ in 0..8 {
        lane.heartbeat().await;
        lane.expect_no_publish(Duration::from_millis(500)).await;
    }
    lane.ack(published[0].channel, 1, false).await;
    assert_eq!(statuses(&stack, &ids).await, [Status::Confirmed]);
    drop(peer);
    stack.stop().await;
}

/// Kills: a blocked broker is written to, or its acks are not read.
#[tokio::test]
async fn a_blocked_broker_gets_no_messages_and_is_listened_to() {
    let (_peer, stack, mut lane) = start().await;
    let (before, published) = publish(&stack, &mut lane, &["a"]).await;
    lane.blocked("low on memory").await;
    wait::until("the lane knows", SOON, || async {
        (stack.relay.health().broker.lanes_blocked == 1).then_some(())
    })
    .await;
    let after = accept(&stack, &["b"]).await;
    lane.expect_no_publish(A_WHILE).await;
    let waiting = stack.relay.progress(&stack.record(after[0]));
    let reason = waiting.reason.expect("a message that waits says why");
    assert_eq!(reason.code, ReasonCode::BrokerBlocked);
    assert_eq!(reason.reply_text.as_deref(), Some("low on memory"));
    assert_eq!(waiting.attempts, 0);
    lane.ack(published[0].channel, 1, false).await;
    assert_eq!(statuses(&stack, &before).await, [Status::Confirmed]);

    lane.unblocked().await;
    let released = lane.next_publish().await;
    assert!(!released.duplicate_possible());
    lane.ack(released.channel, released.tag, false).await;
    assert_eq!(statuses(&stack, &after).await, [Status::Confirmed]);
    stack.stop().await;
}

/// Kills: a return that names nobody is taken for the oldest message.
#[tokio::test]
async fn a_return_that_names_nobody_ends_the_connection_and_everything_is_sent_again() {
    let (peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b"]).await;
    let mut nameless = published[1].clone();
    nameless.properties = nameless
        .properties
        .with_headers(lapin::types::FieldTable::default());
    lane.return_(&nameless, 312, "NO_ROUTE").await;
    lane.ack(published[0].channel, 2, true).await;
    match lane.next_event().await {
        PeerEvent::ClosedByClient { code: 505, .. } => {}
        other => panic!("the end with 505 was expected: {other:?}"),
    }
    let mut lane = peer.accept_publisher().await;
    let again = expect_again(&mut lane, &ids).await;
    lane.return_(&again[1], 312, "NO_ROUTE").await;
    lane.ack(again[0].channel, 2, true).await;
    assert_eq!(stack.outcome(ids[0]).await.status, Status::Confirmed);
    let returned = stack.outcome(ids[1]).await;
    assert_eq!(returned.status, Status::Returned);
    // The first one may have arrived.
    assert!(returned.duplicate_possible);
    stack.stop().await;
}

/// Kills: an ack for something else is taken for what is in flight.
#[tokio::test]
async fn confirms_of_what_was_never_sent_end_the_connection() {
    let (peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a"]).await;
    let mut channel = published[0].channel;
    let mut tries = 1;
    for (tag, multiple) in [(0, false), (2, false), (7, true)] {
        lane.ack(channel, tag, multiple).await;
        match lane.next_event().await {
            PeerEvent::ClosedByClient { code: 503, .. } => {}
            other => panic!("the end with 503 was expected: {other:?}"),
        }
        lane = peer.accept_publisher().await;
        channel = expect_again(&mut lane, &ids).await[0].channel;
        tries += 1;
    }
    lane.ack(channel, 1, false).await;
    let outcome = stack.outcome(ids[0]).await;
    assert_eq!(
        (outcome.status, outcome.attempts),
        (Status::Confirmed, tries)
    );
    stack.stop().await;
}
