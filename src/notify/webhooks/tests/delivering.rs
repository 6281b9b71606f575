//! What the engine delivers, and what it makes of answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::board::{Board, id, is_gone, quick, secret};
use super::receiver::{Received, Receiver, Reply};
use crate::clock;
use crate::domain::webhook::{Schedule, signatures};
use crate::notify::webhooks::LaneLimits;
use crate::store::DeliveryStatus;

#[tokio::test]
async fn an_outcome_is_told_at_once_and_signed_by_its_webhook() {
    let receiver = Receiver::start(|_| Reply::status(204)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    let started: Instant = clock::monotonic();
    board.settle(1, [7]);
    board.ended(1, DeliveryStatus::Delivered, 1).await;
    assert!(started.elapsed() < Duration::from_millis(500));
    let request = &receiver.received()[0];
    let told_id = format!("{}-2", id(7));
    let at: u64 = request.headers["webhook-timestamp"]
        .parse()
        .expect("seconds");
    assert!(clock::wall().unix_ms() / 1000 - at < 10);
    assert_eq!(request.headers["webhook-id"], told_id);
    let signed = signatures(&[secret(1)], &told_id, at, &request.body);
    assert_eq!(request.headers["webhook-signature"], signed);
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let row = &board.rows(1)[0];
    let settled_at = row
        .delivery
        .record
        .outcome
        .as_ref()
        .map(|outcome| outcome.settled_at);
    let expected = serde_json::json!({
        "type": "message.confirmed",
        "timestamp": settled_at.expect("an outcome").to_string(),
        "data": {"id": id(7).to_string()},
    });
    assert_eq!(body, expected);
    assert_eq!((row.tried.len(), row.tried[0].status_code), (1, Some(204)));
    assert_eq!((board.counts.delivered(), board.counts.given_up()), (1, 0));
}

#[tokio::test]
async fn a_delivery_is_tried_again_with_its_id_and_body_until_it_is_taken() {
    let tries = AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| {
        let failed = tries.fetch_add(1, Ordering::SeqCst) < 2;
        Reply::status(if failed { 500 } else { 200 })
    })
    .await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let _engine = board.engine(quick(&[100, 200, 300]), LaneLimits::default());
    board.settle_old(1, [7], Duration::from_hours(1));
    board.ended(1, DeliveryStatus::Delivered, 1).await;
    let requests = receiver.received();
    assert_eq!(requests.len(), 3);
    // Receivers refuse what is old, so the time that is signed is that of the try, not of the outcome.
    let now_seconds = clock::wall().unix_ms() / 1000;
    for one in &requests {
        let timestamp: u64 = one.headers["webhook-timestamp"].parse().expect("seconds");
        assert!(now_seconds.abs_diff(timestamp) < 300, "{one:?}");
    }
    let same = |one: &Received| {
        let id = |one: &Received| one.headers["webhook-id"].clone();
        (id(one), &one.body) == (id(&requests[0]), &requests[0].body)
    };
    assert!(requests.iter().all(same), "{requests:?}");
    let codes: Vec<_> = board.rows(1)[0]
        .tried
        .iter()
        .map(|one| one.status_code)
        .collect();
    assert_eq!(codes, [Some(500), Some(500), Some(200)]);
    assert_eq!(
        board.get(1).failing_since,
        None,
        "it has answered well since"
    );
}

