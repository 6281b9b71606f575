//! A cluster of three nodes with a quorum queue, under load: whatever nodes are lost, nothing is lost
//! or told wrongly, and the gateway goes on over the nodes that are left.
//!
//! Each kind of loss is seen always; whole rounds of all of them, which take minutes, with
//! `AMQPOST_TEST_FULL=1`.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod lost_leader;
mod majority;
mod standstill;

use std::time::Duration;

use support::audit::Order;
use support::cluster::Cluster;
use support::load::{LANES, Load, PENDING_MAX, WRITERS, Way};
use support::queues::{Kind, Place};
use support::wait::{self, SOON};

const HEARTBEAT: Duration = Duration::from_secs(2);
const ELECTION: Duration = Duration::from_secs(90);
/// As a gateway has it by default. A channel that met a queue without a leader is blocked for long.
const STALL_AFTER: Duration = Duration::from_secs(5);
/// Restarts take long, and everything is read at the end.
const PAUSE: Duration = Duration::from_millis(10);
/// Far more than what was in flight when a node went away.
const MORE: usize = 1000;
/// How long that may take after a loss: an election, what the gateway then needs to notice who does not
/// answer or only refuses, and the longest pause before it tries again. It was never seen to be half.
const MOVES_ON: Duration = Duration::from_secs(45);

const ROUNDS: usize = 10;

fn is_full() -> bool {
    std::env::var_os("AMQPOST_TEST_FULL").is_some()
}

/// Every lane is connected and everything moves.
async fn goes_on(cluster: &Cluster, load: &Load, queue: &str) {
    let going = async {
        wait::until("every lane is connected", SOON * 2, || async {
            (load.lanes_up() == LANES).then_some(())
        })
        .await;
        load.wait_more_within(MORE, MOVES_ON).await;
    };
    tokio::select! {
        () = going => {}
        () = standstill::tell(cluster, load, queue) => {}
    }
}

async fn restart_of_one(cluster: &mut Cluster, load: &Load, queue: &str, number: usize) {
    cluster.nodes[number].stop_app().await;
    goes_on(cluster, load, queue).await;
    cluster.nodes[number].start_app().await;
    cluster.wait_members(queue).await;
}

async fn loss_of_one(cluster: &mut Cluster, load: &Load, queue: &str, lost: usize) {
    cluster.kill_9(&[lost]);
    goes_on(cluster, load, queue).await;
    cluster.restart(&[lost]).await;
    goes_on(cluster, load, queue).await;
    cluster.wait_members(queue).await;
}

/// What is accepted meanwhile is pending, and stays so: nobody can confirm it.
async fn loss_of_the_majority(cluster: &mut Cluster, load: &Load, queue: &str, lost: [usize; 2]) {
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
    goes_on(cluster, load, queue).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_nodes_loses_no_message_and_delays_others_once() {
    let mut cluster = Cluster::start().await;
    losses(&mut cluster).await;
    lost_leader::what_an_early_connection_costs(&mut cluster).await;
    majority::what_silent_queues_cost(&mut cluster).await;
}

async fn losses(cluster: &mut Cluster) {
    let mut place = Place::declare(&cluster.nodes[0].url(), Kind::Quorum).await;
    cluster.settle_declarations().await;
    let urls = cluster.urls();
    let way = Way {
        heartbeat: HEARTBEAT,
        pause: PAUSE,
        stall_after: STALL_AFTER,
        // A node that was lost may make the broker nack what others would take.
        ordering_keys: true,
    };
    let load = Load::start_by(&urls, &place, way).await;
    if is_full() {
        for round in 0..ROUNDS {
            whole_round(cluster, &load, &place.queue, round).await;
        }
    } else {
        restart_of_one(cluster, &load, &place.queue, 0).await;
        let leader = cluster.leader_of(&place.queue).await;
        loss_of_one(cluster, &load, &place.queue, leader).await;
        loss_of_the_majority(cluster, &load, &place.queue, [0, 1]).await;
        cluster.wait_members(&place.queue).await;
    }
    place.reconnect().await;
    // A quorum queue may store a message behind all copies of the next one of its key, once its leader was
    // lost: the order is that of first hand-overs.
    let flagged = load.account_in(&place, Order::OfSomeCopies).await;
    assert!(flagged > 0, "nothing was in flight");
}

async fn whole_round(cluster: &mut Cluster, load: &Load, queue: &str, round: usize) {
    for number in 0..cluster.nodes.len() {
        restart_of_one(cluster, load, queue, number).await;
    }
    let leader = cluster.leader_of(queue).await;
    loss_of_one(cluster, load, queue, leader).await;
    loss_of_the_majority(cluster, load, queue, [round % 3, (round + 1) % 3]).await;
    cluster.wait_members(queue).await;
    for lost in 0..cluster.nodes.len() {
        loss_of_one(cluster, load, queue, lost).await;
    }
}
