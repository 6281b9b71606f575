//! A lane that connects after the leader of a quorum queue was lost, and before there is another.

use std::time::{Duration, Instant};

use amqpost::domain::{ReasonCode, Status};

use super::support::cluster::Cluster;
use super::support::queues::{Kind, Place};
use super::support::stack::{Shape, Stack, draft};
use super::support::wait::{self, SOON};
use super::{ELECTION, HEARTBEAT};

const STALL_AFTER: Duration = Duration::from_secs(1);
/// From the election to the last confirm: the longest pause between two fresh connections, or between two
/// tries in quarantine, and some time for a busy machine.
const GRACE: Duration = Duration::from_secs(20);
const MESSAGES: usize = 20;
const BEFORE_3_13: &str = r#"rabbit_misc:version_compare(rabbit_misc:version(), "3.13.0", lt)"#;

/// Kills the node that leads the queue and one of the others. The gateway, which knows only the third node,
/// connects there. Then the queue gets a leader again, and the first one stays lost.
///
/// `RabbitMQ` before 3.13 nacks whatever goes to the queue over that connection, even after the election,
/// and later ones do not answer before it.
pub(super) async fn what_an_early_connection_costs(cluster: &mut Cluster) {
    let place = Place::declare(&cluster.nodes[2].url(), Kind::Quorum).await;
    cluster.wait_members(&place.queue).await;
    cluster.settle_declarations().await;
    assert_eq!(cluster.leader_of(&place.queue).await, 2);
    cluster.kill_9(&[1, 2]);
    let shape = Shape {
        lanes: 1,
        heartbeat: HEARTBEAT,
        stall_after: STALL_AFTER,
        ..Shape::default()
    };
    let stack = Stack::start(&[cluster.nodes[0].url()], &shape);
    let mut ids = Vec::new();
    for _ in 0..MESSAGES {
        let message = draft(&place.exchange, &place.routing_key, "x");
        ids.push(stack.accept(message).await);
    }
    let before_3_13 = cluster.nodes[0].eval(BEFORE_3_13).await == "true";
    wait::until("the queue refuses, or does not answer", SOON, || async {
        let told = stack.relay.progress(&stack.record(ids[0])).reason?;
        let expected = if before_3_13 {
            ReasonCode::Nacked
        } else {
            ReasonCode::BrokerUnavailable
        };
        (told.code == expected).then_some(())
    })
    .await;
    cluster.nodes[1].restart().await;
    wait::until("the queue has a leader", ELECTION, || async {
        let leader = cluster.leader_of(&place.queue).await;
        (leader != 2).then_some(())
    })
    .await;
    let elected = Instant::now();
    for id in ids {
        let outcome = stack.outcome(id).await;
        assert_eq!(outcome.status, Status::Confirmed, "{outcome:?}");
    }
    let took = elected.elapsed();
    assert!(took < GRACE, "it took {took:?}");
    stack.stop().await;
    cluster.restart(&[2]).await;
}
