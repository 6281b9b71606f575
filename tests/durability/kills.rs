//! kill -9 at random moments under load: whatever was answered with 202 is there afterwards.
//!
//! A few rounds always, 50 with `AMQPOST_TEST_FULL=1`. The moments come from a seed that is printed.

#![expect(
    clippy::print_stderr,
    reason = "a failing round is repeated by its seed"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use super::support::broker_node::shared_broker_url;
use super::support::callers::gateway;
use super::support::gateway::Gateway;
use super::support::queues::{Arrived, Kind, Place};
use super::support::{process, wait};

const CALLERS: usize = 8;

/// A message that was answered with 202.
struct Accepted {
    id: String,
    routing_key: String,
    routable: bool,
}

/// Posts until the gateway is gone; every third message has nowhere to go.
async fn call(gateway: Arc<Gateway>, place: Arc<Place>, caller: usize) -> Vec<Accepted> {
    let mut accepted = Vec::new();
    for number in 0.. {
        let routable = number % 3 != 0;
        let routing_key = format!("{}.{caller}", if routable { "key" } else { "nowhere" });
        let message = json!({
            "exchange": place.exchange, "routing_key": routing_key, "payload": number.to_string(),
        });
        let headers = [
            ("content-type", "application/json"),
            ("prefer", "return=minimal"),
        ];
        let posted = gateway
            .try_request(
                reqwest::Method::POST,
                "/v1/messages",
                &headers,
                message.to_string(),
            )
            .await;
        match posted {
            Ok(answer) if answer.status == 202 => {
                accepted.push(Accepted {
                    id: answer.id(),
                    routing_key,
                    routable,
                });
            }
            _ => break,
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_answered_with_202_survives_kill_9_at_any_moment() {
    let rounds: u32 = if std::env::var_os("AMQPOST_TEST_FULL").is_some() {
        50
    } else {
        4
    };
    let seed = amqpost::chance::bits();
    eprintln!("seed {seed}");
    let place = Arc::new(Place::declare(&shared_broker_url(), Kind::Quorum).await);
    for caller in 0..CALLERS {
        place.bind(&format!("key.{caller}")).await;
    }
    let mut gateway = gateway(&shared_broker_url(), &[]).await;
    let mut all: Vec<Accepted> = Vec::new();
    for round in 0..rounds {
        let shared = Arc::new(gateway);
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            callers.spawn(call(Arc::clone(&shared), Arc::clone(&place), caller));
        }
        let moment = seed.rotate_left(7 * round) % 400;
        tokio::time::sleep(Duration::from_millis(20 + moment)).await;
        process::signal("KILL", &shared.pid().to_string());
        let accepted: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
        assert!(
            !accepted.is_empty(),
            "round {round}: nothing was accepted before the kill"
        );
        all.extend(accepted);
        gateway = Arc::into_inner(shared).expect("the callers are done");
        gateway.restart().await;
    }
    nothing_is_pending(&gateway).await;

    let mut copies: HashMap<String, Vec<Arrived>> = HashMap::new();
    for one in place.take_all().await {
        copies
            .entry(one.amqpost_id().expect("an id"))
            .or_default()
            .push(one);
    }
    for accepted in &all {
        let Accepted {
            id,
            routing_key,
            routable,
        } = accepted;
        let last = gateway.get(id).await;
        let status = last.json["status"].as_str().unwrap_or_default();
        assert_eq!(
            status,
            if *routable { "confirmed" } else { "returned" },
            "{}",
            last.text
        );
        let arrived = copies.remove(id).unwrap_or_default();
        assert_eq!(!arrived.is_empty(), *routable, "{id} of {routing_key}");
        if arrived.len() > 1 {
            assert_eq!(last.json["duplicate_possible"], true, "{}", last.text);
            assert!(arrived[1..].iter().all(Arrived::duplicate_possible), "{id}");
        }
    }
    // What is left was committed, and its answer did not get out before the kill.
    let unanswered_max = CALLERS * usize::try_from(rounds).expect("few rounds");
    assert!(copies.len() <= unanswered_max, "{} unknown", copies.len());
}

async fn nothing_is_pending(gateway: &Gateway) {
    wait::until("nothing is pending", Duration::from_mins(1), || async {
        let ready = gateway.get_path("/readyz").await;
        (ready.json["store"]["pending_messages"] == 0).then_some(())
    })
    .await;
}
