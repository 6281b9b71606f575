//! SIGTERM: nothing more is accepted, what is in flight is settled, and the end is a success.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::support::callers::PATIENT;
use super::support::gateway::Gateway;
use super::support::process;
use super::support::queues::{Arrived, Kind, Place};
use super::support::wait::{self, SOON};
use super::{gateway, message, node, post_some, proxy};

async fn refuses_connections(gateway: &Gateway) -> bool {
    let url = gateway.url();
    let address = url.trim_start_matches("http://");
    match TcpStream::connect(address).await {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

#[tokio::test]
async fn a_stop_settles_everything_that_was_accepted() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Quorum).await;
    let mut gateway = gateway(&node.url(), &[PATIENT]).await;
    node.suspend_queue(&place.queue).await;
    let ids = post_some(&gateway, &place, 300).await;
    // What was not handed over by then stays in the store.
    let last = format!("/v1/messages/{}", ids[299]);
    gateway
        .wait_for(&last, |told| told.json["attempts"] == 1)
        .await;
    process::signal("TERM", &gateway.pid().to_string());
    wait::until("no connection is taken", SOON, || async {
        refuses_connections(&gateway).await.then_some(())
    })
    .await;
    node.resume_queue(&place.queue).await;
    assert!(gateway.wait_end().success());
    let arrived = place.take_all().await;
    let order: Vec<_> = arrived.iter().filter_map(Arrived::amqpost_id).collect();
    assert_eq!(order, ids);
    // Their ends are kept too: nothing goes out again.
    gateway.restart().await;
    for id in &ids {
        let told = gateway.get(id).await;
        assert_eq!(told.json["status"], "confirmed", "{}", told.text);
        assert_eq!(told.json["duplicate_possible"], false, "{}", told.text);
    }
}

#[tokio::test]
async fn a_stopping_gateway_refuses_connections_answers_those_who_wait_and_settles() {
    let node = node().await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let gateway = gateway(&node.url(), &[]).await;
    let first = post_some(&gateway, &place, 1).await;
    gateway.wait_final(&first[0]).await;
    node.suspend_queue(&place.queue).await;

    // One in flight, and somebody who waits for another, which need not be.
    let gateway = Arc::new(gateway);
    let id = gateway.post(&message(&place, "in flight")).await.id();
    gateway
        .wait_for(&format!("/v1/messages/{id}"), |answer| {
            answer.json["attempts"] == 1
        })
        .await;
    let waiting = tokio::spawn({
        let (gateway, message) = (Arc::clone(&gateway), message(&place, "awaited"));
        async move { gateway.post_with(&message, &[("prefer", "wait=60")]).await }
    });
    gateway
        .wait_for("/readyz", |answer| {
            answer.json["store"]["pending_messages"] == 2
        })
        .await;
    let pid = gateway.pid();
    process::signal("TERM", &pid.to_string());
    let answer = wait::within("the waiting one is answered", SOON, waiting)
        .await
        .expect("the request does not panic");
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.json["status"], "pending");
    wait::until("no connection is taken", SOON, || async {
        refuses_connections(&gateway).await.then_some(())
    })
    .await;
    // Asking twice makes it no faster.
    process::signal("TERM", &pid.to_string());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(process::is_alive(pid), "what is in flight is not awaited");

    node.resume_queue(&place.queue).await;
    let mut gateway = Arc::into_inner(gateway).expect("nobody waits any more");
    assert!(gateway.wait_end().success());
    let arrived = place.take_all().await;
    let order: Vec<_> = arrived.iter().filter_map(Arrived::amqpost_id).collect();
    assert_eq!(order[..2], [first[0].clone(), id]);
}

#[tokio::test]
async fn a_stop_without_a_broker_ends_within_its_grace() {
    let node = node().await;
    let mut proxy = proxy(&node).await;
    proxy.refuse().await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let grace = ("AMQPOST_SHUTDOWN_GRACE_SECONDS", "1");
    let mut gateway = gateway(&proxy.amqp_url(), &[grace]).await;
    post_some(&gateway, &place, 5).await;
    assert!(gateway.terminate_within(SOON).success());
    assert!(gateway.log().contains("pending=5"), "{}", gateway.log());
}

#[tokio::test]
async fn an_idle_gateway_stops_at_once() {
    let node = node().await;
    let mut gateway = gateway(&node.url(), &[("AMQPOST_SHUTDOWN_GRACE_SECONDS", "60")]).await;
    assert!(gateway.terminate_within(SOON).success());
}
