//! No broker at start, and addresses that lead nowhere.

use std::time::Duration;

use super::support::process;
use super::support::queues::{Kind, Place};
use super::support::tcp_proxy::{Direction, End};
use super::support::wait::{self, SOON};
use super::{
    assert_all_went_out_once, assert_confirmed, assert_down, broker_is_up, gateway, message, node,
    post_some, proxy,
};

#[tokio::test]
async fn without_a_broker_messages_are_accepted_and_go_out_in_order_once_it_is_there() {
    let node = node().await;
    let mut proxy = proxy(&node).await;
    proxy.refuse().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let gateway = gateway(&proxy.amqp_url(), &[]).await;
    let mut ids = vec![assert_down(&gateway, &place, "refused").await];
    ids.extend(post_some(&gateway, &place, 200).await);

    proxy.accept_again().await;
    assert_all_went_out_once(&gateway, &place, &ids).await;
    broker_is_up(&gateway).await;
}

#[tokio::test]
async fn a_broker_that_comes_and_goes_between_messages_makes_no_difference() {
    let node = node().await;
    let mut proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let gateway = gateway(&proxy.amqp_url(), &[]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        broker_is_up(&gateway).await;
        let id = post_some(&gateway, &place, 1).await.remove(0);
        assert_confirmed(&gateway.wait_final(&id).await);
        ids.push(id);
        // Nothing is in flight now, so nothing can be in doubt.
        proxy.refuse().await;
        proxy.end_all(End::Close);
        ids.push(assert_down(&gateway, &place, "").await);
        proxy.accept_again().await;
    }
    assert_all_went_out_once(&gateway, &place, &ids).await;
}

#[tokio::test]
async fn one_good_address_among_dead_and_silent_ones_is_enough() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    // It accepts connections by its backlog and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().map(|address| (silent, address));
    let (_listener, silent) = silent.expect("it is bound");
    let dead = process::free_port();
    let urls = format!(
        "amqp://guest:guest@127.0.0.1:{dead}/%2f,amqp://guest:guest@{silent}/%2f,{}",
        node.url()
    );
    let settings = [
        ("AMQPOST_CONNECT_TIMEOUT_SECONDS", "3"),
        ("AMQPOST_LOG_FILTER", "amqpost=debug"),
    ];
    let gateway = gateway(&urls, &settings).await;
    let wait = [("prefer", "wait=30")];
    let answer = gateway.post_with(&message(&place, "found"), &wait).await;
    assert_confirmed(&answer);
    broker_is_up(&gateway).await;
    // Asking about exchanges has found the good address too.
    let log = gateway.log();
    assert!(!log.contains("cannot ask"), "{log}");
}

#[tokio::test]
async fn a_port_that_says_nothing_is_left_after_the_time_for_connecting() {
    let node = node().await;
    let proxy = proxy(&node).await;
    proxy.silent_after(Direction::ToClient, 0);
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let settings = [("AMQPOST_CONNECT_TIMEOUT_SECONDS", "1")];
    let gateway = gateway(&proxy.amqp_url(), &settings).await;
    let mut ids = vec![assert_down(&gateway, &place, "handshake in time").await];
    wait::until("it is tried again", SOON, || async {
        (proxy.accepted() > 8).then_some(())
    })
    .await;
    ids.extend(post_some(&gateway, &place, 20).await);
    proxy.heal();
    assert_all_went_out_once(&gateway, &place, &ids).await;
}

/// The pauses between tries grow: a port that refuses is not hammered.
#[tokio::test]
async fn a_broker_that_hangs_up_is_tried_again_with_growing_pauses() {
    let node = node().await;
    let proxy = proxy(&node).await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    proxy.end_after(Direction::ToServer, 1, End::Close);
    let gateway = gateway(&proxy.amqp_url(), &[("AMQPOST_LANES", "1")]).await;
    let period = Duration::from_secs(4);
    let until = tokio::time::Instant::now() + period;
    let before = proxy.accepted();
    while tokio::time::Instant::now() < until {
        proxy.end_after(Direction::ToServer, 1, End::Close);
        tokio::time::sleep(wait::LOOK_EVERY).await;
    }
    let tries = proxy.accepted() - before;
    assert!(tries <= 10, "{tries} connections in {period:?}");
    proxy.heal();
    let id = post_some(&gateway, &place, 1).await;
    assert_all_went_out_once(&gateway, &place, &id).await;
}

/// Names under `.invalid` lead nowhere for ever (RFC 2606).
#[tokio::test]
async fn a_name_that_leads_nowhere_is_told_of_and_does_no_harm_beside_a_good_one() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let nowhere = "amqp://guest:guest@no-such-broker.invalid:5672/%2f";
    let alone = gateway(nowhere, &[]).await;
    assert_down(&alone, &place, "lookup").await;
    let ready = alone.get_path("/readyz").await;
    assert!(!ready.text.contains("no-such-broker"), "{}", ready.text);
    let told = || alone.log().contains("lookup");
    assert!(wait::blocking_until(SOON, told), "{}", alone.log());

    let both = gateway(&format!("{nowhere},{}", node.url()), &[]).await;
    let ids = post_some(&both, &place, 20).await;
    assert_all_went_out_once(&both, &place, &ids).await;
    broker_is_up(&both).await;
}
