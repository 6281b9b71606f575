//! A flood of wrong keys slows nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::support::broker_node::shared_broker_url;
use super::support::gateway::Gateway;
use super::support::queues::{Kind, Place};
use super::{ALICE, ALONE, File, alice_and_bob, gateway, post};

/// Requests with a wrong key, a second.
const WRONG_PER_SECOND: u64 = 1000;
/// Connections that they come over, all from one address.
const CONNECTIONS: u64 = 10;
/// Good requests that are measured with and without them.
const GOOD: usize = 300;

struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Flood {
    fn start(gateway: &Arc<Gateway>) -> Self {
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (gateway, stop, sent) = (Arc::clone(gateway), Arc::clone(&stop), Arc::clone(&sent));
            clients.spawn(async move {
                let between = Duration::from_micros(1_000_000 * CONNECTIONS / WRONG_PER_SECOND);
                let mut next = interval(between);
                next.set_missed_tick_behavior(MissedTickBehavior::Burst);
                while !stop.load(Ordering::SeqCst) {
                    next.tick().await;
                    let key = format!(
                        "Bearer wrong-key-{:032}",
                        sent.fetch_add(1, Ordering::SeqCst)
                    );
                    let headers = [("authorization", key.as_str())];
                    let answer = gateway
                        .request(Method::GET, "/v1/stats", &headers, "")
                        .await;
                    assert_eq!(answer.status, 401, "{}", answer.text);
                    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                }
            });
        }
        Self {
            stop,
            sent,
            clients,
        }
    }

    /// Ends it, and tells how many were sent.
    async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("every one was refused");
        }
        self.sent.load(Ordering::SeqCst)
    }
}

/// The median time of good requests, every one of which is accepted.
async fn median(gateway: &Gateway, place: &Place) -> Duration {
    let message =
        json!({"exchange": place.exchange, "routing_key": place.routing_key, "payload": "x"});
    let mut times = Vec::new();
    for _ in 0..GOOD {
        let start = Instant::now();
        let answer = post(gateway, ALICE, "/v1/messages", &message).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        times.push(start.elapsed());
    }
    times.sort();
    times[GOOD / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_wrong_keys_a_second_slow_nobody_else() {
    let _alone = ALONE.lock().await;
    let file = File::new(&alice_and_bob(""));
    let gateway = Arc::new(gateway(&file).await);
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    median(&gateway, &place).await;
    let before = median(&gateway, &place).await;
    let (start, flood) = (Instant::now(), Flood::start(&gateway));
    let during = median(&gateway, &place).await;
    let (sent, took) = (flood.end().await, start.elapsed());
    // The machine of the test also carries those who send them. A gateway that paid for wrong keys as for
    // passwords (tenths of a second of CPU each) or kept others waiting would be far beyond this.
    assert!(
        during < before * 5 + Duration::from_millis(20),
        "{before:?}, then {during:?} beside {sent} wrong keys in {took:?}"
    );
    // Nor do they fill the log.
    let lines = gateway.log().matches("without a valid key").count();
    let lines_max = 2 + usize::try_from(took.as_secs() / 10).expect("a small number");
    assert!((1..=lines_max).contains(&lines), "{lines} lines for {sent}");
    assert!(!gateway.log().contains("wrong-key"));
}
