//! Another certificate while the gateway runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Client;
use tokio::task::JoinSet;

use super::https;
use super::support::authority::{Authority, Certificate};
use super::support::gateway::{Gateway, trusting};
use super::support::process;
use super::support::wait::{self, SOON};

/// Whether a new connection is shown a certificate that `client`'s authority has signed.
async fn gets_through(client: Client, gateway: &Gateway) -> bool {
    client
        .get(format!("{}/healthz", gateway.url()))
        .send()
        .await
        .is_ok()
}

fn client(authority: &Authority) -> Client {
    trusting(&authority.certificate())
        .build()
        .expect("a client")
}

async fn is_replaced(gateway: &Gateway, next: &Authority) {
    let asking = || async { gets_through(client(next), gateway).await.then_some(()) };
    wait::until("the next certificate is shown", SOON, asking).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_without_a_dropped_request() {
    let (old, next) = (Authority::create(), Authority::create());
    let used = old.issue("gateway");
    let gateway = https(&old, &used, &[]).await;
    let (done, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut load = JoinSet::new();
    for number in 0..8 {
        let trusting = trusting(&old.certificate());
        let client = if number % 2 == 0 {
            trusting.http1_only()
        } else {
            trusting
        };
        let client = client.build().expect("a client");
        let url = format!("{}/v1/stats", gateway.url());
        let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
        load.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let answer = client.get(&url).send().await.expect("an answer");
                assert_eq!(answer.status(), 200);
                answer.bytes().await.expect("all of it");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let more = |than: usize| {
        let answered = Arc::clone(&answered);
        async move {
            let answering = || async { (answered.load(Ordering::Relaxed) > than).then_some(()) };
            wait::until("more answers", SOON, answering).await;
        }
    };
    more(100).await;
    next.issue("gateway").replace(&used);
    is_replaced(&gateway, &next).await;
    assert!(
        !gets_through(client(&old), &gateway).await,
        "new connections see the new one"
    );
    // Those that are open go on.
    more(answered.load(Ordering::Relaxed) + 100).await;
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("no request was dropped");
    }
}

#[tokio::test]
async fn a_signal_is_enough() {
    let (old, next) = (Authority::create(), Authority::create());
    let used = old.issue("gateway");
    let gateway = https(&old, &used, &[]).await;
    next.issue("gateway").replace(&used);
    process::signal("HUP", &gateway.pid().to_string());
    is_replaced(&gateway, &next).await;
    let told = || gateway.log().contains("has a new certificate");
    assert!(wait::blocking_until(SOON, told), "{}", gateway.log());
}

#[tokio::test]
async fn a_mistake_keeps_the_old_certificate_and_says_so() {
    let (old, next) = (Authority::create(), Authority::create());
    let used = old.issue("gateway");
    let gateway = https(&old, &used, &[]).await;
    let other_key = Certificate {
        cert: next.issue("other").cert,
        key: next.issue("key").key,
    };
    for (wrong, words) in [
        (other_key, "is not the key of the certificate"),
        (next.issue_expired("expired"), "has expired at"),
    ] {
        wrong.replace(&used);
        process::signal("HUP", &gateway.pid().to_string());
        let told = || async {
            let log = gateway.log();
            let is_told = log.contains("keeps its old certificate") && log.contains(words);
            is_told.then_some(())
        };
        wait::until("the mistake is told", SOON, told).await;
        assert!(
            gets_through(client(&old), &gateway).await,
            "the old one is used"
        );
    }
    next.issue("good").replace(&used);
    is_replaced(&gateway, &next).await;
}
