//! What RabbitMQ does only by chance, done on purpose: a scripted broker over a real socket.
//!
//! Every test gives a wrong status to some naive version of a publisher; which one stands above it.
//! Messages go to the default exchange, which needs no asking, over one lane.

#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use amqpost::domain::{Draft, MessageId, Reason, ReasonCode, RetrySchedule, Status};
use amqpost::store::Settlement;
use support::scripted_peer::{PeerConnection, PeerEvent, PeerSettings, Publish, ScriptedPeer};
use support::stack::{Shape, Stack, draft};
use support::wait::{self, SOON};

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

/// Kills: a return is taken for the next ack's message (as lapin does).
#[tokio::test]
async fn a_return_belongs_to_the_message_that_it_carries_not_to_the_next_ack() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b"]).await;
    lane.return_(&published[1], 312, "NO_ROUTE").await;
    lane.ack(published[0].channel, 1, false).await;
    let first = assert_only(&stack, ids[0], &ids[1..]).await;
    assert_eq!(first.status, Status::Confirmed);
    lane.ack(published[1].channel, 2, false).await;
    let second = stack.outcome(ids[1]).await;
    assert_eq!(second.status, Status::Returned);
    let reason = second.reason.expect("the broker said why");
    assert_eq!(reason.code, ReasonCode::NoRoute);
    assert_eq!(reason.reply_code, Some(312));
    assert_eq!(reason.reply_text.as_deref(), Some("NO_ROUTE"));
    stack.stop().await;
}

/// Kills: a return is ignored, since the ack says that all is well.
#[tokio::test]
async fn an_ack_does_not_make_a_returned_message_confirmed() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a"]).await;
    lane.return_(&published[0], 313, "NO_CONSUMERS").await;
    // A return alone is no outcome: the ack is still to come.
    assert_eq!(stack.record(ids[0]).outcome, None);
    lane.ack(published[0].channel, 1, false).await;
    let outcome = stack.outcome(ids[0]).await;
    assert_eq!(outcome.status, Status::Returned);
    assert!(!outcome.duplicate_possible);
    stack.stop().await;
}

/// Kills: a bulk ack confirms everything that it covers, or gives the return to its first or last.
#[tokio::test]
async fn a_bulk_ack_covers_returned_and_confirmed_ones() {
    use Status::{Confirmed, Returned};
    let (_peer, stack, mut lane) = start().await;
    let keys = ["a", "b", "c", "d", "e"];
    let (ids, published) = publish(&stack, &mut lane, &keys).await;
    lane.return_(&published[1], 312, "NO_ROUTE").await;
    lane.return_(&published[3], 312, "NO_ROUTE").await;
    lane.ack(published[0].channel, 5, true).await;
    let expected = [Confirmed, Returned, Confirmed, Returned, Confirmed];
    assert_eq!(statuses(&stack, &ids).await, expected);
    stack.stop().await;
}

/// Kills: a return of a message beyond a bulk ack is given to one within it.
#[tokio::test]
async fn a_return_between_bulk_acks_waits_for_its_own() {
    use Status::{Confirmed, Returned};
    let (_peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b", "c", "d"]).await;
    lane.return_(&published[2], 312, "NO_ROUTE").await;
    lane.ack(published[0].channel, 2, true).await;
    let first = assert_only(&stack, ids[0], &ids[2..]).await;
    assert_eq!(first.status, Confirmed);
    assert_eq!(stack.outcome(ids[1]).await.status, Confirmed);
    lane.ack(published[0].channel, 4, true).await;
    assert_eq!(statuses(&stack, &ids[2..]).await, [Returned, Confirmed]);
    stack.stop().await;
}

/// Kills: acks are taken in order, whatever tag they carry.
#[tokio::test]
async fn acks_out_of_order_settle_the_messages_that_they_name() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b", "c", "d"]).await;
    let channel = published[0].channel;
    lane.ack(channel, 3, false).await;
    let others = [ids[0], ids[1], ids[3]];
    assert_only(&stack, ids[2], &others).await;
    lane.nack(channel, 2, false).await;
    let nacked = assert_only(&stack, ids[1], &[ids[0], ids[3]]).await;
    assert_eq!(refused_reason(&nacked).code, ReasonCode::Nacked);
    lane.ack(channel, 4, true).await;
    assert_eq!(
        statuses(&stack, &[ids[0], ids[2], ids[3]]).await,
        [Status::Confirmed; 3]
    );
    stack.stop().await;
}

