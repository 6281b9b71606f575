//! What may be pending is bounded, and room comes back.

use super::bench::{AMPLE, Bench, draft};
use crate::broker::Outcome;
use crate::relay::{AcceptError, Budget};

/// Fills a budget that holds two messages, and sees it come back with the commit of a settlement.
async fn fills_and_empties(budget: Budget) {
    let mut bench = Bench::new(budget, false);
    for _ in 0..2 {
        bench.relay.accept(draft("a")).await.expect("accepted");
        bench.commit_begins().await;
    }
    let full = bench.relay.accept(draft("a")).await;
    assert_eq!(full, Err(AcceptError::Full));
    let rows = bench.pull();
    bench.hold();
    bench.report(rows[0], Outcome::Confirmed);
    bench.commit_begins().await;
    let full = bench.relay.accept(draft("a")).await;
    assert_eq!(full, Err(AcceptError::Full));
    bench.let_go();
    bench
        .until(|bench| bench.relay.health().pending_messages == 1)
        .await;
    assert!(bench.relay.accept(draft("a")).await.is_ok());
    let full = bench.relay.accept(draft("a")).await;
    assert_eq!(full, Err(AcceptError::Full));
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn the_budget_of_messages_comes_back_with_settlements() {
    fills_and_empties(Budget {
        messages_max: 2,
        ..AMPLE
    })
    .await;
}

#[tokio::test]
async fn the_budget_of_bytes_comes_back_with_settlements() {
    // The footprint of one of these messages is its payload, its key, and a round 512 bytes.
    let footprint_bytes = 100 + 1 + 512;
    fills_and_empties(Budget {
        bytes_max: 3 * footprint_bytes - 1,
        ..AMPLE
    })
    .await;
}
