//! Channels and connections that the broker closes.

use amqpost::domain::{Draft, ReasonCode, Status};

use super::support::scripted_peer::{PeerConnection, PeerEvent, Publish};
use super::support::stack::draft;
use super::support::wait::{self, SOON};
use super::{
    A_WHILE, accept, assert_only, assert_sent_twice, expect_again, ids_of, publish, refused_reason,
    start,
};

const USER: &str = "PRECONDITION_FAILED - user_id property set to 'joe' but authenticated user was";

/// A message that the broker of the script refuses.
fn of_joe(key: &str) -> Draft {
    let mut draft = draft("", key, "poison");
    draft.properties.user_id = Some("joe".into());
    draft
}

/// Kills: everything that was in flight is blamed, or nothing is and all of it is sent again for
/// ever.
#[tokio::test]
async fn a_closed_channel_fails_only_the_message_that_fails_alone() {
    let (peer, stack, mut lane) = start().await;
    let mut ids = accept(&stack, &["a"]).await;
    let poison = [
        stack.accept(of_joe("poison")).await,
        stack.accept(of_joe("poison")).await,
    ];
    // The last one has the key of the poison, which it must not overtake.
    ids.extend(accept(&stack, &["b", "poison"]).await);
    let published = lane.next_publishes(5).await;
    lane.close_channel(published[0].channel, 406, USER).await;
    lane.expect_channel_close_ok().await;

    // The others, in order, on a fresh channel of the same connection.
    let channel = lane.expect_confirm_channel().await;
    expect_again(&mut lane, &ids[..2]).await;
    lane.ack(channel, 2, true).await;
    lane.expect_no_publish(A_WHILE).await;

    // The suspects on a connection of their own, one at a time. The first is innocent.
    let mut probation = peer.accept_publisher().await;
    let alone = expect_again(&mut probation, &poison[..1]).await;
    probation.expect_no_publish(A_WHILE).await;
    probation.ack(alone[0].channel, alone[0].tag, false).await;
    let alone = expect_again(&mut probation, &poison[1..]).await;
    probation.expect_no_publish(A_WHILE).await;
    assert_only(&stack, poison[0], &poison[1..]).await;
    probation.close_channel(alone[0].channel, 406, USER).await;

    let outcome = stack.outcome(poison[1]).await;
    let reason = refused_reason(&outcome);
    assert_eq!(reason.code, ReasonCode::PreconditionFailed);
    assert_eq!(reason.reply_code, Some(406));
    assert_eq!(reason.reply_text.as_deref(), Some(USER));
    assert!(outcome.duplicate_possible && outcome.attempts == 2);

    expect_again(&mut lane, &ids[2..]).await;
    lane.ack(channel, 3, false).await;
    assert_sent_twice(&stack, &ids).await;
    assert_sent_twice(&stack, &poison[..1]).await;
    stack.stop().await;
}

