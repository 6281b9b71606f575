//! The `callback_url` of single messages.

use std::time::Duration;

use serde_json::json;

use super::receiver::{Receiver, now_seconds};
use super::support::broker_node::shared_broker_url;
use super::support::callers::{self, message};
use super::support::queues::{Kind, Place};
use super::{SECRET, gateway};

#[tokio::test]
async fn each_outcome_of_a_message_is_told_once_signed_and_as_it_was() {
    let gateway = gateway().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let receiver = Receiver::start(&[]).await;
    let mut good = message(&place, "good");
    good["callback_url"] = json!(receiver.url());
    let mut lost = good.clone();
    lost["routing_key"] = json!("later");
    let (good, lost) = (
        gateway.post(&good).await.id(),
        gateway.post(&lost).await.id(),
    );
    let returned = gateway.wait_final(&lost).await;
    receiver.wait_for(2).await;
    place.bind("later").await;
    let path = format!("/v1/messages/{lost}/replay");
    let replayed = gateway.request(reqwest::Method::POST, &path, &[], "").await;
    assert_eq!(replayed.status, 202, "{}", replayed.text);
    let confirmed = gateway.wait_final(&lost).await;

    let got = receiver.wait_for(3).await;
    let expected = [
        (
            good.clone(),
            2,
            "message.confirmed",
            gateway.get(&good).await.json,
        ),
        (lost.clone(), 2, "message.returned", returned.json),
        (lost.clone(), 4, "message.confirmed", confirmed.json),
    ];
    for (id, revision, event, resource) in expected {
        let webhook_id = format!("{id}-{revision}");
        let theirs: Vec<_> = got.iter().filter(|one| one.id == webhook_id).collect();
        assert_eq!(theirs.len(), 1, "{webhook_id}: {got:?}");
        let one = theirs[0];
        assert_eq!(one.signed_by(SECRET), 1, "{one:?}");
        assert_eq!(one.json["type"], event);
        assert_eq!(one.json["timestamp"], resource["settled_at"]);
        assert_eq!(one.json["data"], resource);
        let timestamp: u64 = one.timestamp.parse().expect("seconds");
        assert!(timestamp.abs_diff(now_seconds()) < 60, "{timestamp}");
    }
}

#[tokio::test]
async fn a_callback_that_fails_is_tried_again_over_kill_9_with_the_same_id() {
    let mut gateway = gateway().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let receiver = Receiver::start(&[302]).await;
    let mut one = message(&place, "x");
    one["callback_url"] = json!(receiver.url());
    let id = gateway.post(&one).await.id();
    callers::assert_confirmed(&gateway.wait_final(&id).await);
    receiver.wait_for(1).await;
    gateway.restart().await;
    let got = receiver.wait_for(2).await;
    assert!(got.iter().all(|one| one.id == format!("{id}-2")), "{got:?}");
    assert!(got.iter().all(|one| one.body == got[0].body));
    assert!(got.iter().all(|one| one.signed_by(SECRET) == 1));
    let last = got.iter().map(|one| one.answered).collect::<Vec<_>>();
    assert_eq!(last, [302, 204]);
    // It was taken: nothing more comes.
    gateway.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.got().len(), 2);
}

#[tokio::test]
async fn where_a_callback_may_not_go_and_who_may_name_none_is_refused() {
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut one = message(&place, "x");
    let settings = [("AMQPOST_WEBHOOK_SECRETS", SECRET)];
    for (settings, url) in [
        (&settings[..], "http://127.0.0.1:9/"),
        (&settings, "http://169.254.169.254/latest/meta-data/"),
        (&settings, "http://[::ffff:10.0.0.1]/"),
        (&settings, "http://2130706433/"),
        (&settings, "ftp://example.org/"),
        (&settings, "https://user@example.org/"),
        (&[], "https://example.org/"),
    ] {
        let gateway = callers::gateway(&shared_broker_url(), settings).await;
        one["callback_url"] = json!(url);
        let refused = gateway.post(&one).await;
        assert_eq!(refused.status, 422, "{url}: {}", refused.text);
        assert_eq!(refused.json["errors"][0]["pointer"], "/callback_url");
    }
    assert_eq!(place.ready().await, 0);
}

#[tokio::test]
async fn the_trace_of_a_request_goes_with_the_webhook_about_its_message() {
    let gateway = gateway().await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let receiver = Receiver::start(&[]).await;
    let mut good = message(&place, "good");
    good["callback_url"] = json!(receiver.url());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    gateway.post_with(&good, &[("traceparent", parent)]).await;
    gateway.post(&good).await;
    let got = receiver.wait_for(2).await;
    let mut parents: Vec<_> = got.iter().map(|one| one.traceparent.as_str()).collect();
    parents.sort_unstable();
    assert_eq!(parents, ["", parent]);
}
