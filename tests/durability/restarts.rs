//! What is pending goes out after a restart, in order, and is flagged exactly when it may have been
//! handed over before.

use super::proxy;
use super::support::broker_node::{PrivateNode, shared_broker_url};
use super::support::callers::{
    PATIENT, assert_all_went_out_once, assert_confirmed, broker_is_up, gateway, post_some,
};
use super::support::gateway::Gateway;
use super::support::queues::{Arrived, Kind, Place};
use super::support::wait::{self, SOON};

#[tokio::test]
async fn what_was_accepted_while_the_broker_was_away_survives_kill_9_unflagged_and_in_order() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut network = proxy().await;
    network.refuse().await;
    let mut gateway = gateway(&network.amqp_url(), &[]).await;
    let mut ids = post_some(&gateway, &place, 50).await;
    gateway.kill_9();
    gateway.restart().await;
    ids.extend(post_some(&gateway, &place, 50).await);
    assert!(ids.is_sorted(), "ids grow over the restart");
    network.accept_again().await;
    assert_all_went_out_once(&gateway, &place, &ids).await;
}

#[tokio::test]
async fn a_stop_leaves_what_waits_for_the_broker_stored_and_unflagged() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut network = proxy().await;
    network.refuse().await;
    let mut gateway = gateway(&network.amqp_url(), &[]).await;
    let ids = post_some(&gateway, &place, 20).await;
    assert!(gateway.terminate().success());
    gateway.restart().await;
    network.accept_again().await;
    assert_all_went_out_once(&gateway, &place, &ids).await;
}

#[tokio::test]
async fn what_was_in_flight_when_the_gateway_was_killed_goes_out_again_flagged() {
    let node = PrivateNode::start().await;
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let mut gateway = gateway(&node.url(), &[PATIENT]).await;
    broker_is_up(&gateway).await;
    node.suspend_queue(&place.queue).await;
    let ids = post_some(&gateway, &place, 5).await;
    for id in &ids {
        in_flight(&gateway, id).await;
    }
    // What was handed over may still be in the gateway's sockets, and would be gone with it.
    wait::until("the broker has them all", SOON, || async {
        let unconfirmed = node.ctl(&["list_channels", "messages_unconfirmed"]).await;
        unconfirmed.lines().any(|line| line == "5").then_some(())
    })
    .await;
    gateway.kill_9();
    node.resume_queue(&place.queue).await;
    gateway.restart().await;
    for id in &ids {
        let last = gateway.wait_final(id).await;
        assert_eq!(last.json["status"], "confirmed", "{}", last.text);
        assert_eq!(last.json["duplicate_possible"], true, "{}", last.text);
    }
    let arrived = place.take_all().await;
    for id in &ids {
        let copies = arrived
            .iter()
            .filter(|one| one.amqpost_id().as_ref() == Some(id));
        let flags: Vec<_> = copies.map(Arrived::duplicate_possible).collect();
        assert_eq!(flags, [false, true], "{id}");
    }
}

#[tokio::test]
async fn a_doubt_is_remembered_over_a_clean_stop_and_others_are_not_doubted() {
    let node = PrivateNode::start().await;
    let stuck = Place::declare(&node.url(), Kind::Classic).await;
    let mut gateway = gateway(&node.url(), &[("AMQPOST_SHUTDOWN_GRACE_SECONDS", "1")]).await;
    broker_is_up(&gateway).await;
    node.suspend_queue(&stuck.queue).await;
    let doubtful = post_some(&gateway, &stuck, 1).await.remove(0);
    in_flight(&gateway, &doubtful).await;
    assert!(gateway.terminate().success());
    node.resume_queue(&stuck.queue).await;
    gateway.restart().await;
    let last = gateway.wait_final(&doubtful).await;
    assert_eq!(last.json["duplicate_possible"], true, "{}", last.text);
    let ids = post_some(&gateway, &stuck, 1).await;
    assert_confirmed(&gateway.wait_final(&ids[0]).await);
}

#[tokio::test]
async fn final_statuses_survive_kill_9() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut gateway = gateway(&shared_broker_url(), &[]).await;
    let confirmed = post_some(&gateway, &place, 1).await.remove(0);
    let nowhere =
        serde_json::json!({"exchange": place.exchange, "routing_key": "nowhere", "payload": 1});
    let returned = gateway.post(&nowhere).await.id();
    let before = [
        gateway.wait_final(&confirmed).await,
        gateway.wait_final(&returned).await,
    ];
    gateway.kill_9();
    gateway.restart().await;
    let after = [gateway.get(&confirmed).await, gateway.get(&returned).await];
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.json, after.json);
    }
    assert_eq!(after[1].json["reason"]["reply_code"], 312);
    assert_eq!(place.take_all().await.len(), 1);
}

#[tokio::test]
async fn a_second_gateway_on_the_same_file_ends_with_a_clear_message() {
    let first = gateway(&shared_broker_url(), &[]).await;
    let file = first.directory().join("amqpost-data/amqpost.db");
    let url = format!("sqlite:{}", file.display());
    let (status, log) = Gateway::start_in_vain([("AMQPOST_STORE_URL", url)]);
    assert!(!status.success());
    assert!(log.contains("another gateway is using"), "{log}");
    assert_eq!(first.get_path("/readyz").await.status, 200);
}

/// Waits until the message was handed over and nothing was heard of it.
async fn in_flight(gateway: &Gateway, id: &str) {
    gateway
        .wait_for(&format!("/v1/messages/{id}"), |answer| {
            answer.json["attempts"] == 1 && answer.json["status"] == "pending"
        })
        .await;
}
