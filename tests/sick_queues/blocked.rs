//! A broker that takes nothing from anybody is not a queue that does not answer.

use super::support::scripted_peer::{PeerEvent, ScriptedPeer};
use super::support::stack::{Stack, draft};
use super::{ALONE, STALL_AFTER, quarantined, shape};

/// Kills: a clock that runs while the broker has blocked the connection.
#[tokio::test]
async fn while_the_broker_blocks_nobody_is_called_silent() {
    let _alone = ALONE.lock().await;
    let peer = ScriptedPeer::listen().await;
    let stack = Stack::start(&[peer.url()], &shape());
    let mut lane = peer.accept_publisher().await;
    let id = stack.accept(draft("", "a", "a")).await;
    let publish = lane.next_publish().await;
    lane.blocked("low on memory").await;
    lane.expect_no_publish(STALL_AFTER * 2).await;
    assert_eq!(lane.try_next_event(), None, "the connection lasts");
    lane.unblocked().await;
    lane.expect_no_publish(STALL_AFTER / 2).await;
    assert_eq!((lane.try_next_event(), quarantined(&stack)), (None, 0));
    // From now on it has been silent itself.
    assert_eq!(lane.next_event().await, PeerEvent::Ended);
    assert_eq!(quarantined(&stack), 1);
    let mut others = [peer.accept_publisher().await, peer.accept_publisher().await];
    let [first, second] = &mut others;
    let probe = tokio::select! {
        probe = first.next_publish() => probe,
        probe = second.next_publish() => probe,
    };
    assert_eq!(probe.amqpost_id(), publish.amqpost_id());
    assert!(probe.duplicate_possible());
    for one in &others {
        one.ack(probe.channel, probe.tag, false).await;
    }
    let outcome = stack.outcome(id).await;
    assert_eq!(outcome.attempts, 2);
    stack.stop().await;
}
