//! What operators get to see of a gateway: its metrics, the files that ask for them, and its log.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod logs;
mod metrics;
mod promql;
mod queries;
mod scrape;
mod traces;
