//! Every status equals what the queue really contains, with many in flight, many keys and many
//! messages that no queue takes; and what arrives has kept its order.
//!
//! Some seconds of it always; 200 000 messages for each number of lanes with `AMQPOST_TEST_FULL=1`.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amqpost::domain::Status;
use support::broker_node::shared_broker_url;
use support::queues::{Arrived, Kind, Place};
use support::stack::{Shape, Stack, draft};

const CALLERS: usize = 16;
const KEYS: usize = 64;

fn messages() -> usize {
    if std::env::var_os("AMQPOST_TEST_FULL").is_some() {
        200_000
    } else {
        20_000
    }
}

/// A reproducible row of numbers; the seed is in the failure's message.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) >> 33).expect("31 bits") % below
    }
}

async fn every_status_is_what_the_queue_contains(lanes: usize) {
    let url = shared_broker_url();
    let place = Arc::new(Place::declare(&url, Kind::Quorum).await);
    for key in 0..KEYS {
        place.bind(&format!("key.{key}")).await;
    }
    let stack = Arc::new(Stack::start(
        &[url],
        &Shape {
            lanes,
            ..Shape::default()
        },
    ));

    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (stack, place) = (Arc::clone(&stack), Arc::clone(&place));
        callers.spawn(async move {
            let mut dice = Dice(caller as u64);
            let mut accepted = Vec::new();
            for number in 0..messages() / CALLERS {
                // Each caller has keys of its own, so that the order of acceptance is its own order.
                let key = dice.throw(KEYS / CALLERS) * CALLERS + caller;
                let lost = dice.throw(100) < 30;
                let routing_key = format!("{}.{key}", if lost { "nowhere" } else { "key" });
                let payload = format!("{number}");
                let id = stack
                    .accept(draft(&place.exchange, &routing_key, payload))
                    .await;
                accepted.push((id, lost));
            }
            accepted
        });
    }
    let accepted = callers.join_all().await.concat();
    stack.quiet(Duration::from_mins(2)).await;

    let arrived = place.take_all().await;
    let mut copies: HashMap<String, usize> = HashMap::new();
    for one in &arrived {
        *copies
            .entry(one.amqpost_id().expect("every message carries its id"))
            .or_default() += 1;
    }
    let mut wrong = Vec::new();
    for (id, lost) in &accepted {
        let outcome = stack.record(*id).outcome.expect("nothing is pending");
        let there = copies.remove(&id.to_string()).unwrap_or(0);
        let told = match outcome.status {
            Status::Confirmed => there == 1 && !lost && outcome.reason.is_none(),
            Status::Returned => {
                let reply = outcome.reason.as_ref().and_then(|reason| reason.reply_code);
                there == 0 && *lost && reply == Some(312)
            }
            _ => false,
        };
        if !told || outcome.attempts != 1 || outcome.duplicate_possible {
            wrong.push((id, lost, there, outcome));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong, such as {:?}",
        wrong.len(),
        wrong.first()
    );
    assert!(
        copies.is_empty(),
        "the queue contains what nobody accepted: {copies:?}"
    );
    assert_in_order(&arrived);
    Arc::into_inner(stack)
        .expect("the callers are done")
        .stop()
        .await;
}

/// Within a routing key, payloads are numbers that grow.
fn assert_in_order(arrived: &[Arrived]) {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for one in arrived {
        let number = std::str::from_utf8(&one.payload)
            .expect("digits")
            .parse()
            .expect("a number");
        if let Some(before) = last.insert(&one.routing_key, number) {
            assert!(
                before < number,
                "{} came after {number} of {}",
                before,
                one.routing_key
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_is_true_with_one_lane() {
    every_status_is_what_the_queue_contains(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_is_true_with_the_default_lanes() {
    every_status_is_what_the_queue_contains(4).await;
}
