//! How fast deliveries go. What is asserted is far below what is measured, since tests run beside
//! others; `--nocapture` shows the figures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::board::Board;
use super::receiver::{Receiver, Reply};
use crate::clock;
use crate::domain::webhook::Schedule;
use crate::notify::webhooks::LaneLimits;
use crate::store::DeliveryStatus;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "the figure is of interest")]
async fn thousands_are_delivered_in_seconds() {
    const COUNT: u64 = 10_000;
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    board.settle(1, 0..COUNT);
    let started: Instant = clock::monotonic();
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    let all = usize::try_from(COUNT).expect("it is small");
    board.ended(1, DeliveryStatus::Delivered, all).await;
    let took = started.elapsed();
    assert_eq!(receiver.count(), all, "each came once");
    assert!(
        receiver.connections() <= 64 + 8,
        "{}",
        receiver.connections()
    );
    eprintln!("{COUNT} deliveries in {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "the figure is of interest")]
async fn an_idle_gateway_tells_an_outcome_within_milliseconds() {
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    let mut took = Vec::new();
    for round in 0..200 {
        tokio::time::sleep(Duration::from_millis(round % 12)).await;
        let started: Instant = clock::monotonic();
        board.settle(1, [round]);
        let count = usize::try_from(round).expect("it is small") + 1;
        receiver.arrived(count).await;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    eprintln!("median {:?}, 99 of 100 {:?}", took[100], took[197]);
    assert!(took[100] < Duration::from_millis(50), "{:?}", took[100]);
}
