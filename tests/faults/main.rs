//! The fault campaign: load, faults and a ledger that is checked at the end.
//!
//! Several callers write in every way that there is, consumers drain the queues, a receiver verifies
//! webhooks, a follower reads the stream of events; meanwhile gateway, broker, networks, disk and clock are
//! treated as badly as a seed says. Then everything is well again, and for every message ever sent it is
//! checked that what was promised holds (`ledger`).
//!
//! Which faults come, in which order and for how long, and what each writer sends with its n-th request, are
//! determined by the seed. How the two fall together, and so which answers are lost, which id is replayed, and
//! what is in flight at a fault, is not: a seed that fails may need some runs to fail again.
//!
//! `scripts/faults` runs long campaigns.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks, tasks and threads"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod bad_disk;
mod broker_faults;
mod campaign;
mod choices;
mod clock_steps;
mod consumer;
mod follower;
mod gateway_faults;
mod ledger;
mod left_over;
mod messages;
mod places;
mod plan;
mod receiver;
mod site;
mod told;
mod tries;
mod writer;

use std::time::Duration;

use tokio::sync::Mutex;

/// Of the short forms.
const SHORT: Duration = Duration::from_secs(45);

/// One at a time: two would be load for each other that no seed tells of.
static TURN: Mutex<()> = Mutex::const_new(());

async fn assert_clean(seed: u64, length: Duration) {
    let _turn = TURN.lock().await;
    let campaign = Named { seed, length };
    campaign.say("it begins");
    let violations = campaign::run(seed, length).await;
    assert!(
        violations.is_empty(),
        "seed {seed}: {} violations, the first: {}",
        violations.len(),
        violations[0]
    );
}

/// Says how to have it again, whatever it fails by.
struct Named {
    seed: u64,
    length: Duration,
}

impl Named {
    /// Also shown of a test that passes.
    fn say(&self, line: &str) {
        use std::io::Write as _;
        let Self { seed, length } = self;
        let minutes = length.as_secs().div_ceil(60);
        let again = format!("scripts/faults --seed {seed} --minutes {minutes}");
        let _ = writeln!(std::io::stderr(), "[seed {seed}] {line}; again: {again}");
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say("FAILED");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_through_the_faults_of_a_seed_that_is_always_the_same() {
    assert_clean(1, SHORT).await;
}

/// With `AMQPOST_FAULTS_SEED` and `AMQPOST_FAULTS_MINUTES` it is the seed and the length that they name; else a
/// seed by chance, for as long as the fixed one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_through_the_faults_of_any_seed() {
    let named = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = named("AMQPOST_FAULTS_SEED").unwrap_or_else(|| amqpost::chance::bits() % 1_000_000);
    let length = named("AMQPOST_FAULTS_MINUTES").map_or(SHORT, Duration::from_mins);
    assert_clean(seed, length).await;
}