#[tokio::test]
async fn a_delivery_is_given_up_when_its_tries_are_used_up() {
    let receiver = Receiver::start(|_| Reply::status(302)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let _engine = board.engine(quick(&[50, 60]), LaneLimits::default());
    board.settle(1, [7]);
    board.ended(1, DeliveryStatus::Failed, 1).await;
    assert_eq!(receiver.count(), 3);
    let error = board.rows(1)[0].tried[2].error.clone();
    assert_eq!(error.as_deref(), Some("http_status"));
    assert!(board.get(1).enabled && board.get(1).failing_since.is_some());
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_what_waits_for_it_goes_on_waiting() {
    let receiver = Receiver::start(|_| Reply::status(410)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let engine = board.engine(Schedule::default(), LaneLimits::default());
    board.settle(1, 0..100);
    board.until(|board| is_gone(&board.get(1))).await;
    engine.stop().await;
    let waiting = |status| matches!(status, DeliveryStatus::Waiting { .. });
    let waiting = board
        .rows(1)
        .iter()
        .filter(|row| waiting(row.status))
        .count();
    assert_eq!(waiting + receiver.count(), 100);
    assert!(waiting >= 98, "{waiting}");
}

#[tokio::test]
async fn a_callback_is_signed_by_its_caller_and_ends_with_410_alone() {
    let receiver = Receiver::start(|request| {
        Reply::status(if request.line.contains("gone") {
            410
        } else {
            200
        })
    })
    .await;
    let board = Arc::new(Board::default());
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    board.callback(5, &receiver.url().replace("hook", "gone"), 1);
    board.ended(5, DeliveryStatus::Failed, 1).await;
    board.callback(5, &receiver.url(), 2);
    board.ended(5, DeliveryStatus::Delivered, 1).await;
    let request = &receiver.received()[1];
    let at = request.headers["webhook-timestamp"]
        .parse()
        .expect("seconds");
    let signed = signatures(
        &[secret(0)],
        &request.headers["webhook-id"],
        at,
        &request.body,
    );
    assert_eq!(request.headers["webhook-signature"], signed);
}

#[tokio::test]
async fn a_receiver_is_left_alone_as_long_as_it_asks_for() {
    let first = AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply::Status(429, "retry-after: 2\r\n", Vec::new());
        }
        Reply::status(200)
    })
    .await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let _engine = board.engine(quick(&[10, 20]), LaneLimits::default());
    board.settle(1, 0..20);
    receiver.arrived(1).await;
    let asked: Instant = clock::monotonic();
    receiver.arrived(2).await;
    assert!(
        asked.elapsed() > Duration::from_millis(1900),
        "{:?}",
        asked.elapsed()
    );
    board.ended(1, DeliveryStatus::Delivered, 20).await;
}

#[tokio::test]
async fn while_a_secret_is_rotated_the_old_one_signs_too() {
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    for (number, until) in [(1, clock::wall().plus_ms(60_000)), (2, clock::wall())] {
        board.webhook(number, &receiver.url());
        let old = (secret(9).reveal().into(), until);
        board.change(number, |webhook| webhook.old_secret = Some(old));
    }
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    for (number, secrets) in [(1, vec![secret(1), secret(9)]), (2, vec![secret(2)])] {
        board.settle(number, [number]);
        board.ended(number, DeliveryStatus::Delivered, 1).await;
        let request = receiver.received().pop().expect("a request");
        let at = request.headers["webhook-timestamp"]
            .parse()
            .expect("seconds");
        let signed = signatures(&secrets, &request.headers["webhook-id"], at, &request.body);
        assert_eq!(request.headers["webhook-signature"], signed);
    }
}

#[tokio::test]
async fn what_could_not_be_kept_is_kept_later_and_not_sent_again() {
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    board.fail_writes(2);
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    board.settle(1, 0..50);
    board.ended(1, DeliveryStatus::Delivered, 50).await;
    assert_eq!(receiver.count(), 50);
}

#[tokio::test]
async fn what_was_cut_off_is_sent_again_after_a_restart_with_the_same_id() {
    let slow = Receiver::start(|_| Reply::Hang).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &slow.url());
    let engine = board.engine(Schedule::default(), LaneLimits::default());
    board.settle(1, [7]);
    slow.arrived(1).await;
    drop(engine);
    assert_eq!(board.rows(1)[0].tried.len(), 0, "nothing was claimed");
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    board.change(1, |webhook| webhook.url = receiver.url().into());
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    board.ended(1, DeliveryStatus::Delivered, 1).await;
    let of = |receiver: &Receiver| receiver.received()[0].headers["webhook-id"].clone();
    assert_eq!(of(&slow), of(&receiver));
}

#[tokio::test]
async fn what_is_under_way_when_the_gateway_stops_may_end_and_is_kept() {
    let receiver = Receiver::start(|_| Reply::Late(Duration::from_millis(300), 200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &receiver.url());
    let engine = board.engine(Schedule::default(), LaneLimits::default());
    board.settle(1, [7]);
    receiver.arrived(1).await;
    engine.stop().await;
    assert_eq!(board.rows(1)[0].status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn a_change_of_a_webhook_is_honoured_a_moment_later() {
    let before = Receiver::start(|_| Reply::status(200)).await;
    let after = Receiver::start(|_| Reply::status(200)).await;
    let board = Arc::new(Board::default());
    board.webhook(1, &before.url());
    let _engine = board.engine(Schedule::default(), LaneLimits::default());
    board.settle(1, [1]);
    board.ended(1, DeliveryStatus::Delivered, 1).await;
    board.change(1, |webhook| webhook.url = after.url().into());
    // What was read of webhooks is good for a quarter of a second.
    tokio::time::sleep(Duration::from_millis(300)).await;
    board.settle(1, [2]);
    board.ended(1, DeliveryStatus::Delivered, 2).await;
    assert_eq!((before.count(), after.count()), (1, 1));
}