/// Kills: what the broker has spoken of is blamed or sent again; and an ack that comes late, on a
/// channel that is closed, settles what went out on the next one.
#[tokio::test]
async fn what_was_acknowledged_before_a_close_is_done_and_tags_start_anew_after_it() {
    let (peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b", "c"]).await;
    let old = published[0].channel;
    lane.ack(old, 2, false).await;
    lane.return_(&published[0], 312, "NO_ROUTE").await;
    lane.close_connection(320, "CONNECTION_FORCED - by an operator")
        .await;
    assert_eq!(stack.outcome(ids[1]).await.status, Status::Confirmed);
    // Returned without an ack: no queue took it, so it is not sent again.
    assert_eq!(stack.outcome(ids[0]).await.status, Status::Returned);

    let mut lane = peer.accept_publisher().await;
    let again = expect_again(&mut lane, &ids[2..]).await;
    assert_eq!(again[0].tag, 1);
    lane.ack(again[0].channel, 1, false).await;
    assert_sent_twice(&stack, &ids[2..]).await;
    stack.stop().await;
}

/// Kills: whoever was in flight when the broker closed the connection is failed.
#[tokio::test]
async fn a_closed_connection_fails_nobody_that_was_not_alone() {
    let (peer, stack, mut lane) = start().await;
    let (ids, _) = publish(&stack, &mut lane, &["a", "b", "c"]).await;
    lane.close_connection(541, "INTERNAL_ERROR").await;
    lane.expect_connection_close_ok().await;

    // Nobody knows which one it was: each is tried alone, in order.
    let mut fresh = [peer.accept_publisher().await, peer.accept_publisher().await];
    let last = ids.len() - 1;
    for (number, id) in ids.iter().enumerate() {
        let (at, alone) = first_publish(&mut fresh).await;
        let connection = &mut fresh[at];
        assert_eq!(ids_of(std::slice::from_ref(&alone)), [*id]);
        assert!(alone.duplicate_possible());
        connection.expect_no_publish(A_WHILE).await;
        if number < last {
            connection.ack(alone.channel, alone.tag, false).await;
        } else {
            connection.close_connection(501, "FRAME_ERROR").await;
        }
    }
    assert_sent_twice(&stack, &ids[..last]).await;
    let outcome = stack.outcome(ids[last]).await;
    let reason = refused_reason(&outcome);
    assert_eq!(reason.code, ReasonCode::BrokerError);
    assert_eq!(reason.reply_code, Some(501));
    stack.stop().await;
}

/// The first message that comes on any of the connections, and on which.
async fn first_publish(connections: &mut [PeerConnection]) -> (usize, Publish) {
    let first = wait::until("a message comes", SOON, || {
        let mut events = connections.iter_mut().map(PeerConnection::try_next_event);
        let first = events
            .by_ref()
            .enumerate()
            .find_map(|(number, event)| event.map(|event| (number, event)));
        async move { first }
    });
    match first.await {
        (number, PeerEvent::Published(publish)) => (number, *publish),
        (_, other) => panic!("a publish was expected: {other:?}"),
    }
}

/// Kills: a message that closes every connection is sent for ever.
#[tokio::test]
async fn a_closed_connection_fails_the_message_that_was_alone() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, _) = publish(&stack, &mut lane, &["a"]).await;
    lane.close_connection(501, "FRAME_ERROR").await;
    let outcome = stack.outcome(ids[0]).await;
    let reason = refused_reason(&outcome);
    assert_eq!(reason.code, ReasonCode::BrokerError);
    assert_eq!(reason.reply_text.as_deref(), Some("FRAME_ERROR"));
    // The broker may have stored it before it fell over.
    assert!(outcome.duplicate_possible);
    stack.stop().await;
}

/// Kills: one fault of the node fails a message that did nothing; and the other way round, a message
/// that makes the node fail is sent for ever.
#[tokio::test]
async fn a_node_that_fails_on_a_message_that_is_alone_has_three_more_tries() {
    let (peer, stack, mut lane) = start().await;
    let (ids, _) = publish(&stack, &mut lane, &["a"]).await;
    lane.close_connection(541, "INTERNAL_ERROR").await;
    let mut fresh = vec![peer.accept_publisher().await, peer.accept_publisher().await];
    for strike in 0..3 {
        if strike > 0 {
            fresh.push(peer.accept_publisher().await);
        }
        assert_eq!(stack.record(ids[0]).outcome, None);
        let (at, alone) = first_publish(&mut fresh).await;
        assert!(alone.duplicate_possible());
        fresh
            .swap_remove(at)
            .close_connection(541, "INTERNAL_ERROR")
            .await;
    }
    let outcome = stack.outcome(ids[0]).await;
    assert_eq!(refused_reason(&outcome).reply_code, Some(541));
    assert_eq!(outcome.attempts, 4);
    assert!(outcome.duplicate_possible);
    stack.stop().await;
}

/// Kills: an operator who closes connections makes messages fail.
#[tokio::test]
async fn a_connection_that_an_operator_closes_is_nobodys_fault() {
    let (peer, stack, mut lane) = start().await;
    let (ids, _) = publish(&stack, &mut lane, &["a"]).await;
    lane.close_connection(320, "CONNECTION_FORCED - closed")
        .await;
    let mut lane = peer.accept_publisher().await;
    let again = expect_again(&mut lane, &ids).await;
    lane.ack(again[0].channel, 1, false).await;
    assert_sent_twice(&stack, &ids).await;
    stack.stop().await;
}
