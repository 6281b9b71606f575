//! Keys and rights change while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::process;
use super::support::queues::{Kind, Place};
use super::support::wait::{self, SOON};
use super::{ALICE, ALONE, BOB, File, alice_and_bob, gateway, get, post, reload};

/// Clients that post one message after the other with Alice's key.
const CLIENTS: usize = 8;

struct Load {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    /// Every request must be accepted; a connection that breaks fails the test too.
    fn start(gateway: &Arc<Gateway>, place: &Place) -> Self {
        let (stop, accepted) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut clients = JoinSet::new();
        let message =
            json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": "x"});
        for _ in 0..CLIENTS {
            let (gateway, message) = (Arc::clone(gateway), message.clone());
            let (stop, accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
            clients.spawn(async move {
                let mut ids = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let answer = post(&gateway, ALICE, "/v1/messages", &message).await;
                    assert_eq!(answer.status, 202, "{}", answer.text);
                    ids.push(answer.id());
                    accepted.fetch_add(1, Ordering::SeqCst);
                }
                ids
            });
        }
        Self {
            stop,
            accepted,
            clients,
        }
    }

    /// Waits until every client has had answers since now.
    async fn goes_on(&self) {
        let from = self.accepted.load(Ordering::SeqCst);
        wait::until("requests go on", SOON, || async {
            let now = self.accepted.load(Ordering::SeqCst);
            (now >= from + 2 * CLIENTS).then_some(())
        })
        .await;
    }

