//! One caller's bad message among hundreds of good ones on the same lane: it fails alone, in the
//! broker's words, and the good ones are confirmed, in order, whatever the broker closes for it.
//!
//! One private node for all of it; every run has a user, an exchange and a queue of its own. What a
//! real broker does not do on demand is left to a scripted one.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod closures;
mod company;
mod kinds;

use std::time::Duration;

use company::{Company, run};
use kinds::Kind;
use support::wait;

/// A run takes a second or a few; nobody may wait behind bad messages for minutes.
const RUN_LIMIT: Duration = Duration::from_mins(1);

async fn every_kind(company: Company, count: usize) {
    // The node takes a while to start, which is no part of any run.
    company::node().await;
    for kind in Kind::ALL {
        let what = format!("{count} of {kind:?}, {company:?}");
        wait::within(&what, RUN_LIMIT, run(kind, company, count)).await;
    }
}

/// Every kind, one bad message each, behind 300 good ones that the broker has taken and not
/// confirmed, and before 200 more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_message_of_any_kind_fails_alone() {
    every_kind(Company::Unconfirmed, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_bad_messages_in_a_row_fail_alone() {
    every_kind(Company::Unconfirmed, 20).await;
}

/// The socket takes no more when the bad message comes, so what is written and what is not is decided
/// in the middle of a message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_message_on_a_socket_that_takes_no_more_fails_alone() {
    every_kind(Company::Unwritten, 1).await;
}
