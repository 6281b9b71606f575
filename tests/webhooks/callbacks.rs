//! The `callback_url` of single messages.

use std::time::Duration;

use serde_json::json;

use super::receiver::{Receiver, now_seconds};
use super::support::broker_node::shared_broker_url;
use super::support::callers::{self, message};
use super::support::gateway::Answer;
use super::support::process;
use super::support::queues::{Kind, Place};
use super::support::wait::{self, SOON};
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
    // It was taken, and the store knows: nothing more comes.
    let known = |told: &Answer| {
        told.text
            .contains("\namqpost_webhook_deliveries_waiting 0\n")
    };
    gateway.wait_for("/metrics", known).await;
    gateway.restart().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receiver.got().len(), 2);
}

/// Alice with these secrets in her table. Her hash: `printf alices-key-0123456789 | sha256sum`
fn alice(secrets: &[&str]) -> String {
    format!(
        "[callers.alice]\nkeys = [\"sha256:6d6c1651432ee7fad77543199832067ab0e10fa617134e5cdce726427ff3e26f\"]\n\
         webhook_secrets = {secrets:?}\n"
    )
}

#[tokio::test]
async fn the_secrets_of_a_callers_table_sign_and_are_exchanged_while_it_runs() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let file = folder.path().join("amqpost.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("the folder is ours");
    let next = "whsec_OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg=";
    write(&alice(&[]));
    let path = file.display().to_string();
    let settings = [
        ("AMQPOST_CONFIG", &*path),
        ("AMQPOST_WEBHOOK_ALLOW", "127.0.0.0/8"),
    ];
    let gateway = callers::gateway(&shared_broker_url(), &settings).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let receiver = Receiver::start(&[]).await;
    let mut one = message(&place, "x");
    one["callback_url"] = json!(receiver.url());
    let key = [("authorization", "Bearer alices-key-0123456789")];
    let without = gateway.post_with(&one, &key).await;
    assert_eq!(without.status, 422, "{}", without.text);

    // The file may be read more than once, so /readyz does not say which secrets are in force. Until the new
    // ones are it is those before; at first there are none, and a callback is refused.
    let mut before = None;
    for (secrets, signed) in [
        (&[SECRET][..], (1, 0)),
        (&[SECRET, next], (1, 1)),
        (&[next], (0, 1)),
    ] {
        write(&alice(secrets));
        process::signal("HUP", &gateway.pid().to_string());
        wait::until("the new secrets sign", SOON, || async {
            let answer = gateway.post_with(&one, &key).await;
            let seen = if answer.status == 422 {
                None
            } else {
                assert_eq!(answer.status, 202, "{}", answer.text);
                let got = receiver.wait_for_id(&format!("{}-2", answer.id())).await;
                Some((got.signed_by(SECRET), got.signed_by(next)))
            };
            assert!(seen == before || seen == Some(signed), "{seen:?}");
            (seen == Some(signed)).then_some(())
        })
        .await;
        before = Some(signed);
    }
    assert!(!gateway.log().contains("whsec_"), "{}", gateway.log());
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
