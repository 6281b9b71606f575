//! HTTP/2 over TLS, as clients use it.

use std::time::Duration;

use reqwest::{Client, Response, Version};
use serde_json::Value;
use tokio::task::JoinSet;

use super::https;
use super::support::authority::Authority;
use super::support::broker_node::{PrivateNode, shared_broker_url};
use super::support::callers::message;
use super::support::gateway::{Gateway, trusting};
use super::support::queues::{Kind, Place};
use super::support::wait::{self, SOON};

fn client(authority: &Authority) -> Client {
    let client = trusting(&authority.certificate()).http2_prior_knowledge();
    client.build().expect("a client")
}

/// Reads until `end` has come, and gives everything until then.
async fn read_until(response: &mut Response, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let chunk = wait::within(end, SOON, response.chunk())
            .await
            .expect("no error");
        text.push_str(&String::from_utf8_lossy(
            &chunk.expect("the stream goes on"),
        ));
    }
    text
}

#[tokio::test]
async fn hundreds_wait_for_their_outcomes_while_events_are_streamed() {
    const WAITING: usize = 190;
    let authority = Authority::create();
    let gateway = https(&authority, &authority.issue("gateway"), &[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let client = client(&authority);
    let url = format!("{}/v1/messages", gateway.url());
    // One connection from the first answer on.
    let events = client
        .get(format!("{}/v1/events", gateway.url()))
        .send()
        .await;
    let mut events = events.expect("a stream");
    assert_eq!(events.version(), Version::HTTP_2);
    read_until(&mut events, "id: ").await;
    let mut posting = JoinSet::new();
    for number in 0..WAITING {
        let request = client
            .post(&url)
            .header("prefer", "wait=30")
            .json(&message(&place, &number.to_string()));
        posting.spawn(async move {
            let answer = request.send().await.expect("an answer");
            let json: Value = answer.json().await.expect("JSON");
            assert_eq!(json["status"], "confirmed", "{json}");
            json["id"].as_str().expect("an id").to_owned()
        });
    }
    let mut ids = Vec::new();
    while let Some(id) = posting.join_next().await {
        ids.push(id.expect("no panic"));
    }
    let mut told = String::new();
    while !ids.iter().all(|id| told.contains(id)) {
        told.push_str(&read_until(&mut events, "\n\n").await);
    }
    assert_eq!(place.take_all().await.len(), WAITING);
}

#[tokio::test]
async fn a_stop_settles_what_is_in_flight_and_answers_it() {
    let node = PrivateNode::start().await;
    let authority = Authority::create();
    let place = Place::declare(&node.url(), Kind::Classic).await;
    let url = node.url();
    let certificate = authority.issue("gateway");
    let mut gateway = https(&authority, &certificate, &[("AMQPOST_BROKER_URL", &url)]).await;
    let client = client(&authority);
    node.suspend_queue(&place.queue).await;
    let request = client
        .post(format!("{}/v1/messages", gateway.url()))
        .header("prefer", "wait=60")
        .json(&message(&place, "in flight"));
    let mut posting = JoinSet::new();
    posting.spawn(async move { request.send().await.expect("an answer") });
    let is_pending = |gateway: &Gateway| {
        let url = format!("{}/v1/stats", gateway.url());
        let client = client.clone();
        async move {
            let stats: Value = client.get(url).send().await.ok()?.json().await.ok()?;
            (stats["counts"]["pending"] == 1).then_some(())
        }
    };
    wait::until("it is accepted", SOON, || is_pending(&gateway)).await;
    let status = gateway.terminate_within(Duration::from_mins(1));
    assert!(status.success(), "{}", gateway.log());
    let answer = posting
        .join_next()
        .await
        .expect("it was sent")
        .expect("no panic");
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.version(), Version::HTTP_2);
}