/// Kills: `multiple` of a nack is overlooked, or overwrites what was confirmed before.
#[tokio::test]
async fn a_bulk_nack_refuses_what_is_still_open_up_to_its_tag() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b", "c", "d"]).await;
    let channel = published[0].channel;
    lane.ack(channel, 2, false).await;
    lane.return_(&published[0], 312, "NO_ROUTE").await;
    lane.nack(channel, 3, true).await;
    let third = assert_only(&stack, ids[2], &ids[3..]).await;
    assert_eq!(refused_reason(&third).code, ReasonCode::Nacked);
    assert!(third.duplicate_possible);
    assert_eq!(stack.outcome(ids[1]).await.status, Status::Confirmed);
    // No queue can have taken what came back.
    assert_eq!(stack.outcome(ids[0]).await.status, Status::Returned);
    lane.ack(channel, 4, false).await;
    assert_eq!(stack.outcome(ids[3]).await.status, Status::Confirmed);
    stack.stop().await;
}

/// Kills: what a read brings is taken for a whole frame.
#[tokio::test]
async fn frames_may_come_byte_by_byte() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, published) = publish(&stack, &mut lane, &["a", "b"]).await;
    let channel = u8::try_from(published[0].channel).expect("a small number");
    let mut bytes = lane.return_bytes(&published[1], 312, "NO_ROUTE");
    // basic.ack of tag 2, multiple.
    bytes.extend([1, 0, channel, 0, 0, 0, 13, 0, 60, 0, 80]);
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 2, 1, 0xCE]);
    for byte in bytes {
        lane.send_bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    let expected = [Status::Confirmed, Status::Returned];
    assert_eq!(statuses(&stack, &ids).await, expected);
    stack.stop().await;
}

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
        let (connection, alone) = first_publish(&mut fresh).await;
        assert_eq!(ids_of(std::slice::from_ref(&alone)), [*id]);
        assert!(alone.duplicate_possible());
        connection.expect_no_publish(A_WHILE).await;
        if number < last {
            connection.ack(alone.channel, alone.tag, false).await;
        } else {
            connection.close_connection(541, "INTERNAL_ERROR").await;
        }
    }
    assert_sent_twice(&stack, &ids[..last]).await;
    let outcome = stack.outcome(ids[last]).await;
    let reason = refused_reason(&outcome);
    assert_eq!(reason.code, ReasonCode::BrokerError);
    assert_eq!(reason.reply_code, Some(541));
    stack.stop().await;
}

/// The first message that comes on any of the connections.
async fn first_publish(connections: &mut [PeerConnection]) -> (&mut PeerConnection, Publish) {
    let started = tokio::time::Instant::now();
    loop {
        for number in 0..connections.len() {
            match connections[number].try_next_event() {
                None => {}
                Some(PeerEvent::Published(publish)) => return (&mut connections[number], *publish),
                Some(other) => panic!("a publish was expected: {other:?}"),
            }
        }
        assert!(started.elapsed() < SOON, "nothing is published");
        tokio::time::sleep(wait::LOOK_EVERY).await;
    }
}

/// Kills: a message that closes every connection is sent for ever.
#[tokio::test]
async fn a_closed_connection_fails_the_message_that_was_alone() {
    let (_peer, stack, mut lane) = start().await;
    let (ids, _) = publish(&stack, &mut lane, &["a"]).await;
    lane.close_connection(541, "INTERNAL_ERROR").await;
    let outcome = stack.outcome(ids[0]).await;
    let reason = refused_reason(&outcome);
    assert_eq!(reason.code, ReasonCode::BrokerError);
    assert_eq!(reason.reply_text.as_deref(), Some("INTERNAL_ERROR"));
    // The broker may have stored it before it fell over.
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
