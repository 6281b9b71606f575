//! A cluster of three nodes with a quorum queue, under load: whatever nodes are lost, nothing is lost
//! or told wrongly, and the gateway goes on over the nodes that are left.
//!
//! What silent queues cost the others is seen always; the rounds of lost nodes, which take minutes, with
//! `AMQPOST_TEST_FULL=1`.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod majority;

use std::time::Duration;

use support::audit::Order;
use support::cluster::Cluster;
use support::load::{LANES, Load, PENDING_MAX, WRITERS};
use support::queues::{Kind, Place};
use support::wait::{self, SOON};

const HEARTBEAT: Duration = Duration::from_secs(2);
const ELECTION: Duration = Duration::from_secs(90);
/// As a gateway has it by default. A channel that met a queue without a leader is blocked for long.
const STALL_AFTER: Duration = Duration::from_secs(5);
/// Restarts take long, and everything is read at the end.
const PAUSE: Duration = Duration::from_millis(10);
/// Far more than what was in flight when a node went away.
const MORE: usize = 2000;

const ROUNDS: usize = 10;

fn is_full() -> bool {
    std::env::var_os("AMQPOST_TEST_FULL").is_some()
}

/// Every lane is connected and everything moves.
///
/// A channel whose first message meets a queue that is just electing its leader is blocked by
/// `RabbitMQ` for up to 65 s.
async fn goes_on(load: &Load) {
    wait::until("every lane is connected", SOON * 2, || async {
        (load.lanes_up() == LANES).then_some(())
    })
    .await;
    load.wait_more_within(MORE, ELECTION).await;
}

async fn rolling_restart(cluster: &mut Cluster, load: &Load, queue: &str) {
    for number in 0..cluster.nodes.len() {
        cluster.nodes[number].stop_app().await;
        goes_on(load).await;
        cluster.nodes[number].start_app().await;
        cluster.wait_members(queue).await;
    }
}

async fn loss_of_one(cluster: &mut Cluster, load: &Load, lost: usize) {
    cluster.kill_9(&[lost]);
    goes_on(load).await;
    cluster.restart(&[lost]).await;
    goes_on(load).await;
}

/// What is accepted meanwhile is pending, and stays so: nobody can confirm it.
async fn loss_of_the_majority(cluster: &mut Cluster, load: &Load, lost: [usize; 2]) {
    cluster.kill_9(&lost);
    // Confirms of what the majority had taken before may still be on their way at first.
    wait::until("nothing is confirmed any more", SOON * 2, || async {
        let accepted = load.accepted();
        tokio::time::sleep(HEARTBEAT).await;
        // Each writer may just have been about to write one more.
        let more = load.accepted() - accepted;
        let full = load.stack.relay.health().pending_messages >= PENDING_MAX;
        (full && more <= WRITERS).then_some(())
    })
    .await;
    cluster.restart(&lost).await;
    goes_on(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_nodes_loses_no_message_and_delays_others_once() {
    let mut cluster = Cluster::start().await;
    if is_full() {
        losses(&mut cluster).await;
    }
    majority::what_silent_queues_cost(&mut cluster).await;
}

async fn losses(cluster: &mut Cluster) {
    let mut place = Place::declare(&cluster.nodes[0].url(), Kind::Quorum).await;
    cluster.settle_declarations().await;
    let urls = cluster.urls();
    let load = Load::start_slowly(&urls, &place, HEARTBEAT, PAUSE, STALL_AFTER).await;
    for round in 0..ROUNDS {
        rolling_restart(cluster, &load, &place.queue).await;
        let leader = cluster.leader_of(&place.queue).await;
        loss_of_one(cluster, &load, leader).await;
        cluster.wait_members(&place.queue).await;
        loss_of_the_majority(cluster, &load, [round % 3, (round + 1) % 3]).await;
        for lost in 0..3 {
            cluster.wait_members(&place.queue).await;
            loss_of_one(cluster, &load, lost).await;
        }
    }
    cluster.wait_members(&place.queue).await;
    place.reconnect().await;
    // A quorum queue may store a message behind all copies of the next one of its key, once its leader was
    // lost: the order is that of first hand-overs.
    let flagged = load.account_in(&place, Order::OfSomeCopies).await;
    assert!(flagged > 0, "nothing was in flight");
}
