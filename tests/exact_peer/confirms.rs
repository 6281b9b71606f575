//! Acks, nacks and returns, in every order.

use amqpost::domain::{ReasonCode, Status};

use super::{assert_only, publish, refused_reason, start, statuses};

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
