//! Very many at once, who want nothing, or leave before they get it.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::neighbours::{OnlyAttack, beside};
use super::raw::connect;
use super::support::gateway::Answer;
use super::support::wait::{self, SOON};
use super::{POST, Target};

/// Connections of the attackers.
const CROWD: usize = 2000;
/// Connections that the gateway has at most.
const CONNECTIONS_MAX: usize = 500;

async fn come(target: &Target, said: &str) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut stream = connect(target.address).await;
        // Whoever had to give way by now has said enough.
        let _ = stream.write_all(said.as_bytes()).await;
        crowd.push(stream);
    }
    crowd
}

#[tokio::test]
async fn thousands_who_idle_keep_nobody_out() {
    let only = OnlyAttack::begin().await;
    let most = CONNECTIONS_MAX.to_string();
    let target = Arc::new(Target::start(&[("AMQPOST_CONNECTIONS_MAX", &most)]).await);
    let before = target.descriptors();
    let mut kib = Vec::new();
    // One says nothing at all, one half of a head, and one has had its answer.
    let asked = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for said in ["", &POST[..40], asked, ""] {
        let attack = async {
            let crowd = come(&target, said).await;
            // Those who come newly have to find room at once, and not when others have idled long enough.
            let start = Instant::now();
            for _ in 0..20 {
                let answer = target.gateway.request(
                    reqwest::Method::GET,
                    "/readyz",
                    &[("connection", "close")],
                    "",
                );
                let answer = wait::within("there is room", SOON, answer).await;
                assert_eq!(answer.status, 200);
            }
            eprintln!("20 new ones among {CROWD} idle ones: {:?}", start.elapsed());
            let open = target.descriptors();
            // One more is accepted and waits for its place.
            assert!(open <= before + CONNECTIONS_MAX + 32, "{open} descriptors");
            crowd
        };
        drop(beside(&only, &target, "an idle crowd", attack).await);
        target.forgets(before).await;
        kib.push(target.resident_kib());
    }
    // What was once needed at the same time is kept by the allocator, to be used again.
    let (first, last) = (kib[1], kib[3]);
    assert!(
        last <= first + first / 5,
        "from {first} KiB to {last} KiB: {kib:?}"
    );
}

#[tokio::test]
async fn nothing_is_left_of_those_who_leave() {
    let only = OnlyAttack::begin().await;
    let target = Arc::new(Target::start(&[]).await);
    let before = target.descriptors();
    let half = target.post("never whole", "");
    let half = &half[..half.len() - 5];
    let attack = async {
        for _ in 0..3 {
            drop(come(&target, half).await);
        }
        // Its time does not come, so they do wait.
        let body = r#"{"payload":"left","delay_ms":3600000}"#;
        let length = body.len();
        let late = format!("{POST}Prefer: wait=60\r\nContent-Length: {length}\r\n\r\n{body}");
        let crowd = come(&target, &late).await;
        // The good callers' messages are pending too, for a moment each, and not scheduled.
        let all = format!("\namqpost_scheduled_messages {CROWD}\n");
        let stored = || async {
            let told = target.gateway.get_path("/metrics").await;
            told.text.contains(&all).then_some(())
        };
        wait::until("all of theirs is accepted", SOON * 4, stored).await;
        drop(crowd);
    };
    beside(&only, &target, "leavers", attack).await;
    target.forgets(before).await;
    // What was whole was accepted although nobody waits any more; what was not was not.
    let theirs = |stats: &Answer| stats.json["counts"]["pending"] == CROWD;
    target.gateway.wait_for("/v1/stats", theirs).await;
    let kib = target.resident_kib();
    drop(beside(&only, &target, "leavers again", come(&target, half)).await);
    target.forgets(before).await;
    let later = target.resident_kib();
    assert!(later <= kib + kib / 5, "from {kib} KiB to {later} KiB");
}