    async fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        while let Some(ids) = self.clients.join_next().await {
            all.extend(ids.expect("every request was accepted"));
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_dropped_while_callers_change() {
    let _alone = ALONE.lock().await;
    let file = File::new(&alice_and_bob(""));
    let gateway = Arc::new(gateway(&file).await);
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let load = Load::start(&gateway, &place);
    load.goes_on().await;
    for round in 0..5 {
        // Bob comes and goes, and Alice's rights change in what she does not use.
        let acts = if round % 2 == 0 {
            "act = []"
        } else {
            "see = \"all\""
        };
        reload(&gateway, &file, &alice_and_bob(acts)).await;
        assert_eq!(get(&gateway, BOB, "/v1/stats").await.status, 200);
        load.goes_on().await;
        let (alone, _) = alice_and_bob(acts)
            .split_once("[callers.bob]")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .expect("bob");
        reload(&gateway, &file, &alone).await;
        assert_eq!(get(&gateway, BOB, "/v1/stats").await.status, 401);
        // A mistake comes between.
        file.write("[callers.alice]\nkeys = [\"x\"]\n");
        process::signal("HUP", &gateway.pid().to_string());
        let kept = |answer: &super::Answer| answer.json["callers"]["state"] == "kept";
        gateway.wait_for("/readyz", kept).await;
        load.goes_on().await;
    }
    let ids = load.end().await;
    for id in ids.iter().rev().take(20) {
        let path = format!("/v1/messages/{id}");
        wait::until("it is confirmed", SOON, || async {
            let told = get(&gateway, ALICE, &path).await;
            (told.json["status"] == "confirmed").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_that_has_changed_is_read_without_a_signal() {
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let stats = async |key| get(&gateway, key, "/v1/stats").await.status.as_u16();
    assert_eq!(stats(BOB).await, 200);
    let (alone, _) = alice_and_bob("")
        .split_once("[callers.bob]")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("bob");
    file.write(&alone);
    wait::until("Bob's key is nobody's", SOON, || async {
        (stats(BOB).await == 401).then_some(())
    })
    .await;
    assert_eq!(stats(ALICE).await, 200);
}

#[tokio::test]
async fn with_a_mistake_the_callers_stay_and_it_is_told() {
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let ready = gateway.get_path("/readyz").await.json["callers"].clone();
    assert_eq!(
        (&ready["state"], &ready["refused_at"]),
        (&json!("loaded"), &Value::Null)
    );
    let secret = "whsec_hidden";
    for (text, words) in [
        (
            "[callers.alice]\nkeys = [\"hidden-hidden-hidden\"]",
            "callers.alice.keys: entry 1",
        ),
        ("[callers.alice]\nkeys = [", ".toml:2: "),
        (
            &*format!("[callers.bob]\nwebhook_secrets = [\"{secret}\"]"),
            "callers.bob.webhook_secrets",
        ),
        // A file that was emptied, or is cut, opens the gateway to nobody.
        ("", "no caller is left"),
        ("allow_anonymous = true\n", "no caller is left"),
    ] {
        let before = gateway.get_path("/readyz").await.json["callers"]["refused_at"].clone();
        file.write(text);
        process::signal("HUP", &gateway.pid().to_string());
        let refused = |answer: &super::Answer| answer.json["callers"]["refused_at"] != before;
        let ready = gateway.wait_for("/readyz", refused).await;
        assert_eq!(ready.status, 200, "{}", ready.text);
        assert_eq!(ready.json["callers"]["state"], "kept");
        // The line comes after what /readyz says.
        let told = || gateway.log().contains(words);
        assert!(
            wait::blocking_until(SOON, told),
            "{words}: {}",
            gateway.log()
        );
        assert!(!gateway.log().contains("hidden"), "{}", gateway.log());
        for key in [ALICE, BOB] {
            assert_eq!(get(&gateway, key, "/v1/stats").await.status, 200);
        }
        // Nor is the door open to everybody.
        let nobody = get(&gateway, "nobodys-key-0123456789", "/v1/stats").await;
        assert_eq!(nobody.status, 401, "{}", nobody.text);
        assert_eq!(gateway.get_path("/v1/stats").await.status, 401);
    }
    reload(&gateway, &file, &alice_and_bob("act = []")).await;
    let ready = gateway.get_path("/readyz").await.json["callers"].clone();
    assert_eq!(
        (&ready["state"], &ready["refused_at"]),
        (&json!("loaded"), &Value::Null)
    );
}

#[tokio::test]
async fn other_options_wait_for_the_next_start_and_the_log_says_so() {
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let text = format!("lanes = 2\n{}", alice_and_bob("act = []"));
    reload(&gateway, &file, &text).await;
    let told = || gateway.log().contains("take effect at the next start");
    assert!(wait::blocking_until(SOON, told), "{}", gateway.log());
    let ready = gateway.get_path("/readyz").await;
    assert_eq!(ready.json["broker"]["lanes"], 4);
}

#[tokio::test]
async fn who_comes_without_a_key_is_let_in_by_a_start_only() {
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let text = format!("allow_anonymous = true\n{}", alice_and_bob("act = []"));
    reload(&gateway, &file, &text).await;
    let told = || gateway.log().contains("take effect at the next start");
    assert!(wait::blocking_until(SOON, told), "{}", gateway.log());
    assert_eq!(gateway.get_path("/v1/stats").await.status, 401);
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_key() {
    let file = File::new(&alice_and_bob(""));
    let gateway = gateway(&file).await;
    let open = async |key: &str| {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let request = client
            .get(format!("{}/v1/events", gateway.url()))
            .bearer_auth(key);
        request.send().await.expect("an answer")
    };
    let (mut alices, mut bobs) = (open(ALICE).await, open(BOB).await);
    for stream in [&mut alices, &mut bobs] {
        let opening = stream.chunk().await.expect("no error");
        assert!(opening.is_some_and(|bytes| bytes.starts_with(b"retry: ")));
    }
    let (alone, _) = alice_and_bob("")
        .split_once("[callers.bob]")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("bob");
    reload(&gateway, &file, &alone).await;
    let ended = wait::within("Bob's stream ends", SOON, bobs.chunk()).await;
    assert_eq!(ended.expect("it ends well"), None);
    // Alice's goes on: it tells of what is settled now.
    let message = json!({"exchange": "", "routing_key": "no such queue", "payload": "x"});
    let id = post(&gateway, ALICE, "/v1/messages", &message).await.id();
    let told = wait::within("Alice's goes on", SOON, alices.chunk()).await;
    let told = told.expect("no error").expect("an event");
    assert!(String::from_utf8_lossy(&told).contains(&id), "{told:?}");
    tokio::time::timeout(Duration::from_millis(1), alices.chunk())
        .await
        .expect_err("it goes on");
}
