//! Connections and brokers that end with hundreds of messages in flight. Nothing is lost, each key
//! keeps its order, and whatever may be there twice says so.

use std::time::{Duration, Instant};

use super::support::load::{LANES, Load};
use super::support::queues::{Kind, Place};
use super::support::tcp_proxy::{Direction, End};
use super::support::wait::{self, SOON};
use super::{node, node_alone, proxy};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// Where a stream of messages ends.
const MESSAGES: [u64; 5] = [0, 1, 1_013, 20_011, 60_029];
/// Where a stream of confirms ends, which are small and speak of many.
const CONFIRMS: [u64; 5] = [0, 1, 101, 503, 1_009];

async fn nothing_is_lost_by_ends(direction: Direction, end: End, bytes: [u64; 5]) {
    let node = node().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[proxy.amqp_url()], &place, HEARTBEAT).await;
    // At once, within a frame, and later on.
    for bytes in bytes {
        let before = proxy.accepted();
        proxy.end_after(direction, bytes, end);
        load.wait_reconnected(&proxy, before).await;
    }
    let flagged = load.account(&place).await;
    assert!(flagged > 0, "no end came at the wrong moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_end_while_messages_are_written_lose_nothing() {
    nothing_is_lost_by_ends(Direction::ToServer, End::Close, MESSAGES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_reset_while_messages_are_written_lose_nothing() {
    nothing_is_lost_by_ends(Direction::ToServer, End::Reset, MESSAGES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_reset_while_confirms_are_read_lose_nothing() {
    nothing_is_lost_by_ends(Direction::ToClient, End::Reset, CONFIRMS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_falls_silent_is_noticed_by_its_heartbeats_and_loses_nothing() {
    let node = node().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[proxy.amqp_url()], &place, Duration::from_secs(1)).await;
    // The confirms are lost on their way.
    proxy.silent_after(Direction::ToClient, 2_000);
    let reason = load.wait_down().await;
    assert!(reason.contains("silent"), "{reason}");
    proxy.heal();
    load.wait_more(500).await;
    // The messages are; it is the broker that misses heartbeats first or the gateway.
    let before = proxy.accepted();
    proxy.silent_after(Direction::ToServer, 2_000);
    load.wait_down().await;
    proxy.heal();
    load.wait_reconnected(&proxy, before).await;
    let flagged = load.account(&place).await;
    assert!(flagged > 0, "nothing was in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_closes_all_connections_loses_nothing() {
    let node = node_alone().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[proxy.amqp_url()], &place, HEARTBEAT).await;
    let before = proxy.accepted();
    node.close_all_connections().await;
    load.wait_reconnected(&proxy, before).await;
    let mut place = place;
    place.reconnect().await;
    load.account(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_stopped_loses_nothing() {
    let mut node = node_alone().await;
    let proxy = proxy(&node).await;
    let mut place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[proxy.amqp_url()], &place, HEARTBEAT).await;
    // A broker confirms all that it has before it closes the connections: what is on its way then is in doubt.
    proxy.silent_after(Direction::ToServer, 0);
    load.wait_all_pending().await;
    let heal = async {
        load.wait_down().await;
        proxy.heal();
    };
    tokio::join!(node.stop_app(), heal);
    node.start_app().await;
    load.wait_more(500).await;
    place.reconnect().await;
    let flagged = load.account(&place).await;
    assert!(flagged > 0, "nothing was in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_loses_nothing() {
    let mut node = node_alone().await;
    let mut place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[node.url()], &place, HEARTBEAT).await;
    // The bindings of the load too.
    node.settle_declarations().await;
    // In the middle of whatever it does, and with messages that it has not read.
    node.suspend();
    load.wait_all_pending().await;
    node.kill_9();
    load.wait_down().await;
    node.restart().await;
    load.wait_more(500).await;
    place.reconnect().await;
    let flagged = load.account(&place).await;
    assert!(flagged > 0, "nothing was in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_freezes_is_left_and_found_again() {
    let node = node_alone().await;
    let mut place = Place::declare(&node.url(), Kind::Quorum).await;
    let heartbeat = Duration::from_secs(2);
    let load = Load::start(&[node.url()], &place, heartbeat).await;
    node.suspend();
    let frozen = Instant::now();
    let reason = load.wait_down().await;
    let noticed = frozen.elapsed();
    node.resume();
    assert!(noticed < heartbeat * 3, "noticed after {noticed:?}");
    assert!(reason.contains("silent"), "{reason}");
    wait::until("a lane is back", SOON, || async {
        (load.lanes_up() > 0).then_some(())
    })
    .await;
    place.reconnect().await;
    let flagged = load.account(&place).await;
    assert!(flagged > 0, "nothing was in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_live_for_a_second_lose_nothing_and_let_messages_through() {
    const FLAPS: u64 = 6;
    let node = node().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let load = Load::start(&[proxy.amqp_url()], &place, HEARTBEAT).await;
    let before = proxy.accepted();
    for flap in 0..FLAPS {
        let end = if flap % 2 == 0 {
            End::Reset
        } else {
            End::Close
        };
        proxy.end_all(end);
        // It moves although no connection lasts.
        load.wait_more(200).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let connections = proxy.accepted() - before;
    assert!(
        connections <= FLAPS * 2 * LANES as u64,
        "{connections} connections"
    );
    load.account(&place).await;
}
