//! Memory does not grow with the number of messages that have gone through.
//!
//! 200 000 of them always; ten million with `AMQPOST_TEST_FULL=1`.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable};
use support::broker_node::shared_broker_url;
use support::gateway::Gateway;
use support::queues::{Kind, Place};
use support::stack::{Shape, Stack, draft};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// What is kept of settled messages; reached long before the first samples.
const HISTORY_MESSAGES_MAX: usize = 1_000;
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// The tests' own memory must not grow for each other.
static ALONE: Mutex<()> = Mutex::const_new(());

fn is_full() -> bool {
    std::env::var_os("AMQPOST_TEST_FULL").is_some()
}

/// A queue that forgets its oldest messages, so that the broker's memory is flat too.
async fn forgetful_place() -> Place {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1_000));
    let drop_head = AMQPValue::LongString("drop-head".into());
    arguments.insert("x-overflow".into(), drop_head);
    Place::declare_with(&shared_broker_url(), Kind::Classic, arguments).await
}

/// Kibibytes of memory that the process has in use.
fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("Linux tells it").parse().expect("a number")
}

/// Samples until `count` has reached `goal`. From the second quarter to the last half, the most
/// memory in use must not have grown by more than 15 %.
async fn assert_flat(pid: u32, count: &AtomicUsize, goal: usize) {
    let (mut warm_kib, mut late_kib) = (0, 0);
    loop {
        let done = count.load(Ordering::SeqCst);
        if done >= goal {
            break;
        }
        let kib = resident_kib(pid);
        match done * 4 / goal {
            0 => {}
            1 => warm_kib = warm_kib.max(kib),
            _ => late_kib = late_kib.max(kib),
        }
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
    assert!(warm_kib > 0 && late_kib > 0, "too fast to be sampled");
    assert!(
        late_kib <= warm_kib + warm_kib * 15 / 100,
        "from {warm_kib} KiB to {late_kib} KiB over {goal} messages"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_publisher_needs_no_more_memory_after_many_messages() {
    const WRITERS: usize = 8;
    const PENDING_MAX: usize = 2_000;
    let _alone = ALONE.lock().await;
    let goal = if is_full() { 10_000_000 } else { 200_000 };
    let place = Arc::new(forgetful_place().await);
    let shape = Shape {
        history_messages_max: HISTORY_MESSAGES_MAX,
        ..Shape::default()
    };
    let stack = Arc::new(Stack::start(&[shared_broker_url()], &shape));
    let count = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (stack, place, count) = (stack.clone(), place.clone(), count.clone());
        writers.spawn(async move {
            let mut number = 0_usize;
            while count.load(Ordering::SeqCst) < goal {
                if stack.relay.health().pending_messages >= PENDING_MAX {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                for _ in 0..50 {
                    let payload = format!("{number:0>256}");
                    let mut message = draft(&place.exchange, &place.routing_key, payload);
                    // Over all lanes, with ever new keys.
                    message.ordering_key = Some(format!("{writer} {number}").into());
                    stack.accept(message).await;
                    number += 1;
                }
                count.fetch_add(50, Ordering::SeqCst);
            }
        });
    }
    assert_flat(std::process::id(), &count, goal).await;
    writers.join_all().await;
    stack.quiet(Duration::from_secs(30)).await;
    let stack = Arc::into_inner(stack).expect("the writers are done");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_needs_no_more_memory_after_many_requests() {
    const CALLERS: usize = 16;
    let _alone = ALONE.lock().await;
    let goal = if is_full() { 1_000_000 } else { 30_000 };
    let place = forgetful_place().await;
    let url = shared_broker_url();
    let history = HISTORY_MESSAGES_MAX.to_string();
    let gateway = Gateway::start([
        ("AMQPOST_BROKER_URL", url.as_str()),
        ("AMQPOST_HISTORY_MESSAGES_MAX", history.as_str()),
    ])
    .await;
    let gateway = Arc::new(gateway);
    let count = Arc::new(AtomicUsize::new(0));
    let body = serde_json::json!({"exchange": place.exchange, "routing_key": place.routing_key,
                                  "payload": "x".repeat(256)});
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (gateway, count, body) = (gateway.clone(), count.clone(), body.clone());
        callers.spawn(async move {
            while count.fetch_add(1, Ordering::SeqCst) < goal {
                let answer = gateway.post_with(&body, &[("prefer", "wait=30")]).await;
                assert_eq!(answer.json["status"], "confirmed", "{}", answer.text);
            }
        });
    }
    assert_flat(gateway.pid(), &count, goal).await;
    callers.join_all().await;
}
