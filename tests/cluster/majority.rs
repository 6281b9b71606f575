//! Queues without a majority cannot answer. What that costs a queue that can, on the same lane.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqpost::domain::{MessageId, Status};

use super::support::cluster::Cluster;
use super::support::queues::{Kind, Place};
use super::support::stack::{Shape, Stack, draft};
use super::support::wait::{self, SOON};
use super::{ELECTION, HEARTBEAT};

const STALL_AFTER: Duration = Duration::from_secs(1);
/// How long others may wait beyond that.
const GRACE: Duration = Duration::from_secs(2);
/// Others, one after the other: far longer than the stalls take.
const OTHERS: usize = 200;

/// How long a message to the place takes to be confirmed.
async fn time(stack: &Stack, place: &Place) -> Duration {
    let began = Instant::now();
    let id = accept(stack, place).await;
    assert_eq!(stack.outcome(id).await.status, Status::Confirmed);
    began.elapsed()
}

async fn accept(stack: &Stack, place: &Place) -> MessageId {
    let message = draft(&place.exchange, &place.routing_key, "x");
    stack.accept(message).await
}

/// Kills two nodes of three: a quorum queue that was published to before, and one that never was, are
/// silent; a classic queue on the node that is left goes on.
pub(super) async fn what_silent_queues_cost(cluster: &mut Cluster) {
    let url = cluster.nodes[0].url();
    let used = Place::declare(&url, Kind::Quorum).await;
    let unused = Place::declare(&url, Kind::Quorum).await;
    let well = Place::declare(&url, Kind::Classic).await;
    cluster.wait_members(&used.queue).await;
    cluster.wait_members(&unused.queue).await;
    cluster.settle_declarations().await;
    let shape = Shape {
        lanes: 1,
        heartbeat: HEARTBEAT,
        stall_after: STALL_AFTER,
        ..Shape::default()
    };
    let stack = Arc::new(Stack::start(&[url], &shape));
    time(&stack, &used).await;
    cluster.kill_9(&[1, 2]);
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(accept(&stack, &used).await);
        silent.push(accept(&stack, &unused).await);
    }
    let mut worst = Duration::ZERO;
    let mut later = Duration::ZERO;
    for number in 0..OTHERS {
        let took = time(&stack, &well).await;
        worst = worst.max(took);
        if number >= OTHERS / 2 {
            later = later.max(took);
        }
    }
    assert!(worst < STALL_AFTER + GRACE, "others waited {worst:?}");
    assert!(later < GRACE, "others waited {later:?} afterwards");
    let pending = |id: &MessageId| stack.record(*id).outcome.is_none();
    assert!(silent.iter().all(pending), "confirmed without a majority");
    assert_eq!(stack.relay.health().broker.quarantined, 2);

    cluster.restart(&[1, 2]).await;
    wait::until("the majority is back", ELECTION, || async {
        let settled = silent.iter().all(|id| !pending(id));
        settled.then_some(())
    })
    .await;
    for id in silent {
        let outcome = stack.record(id).outcome.expect("it is settled");
        assert_eq!(outcome.status, Status::Confirmed, "{outcome:?}");
    }
    let quarantined = || async { (stack.relay.health().broker.quarantined == 0).then_some(()) };
    wait::until("nobody is in quarantine", SOON, quarantined).await;
    let stack = Arc::into_inner(stack).expect("nobody else uses it");
    stack.stop().await;
}
