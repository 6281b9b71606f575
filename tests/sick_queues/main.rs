//! Queues that do not answer, answer late, or refuse: what they may cost the others.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod blocked;
mod order;
mod sick_broker;
mod silent;
mod slow;
mod suspended;

use std::sync::Arc;
use std::time::{Duration, Instant};

use amqpost::domain::{Draft, MessageId, Status};
use amqpost::store::Settlement;
use support::stack::{Shape, Stack};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// Held by each test: nearly all compare times with a stall, which another test would make longer.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Long enough to tell silence from a busy machine, short enough to be waited for.
const STALL_AFTER: Duration = Duration::from_secs(1);
/// How long others may wait beyond that.
const GRACE: Duration = Duration::from_secs(2);

fn shape() -> Shape {
    Shape {
        lanes: 1,
        stall_after: STALL_AFTER,
        ..Shape::default()
    }
}

/// A message on its way, and how long it took.
struct Timed {
    id: MessageId,
    accepted: Instant,
    ending: JoinHandle<(Settlement, Instant)>,
}

async fn timed(stack: &Arc<Stack>, draft: Draft) -> Timed {
    let accepted = Instant::now();
    let id = stack.accept(draft).await;
    let stack = Arc::clone(stack);
    let ending = tokio::spawn(async move { (stack.outcome(id).await, Instant::now()) });
    Timed {
        id,
        accepted,
        ending,
    }
}

impl Timed {
    /// It is confirmed; how long that took.
    async fn confirmed(self) -> Duration {
        let (outcome, ended) = self.ending.await.expect("it is told");
        assert_eq!(outcome.status, Status::Confirmed, "{outcome:?}");
        ended - self.accepted
    }
}

/// What was measured, for whoever runs the tests with `--nocapture`.
#[expect(clippy::print_stderr, reason = "figures are for people")]
fn tell(measured: &str) {
    eprintln!("{measured}");
}

fn quarantined(stack: &Stack) -> usize {
    stack.relay.health().broker.quarantined
}

async fn stop(stack: Arc<Stack>) {
    let stack = Arc::into_inner(stack).expect("nobody else uses it");
    stack.stop().await;
}
