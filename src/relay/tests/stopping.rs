//! What a stop waits for.

use std::pin::pin;

use super::bench::{AMPLE, Bench, draft, is_pending};
use crate::broker::Outcome;
use crate::relay::AcceptError;

#[tokio::test]
async fn a_closed_relay_accepts_nothing_and_goes_on_publishing() {
    let mut bench = Bench::new(AMPLE, true);
    let row = bench.accept("a").await;
    bench.relay.close();
    let late = bench.relay.accept(draft("a")).await;
    assert_eq!(late, Err(AcceptError::Stopping));
    assert_eq!(bench.pull(), [row]);
}

#[tokio::test]
async fn with_a_store_that_forgets_a_stop_waits_until_nothing_is_pending() {
    let mut bench = Bench::new(AMPLE, false);
    for _ in 0..2 {
        bench.relay.accept(draft("a")).await.expect("accepted");
    }
    bench.relay.close();
    let relay = bench.relay.clone();
    let mut drained = pin!(relay.drained());
    assert!(is_pending(&mut drained).await);
    let rows = bench.pull();
    assert_eq!(rows.len(), 2);
    bench.report(rows[0], Outcome::Confirmed);
    bench
        .until(|bench| bench.relay.health().pending_messages == 1)
        .await;
    assert!(is_pending(&mut drained).await);
    bench.report(rows[1], Outcome::Confirmed);
    drained.await;
    assert_eq!(bench.relay.health().pending_messages, 0);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn with_a_store_that_keeps_a_stop_hands_out_nothing_and_waits_for_what_is_in_flight() {
    let mut bench = Bench::new(AMPLE, true);
    let row = bench.accept("a").await;
    assert_eq!(bench.pull(), [row]);
    bench.relay.accept(draft("a")).await.expect("accepted");
    bench.relay.close();
    let relay = bench.relay.clone();
    let mut drained = pin!(relay.drained());
    assert!(is_pending(&mut drained).await);
    assert_eq!(bench.pull(), []);
    bench.report(row, Outcome::Unknown);
    drained.await;
    assert_eq!(bench.pull(), []);
    assert_eq!(bench.relay.health().pending_messages, 2);
    assert_eq!(bench.end(), Ok(()));
}
