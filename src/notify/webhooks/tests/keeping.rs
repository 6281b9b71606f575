//! Connections that are used again, and those that are not.

use std::time::Duration;

use super::receiver::{Receiver, Reply};
use super::{Names, answered, limits, send, sender};
use crate::notify::webhooks::{IdleLimits, SendLimits};

#[tokio::test]
async fn a_connection_is_used_again() {
    let receiver = Receiver::start(|_| Reply::Status(200, "", vec![b'x'; 64 << 10])).await;
    let sender = sender(&Names::none(), limits());
    for _ in 0..10 {
        assert_eq!(send(&sender, &receiver.url()).await, answered(200));
    }
    assert_eq!((receiver.count(), receiver.connections()), (10, 1));
}

#[tokio::test]
async fn a_connection_with_too_long_a_body_is_not_used_again() {
    let receiver = Receiver::start(|_| Reply::Status(200, "", vec![b'x'; (64 << 10) + 1])).await;
    let sender = sender(&Names::none(), limits());
    for _ in 0..3 {
        assert_eq!(send(&sender, &receiver.url()).await, answered(200));
    }
    assert_eq!((receiver.count(), receiver.connections()), (3, 3));
}

#[tokio::test]
async fn a_receiver_that_closes_after_each_answer_gets_every_webhook_once() {
    for reply in [
        Reply::ThenClose(200),
        Reply::Status(200, "connection: close\r\n", Vec::new()),
    ] {
        let receiver = Receiver::start(move |_| reply.clone()).await;
        let sender = sender(&Names::none(), limits());
        for _ in 0..20 {
            assert_eq!(send(&sender, &receiver.url()).await, answered(200));
        }
        assert_eq!((receiver.count(), receiver.connections()), (20, 20));
    }
}

#[tokio::test]
async fn a_connection_that_breaks_when_it_is_used_again_costs_no_try() {
    // Every connection answers once, and is closed when a second request has been read.
    let receiver = Receiver::start(|received| {
        if received.line.contains("again") {
            return Reply::Close;
        }
        Reply::status(200)
    })
    .await;
    let sender = sender(&Names::none(), limits());
    assert_eq!(send(&sender, &receiver.url()).await, answered(200));
    let url = receiver.url().replace("hook", "again");
    let end = send(&sender, &url).await;
    // The second connection was a new one, so that its end is the receiver's answer.
    assert_eq!(end.status(), None);
    assert_eq!((receiver.count(), receiver.connections()), (3, 2));
}

#[tokio::test]
async fn connections_that_idle_or_live_too_long_are_closed() {
    let receiver = Receiver::start(|_| Reply::status(200)).await;
    for (idle_ms, age_ms) in [(50, 60_000), (60_000, 50)] {
        let limits = SendLimits {
            idle: IdleLimits {
                idle: Duration::from_millis(idle_ms),
                age: Duration::from_millis(age_ms),
                ..IdleLimits::default()
            },
            ..limits()
        };
        let sender = sender(&Names::none(), limits);
        let before = receiver.connections();
        send(&sender, &receiver.url()).await;
        send(&sender, &receiver.url()).await;
        assert_eq!(receiver.connections(), before + 1);
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(sender.idle_connections(), 1);
        send(&sender, &receiver.url()).await;
        assert_eq!(receiver.connections(), before + 2);
        tokio::time::sleep(Duration::from_millis(60)).await;
        sender.prune();
        assert_eq!(sender.idle_connections(), 0);
    }
}

#[tokio::test]
async fn no_more_connections_idle_than_there_may() {
    let slow = || Reply::Late(Duration::from_millis(100), 200);
    let receiver = Receiver::start(move |_| slow()).await;
    for (all, of_one) in [(2, 64), (64, 2)] {
        let limits = SendLimits {
            idle: IdleLimits {
                connections_max: all,
                connections_per_origin_max: of_one,
                ..IdleLimits::default()
            },
            ..limits()
        };
        let sender = sender(&Names::none(), limits);
        let url = receiver.url();
        tokio::join!(
            send(&sender, &url),
            send(&sender, &url),
            send(&sender, &url),
            send(&sender, &url),
        );
        assert_eq!(sender.idle_connections(), 2);
    }
    assert_eq!(receiver.connections(), 8);
}
