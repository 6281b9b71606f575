//! What one endpoint costs the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::board::{Board, quick};
use super::receiver::{Receiver, Reply};
use crate::clock;
use crate::domain::webhook::Schedule;
use crate::notify::webhooks::LaneLimits;
use crate::store::{DeliveryStatus, DisabledFor};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_hundred_thousand_deliveries_to_a_dead_endpoint_delay_nobody_and_are_not_read() {
    let dead = Receiver::start(|_| Reply::Hang).await;
    let lively = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &dead.url());
    board.webhook(2, &lively.url());
    board.settle(1, 0..100_000);
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    dead.arrived(1).await;
    for round in 0..50 {
        let started: Instant = clock::monotonic();
        board.settle(2, [200_000 + round]);
        let done = usize::try_from(round).expect("it is small") + 1;
        board.ended(2, DeliveryStatus::Delivered, done).await;
        assert!(
            started.elapsed() < Duration::from_millis(500),
            "{:?}",
            started.elapsed()
        );
    }
    assert_eq!(dead.under_way_max(), 1);
    assert!(board.read(1) < 2_000, "{} were read", board.read(1));
}

#[tokio::test]
async fn slow_endpoints_leave_places_for_others() {
    let slow = Receiver::start(|_| Reply::Late(Duration::from_secs(1), 200)).await;
    let lively = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    let lanes = LaneLimits {
        under_way_max: 32,
        ..LaneLimits::default()
    };
    for number in 1..=8 {
        board.webhook(number, &slow.url());
        board.settle(number, 0..1000);
    }
    board.webhook(9, &lively.url());
    let _engine = board.engine(Schedule::default(), lanes);
    // Until the slow ones have taken all that they can get.
    slow.arrived(100).await;
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let started: Instant = clock::monotonic();
        board.settle(9, [round]);
        let done = usize::try_from(round).expect("it is small") + 1;
        board.ended(9, DeliveryStatus::Delivered, done).await;
        slowest = slowest.max(started.elapsed());
    }
    // Of 32 places that are each taken for a second, one was free whenever it was needed.
    assert!(slowest < Duration::from_millis(800), "{slowest:?}");
    assert!(slow.under_way_max() <= 32);
}

#[tokio::test]
async fn an_endpoint_that_comes_back_gets_everything_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let board = Arc::new(Board::default());
    board.webhook(1, &format!("http://{address}/"));
    let lanes = LaneLimits {
        pause_max: Duration::from_secs(1),
        ..LaneLimits::default()
    };
    let _engine = board.engine(quick(&[60_000, 60_000]), lanes);
    board.settle(1, 0..500);
    board
        .until(|board| board.get(1).failing_since.is_some())
        .await;
    let listen = (address.ip(), address.port());
    let receiver = Receiver::listen_on(listen, |_| Reply::status(200)).await;
    // But for the few that were tried meanwhile, whose own pauses are long.
    board.ended(1, DeliveryStatus::Delivered, 490).await;
    assert!(receiver.count() >= 490);
    board
        .until(|board| board.get(1).failing_since.is_none())
        .await;
}

#[tokio::test]
async fn an_endpoint_that_has_failed_for_days_is_disabled() {
    let receiver = Receiver::start(|_| Reply::status(500)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let since = clock::wall().minus(5 * DAY);
    board.change(1, |webhook| webhook.failing_since = Some(since));
    let engine = board.engine(Schedule::default(), LaneLimits::default());
    board.settle(1, 0..100);
    board.until(|board| !board.get(1).enabled).await;
    engine.stop().await;
    assert_eq!(board.get(1).disabled_for, Some(DisabledFor::Failing));
    assert!(
        (10..=12).contains(&receiver.count()),
        "{}",
        receiver.count()
    );
    assert_eq!(board.counts.disabled(), 1);
}

#[tokio::test]
async fn what_is_too_old_is_given_up_when_its_endpoint_fails_and_delivered_when_not() {
    let dead = Receiver::start(|_| Reply::Close).await;
    let lively = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &dead.url());
    board.webhook(2, &lively.url());
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    for to in [1, 2] {
        board.settle_old(to, 0..1000, 3 * DAY);
    }
    board.ended(2, DeliveryStatus::Delivered, 1000).await;
    board.ended(1, DeliveryStatus::Failed, 1000).await;
    assert!(dead.count() < 10, "{} tries", dead.count());
    let rows = board.rows(1);
    let told = |row: &super::board::Row| row.tried[0].error.as_deref() == Some("protocol");
    assert!(rows.iter().all(told));
}

#[tokio::test]
async fn a_webhook_that_its_owner_disables_gets_nothing_more() {
    let receiver = Receiver::start(|_| Reply::Late(Duration::from_millis(50), 200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let lanes = LaneLimits {
        per_endpoint_max: 1,
        ..LaneLimits::default()
    };
    let engine = board.engine(Schedule::default(), lanes);
    board.settle(1, 0..1000);
    receiver.arrived(5).await;
    board.change(1, |webhook| webhook.enabled = false);
    let board_then = receiver.count();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let after = receiver.count() - board_then;
    assert!(after <= 12, "{after} more");
    engine.stop().await;
}
