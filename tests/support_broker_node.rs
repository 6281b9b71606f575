//! The private broker nodes of the other tests do what these tests rely on.

#![allow(clippy::disallowed_methods, reason = "tests own their clocks")]

mod support;

use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use support::broker_node::PrivateNode;
use support::queues::{self, Kind, Place};
use support::{process, wait};

async fn confirm_channel(connection: &lapin::Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel opens");
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .expect("confirms are known");
    channel
}

async fn publish(channel: &Channel, place: &Place, payload: &[u8]) -> lapin::PublisherConfirm {
    channel
        .basic_publish(
            place.exchange.as_str().into(),
            place.routing_key.as_str().into(),
            BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            },
            payload,
            BasicProperties::default().with_delivery_mode(2),
        )
        .await
        .expect("a message can be published")
}

#[tokio::test]
async fn a_killed_node_comes_back_with_its_messages_and_leaves_nothing_behind() {
    let started = Instant::now();
    let mut node = PrivateNode::start().await;
    report("start", started);
    let mut place = Place::declare(&node.url(), Kind::Quorum).await;
    node.settle_declarations().await;
    let connection = queues::connect(&node.url()).await;
    let channel = confirm_channel(&connection).await;
    let confirm = publish(&channel, &place, b"kept").await;
    assert_eq!(confirm.await, Ok(Confirmation::Ack(None)));

    node.kill_9();
    let started = Instant::now();
    node.restart().await;
    report("restart", started);
    place.reconnect().await;
    let arrived = place.take(1).await;
    assert_eq!(arrived[0].payload, b"kept");
    assert_eq!(arrived[0].exchange, place.exchange);
    assert!(place.take_all().await.is_empty());

    drop(place);
    let beam = node.beam_pid();
    assert!(process::is_alive(beam));
    drop(node);
    assert!(!process::is_alive(beam));
}

#[tokio::test]
async fn expressions_are_evaluated_in_the_node() {
    let node = PrivateNode::shared().await;
    let started = Instant::now();
    assert_eq!(node.eval("1 + 1").await, "2");
    report("eval", started);
    let name = node.eval("node()").await;
    assert!(name.starts_with("amqpost_"), "{name}");
    let started = Instant::now();
    let status = node.ctl(&["eval", "node()."]).await;
    report("rabbitmqctl", started);
    assert_eq!(status, name);
}

#[tokio::test]
async fn a_node_can_be_starved_stopped_frozen_and_rid_of_its_clients() {
    let mut node = PrivateNode::start().await;

    node.set_alarm().await;
    let alarms = node.eval("rabbit_alarm:get_alarms()").await;
    assert!(alarms.contains("memory"), "{alarms}");
    node.clear_alarm().await;
    assert_eq!(node.eval("rabbit_alarm:get_alarms()").await, "[]");

    let connection = queues::connect(&node.url()).await;
    // A client may know that it is connected before the broker counts it among its connections.
    wait::until("the client is thrown out", wait::SOON, || async {
        node.close_all_connections().await;
        (!connection.status().connected()).then_some(())
    })
    .await;

    node.suspend();
    let frozen = queues::try_connect(&node.url(), Duration::from_millis(300)).await;
    assert!(frozen.is_err());
    node.resume();
    queues::connect(&node.url()).await;

    let started = Instant::now();
    node.stop_app().await;
    report("stop_app", started);
    assert!(
        queues::try_connect(&node.url(), wait::SOON).await.is_err(),
        "a stopped broker takes no connections"
    );
    let started = Instant::now();
    node.start_app().await;
    report("start_app", started);
    queues::connect(&node.url()).await;
}

#[tokio::test]
async fn a_suspended_queue_confirms_nothing_until_it_goes_on() {
    let node = PrivateNode::shared().await;
    for kind in [Kind::Classic, Kind::Quorum] {
        let place = Place::declare(&node.url(), kind).await;
        let connection = queues::connect(&node.url()).await;
        let channel = confirm_channel(&connection).await;
        // A first message settles what a channel and a quorum queue have to settle between them.
        let first = publish(&channel, &place, b"first").await;
        assert_eq!(first.await, Ok(Confirmation::Ack(None)));
        node.suspend_queue(&place.queue).await;
        let mut confirm = publish(&channel, &place, b"waiting").await;
        let early = tokio::time::timeout(Duration::from_millis(300), &mut confirm).await;
        assert!(early.is_err(), "{kind:?}: {early:?}");
        node.resume_queue(&place.queue).await;
        let late = wait::within("the confirm", wait::SOON, confirm).await;
        assert_eq!(late, Ok(Confirmation::Ack(None)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_queue_without_room_nacks_and_one_that_dies_nacks_what_it_had_not_confirmed() {
    let node = PrivateNode::shared().await;
    let connection = queues::connect(&node.url()).await;

    let full = Place::declare_nacking(&node.url()).await;
    let channel = confirm_channel(&connection).await;
    let confirm = publish(&channel, &full, b"refused").await;
    assert_eq!(confirm.await, Ok(Confirmation::Nack(None)));

    let dying = Place::declare(&node.url(), Kind::Classic).await;
    node.suspend_queue(&dying.queue).await;
    let confirm = publish(&channel, &dying, b"lost").await;
    wait::until("the message is on its way", wait::SOON, || async {
        let unconfirmed = node.ctl(&["list_channels", "messages_unconfirmed"]).await;
        unconfirmed.lines().any(|line| line == "1").then_some(())
    })
    .await;
    node.kill_queue(&dying.queue).await;
    let nacked = wait::within("the nack", wait::SOON, confirm).await;
    assert_eq!(nacked, Ok(Confirmation::Nack(None)));
}

#[tokio::test]
async fn messages_are_taken_in_order_and_what_was_declared_is_deleted() {
    let node = PrivateNode::shared().await;
    for kind in [Kind::Classic, Kind::Quorum] {
        let place = Place::declare(&node.url(), kind).await;
        let connection = queues::connect(&node.url()).await;
        let channel = confirm_channel(&connection).await;
        let mut confirms = Vec::new();
        for number in 0..1500_u32 {
            confirms.push(publish(&channel, &place, &number.to_be_bytes()).await);
        }
        for confirm in confirms {
            assert_eq!(confirm.await, Ok(Confirmation::Ack(None)));
        }
        let mut arrived = place.take(1100).await;
        assert_eq!(arrived.len(), 1100);
        arrived.extend(place.take_all().await);
        let numbers: Vec<_> = arrived.iter().map(|one| one.payload.clone()).collect();
        let expected: Vec<_> = (0..1500_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        assert!(numbers == expected, "{kind:?}: {} arrived", numbers.len());
        assert!(arrived.iter().all(|one| !one.redelivered), "{kind:?}");
        assert_eq!(arrived[7].properties.delivery_mode(), &Some(2));

        let queue = place.queue.clone();
        let find =
            format!(r#"rabbit_amqqueue:exists(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>))"#);
        assert_eq!(node.eval(&find).await, "true");
        drop(place);
        assert_eq!(node.eval(&find).await, "false");
    }
}

#[expect(
    clippy::print_stderr,
    reason = "figures for whoever asks with --nocapture"
)]
fn report(what: &str, since: Instant) {
    eprintln!("{what}: {:?}", since.elapsed());
}
