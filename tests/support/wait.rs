//! Waiting for what can be observed.

use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything that is expected at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(15);

/// How often a condition that nobody announces is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks until there is an answer, and panics when there is none within `limit`.
pub async fn until<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// As [`until`], for places that cannot wait asynchronously. `false` when the limit has passed.
pub fn blocking_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// Waits for `future`, and panics when it takes longer than `limit`.
pub async fn within<F: Future>(what: &str, limit: Duration, future: F) -> F::Output {
    let done = tokio::time::timeout(limit, future).await;
    done.unwrap_or_else(|elapsed| panic!("not within {limit:?} ({elapsed}): {what}"))
}
