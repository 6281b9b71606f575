//! How long things took, counted where they happen.
//!
//! The rooms count their own work in plain atomics, which cost them a few nanoseconds for each batch or
//! commit. Nothing here knows in which form, or whether at all, somebody reads the figures.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Microseconds that are told apart: from a commit on a fast disk to a broker that is away over lunch.
const BOUNDS_US: [u64; 18] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
];

/// A histogram of durations; whatever is longer than every bound has a place of its own.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What a histogram has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// For each bound in seconds how many were not longer, growing.
    pub up_to: Vec<(f64, u64)>,
    /// How many in all.
    pub count: u64,
    /// All of them together.
    pub sum_seconds: f64,
}

impl Durations {
    /// One more.
    pub fn observe(&self, one: Duration) {
        self.observe_all(std::iter::once(one));
    }

    /// Many more, for the price of a few.
    pub fn observe_all(&self, all: impl IntoIterator<Item = Duration>) {
        let mut counts = [0; BOUNDS_US.len() + 1];
        let mut sum_us: u64 = 0;
        for one in all {
            let us = u64::try_from(one.as_micros()).unwrap_or(u64::MAX);
            counts[BOUNDS_US.partition_point(|bound| *bound < us)] += 1;
            sum_us = sum_us.wrapping_add(us);
        }
        for (counter, count) in self.counts.iter().zip(counts) {
            if count > 0 {
                counter.fetch_add(count, Relaxed);
            }
        }
        self.sum_us.fetch_add(sum_us, Relaxed);
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(BOUNDS_US.len());
        for (at, counter) in self.counts.iter().enumerate() {
            count += counter.load(Relaxed);
            if let Some(bound) = BOUNDS_US.get(at) {
                up_to.push((Duration::from_micros(*bound).as_secs_f64(), count));
            }
        }
        Seen {
            up_to,
            count,
            sum_seconds: Duration::from_micros(self.sum_us.load(Relaxed)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_up_to_every_bound_that_it_does_not_pass() {
        let durations = Durations::default();
        durations.observe(Duration::from_micros(500));
        durations.observe_all([501, 1_000_000, 2_000_000_000].map(Duration::from_micros));
        let seen = durations.seen();
        let up_to = |bound: f64| {
            let at = seen.up_to.iter().find(|(seconds, _)| *seconds >= bound);
            at.expect("a bound").1
        };
        assert_eq!((up_to(0.0005), up_to(0.001), up_to(0.5)), (1, 2, 2));
        assert_eq!((up_to(1.0), up_to(1800.0), seen.count), (3, 3, 4));
        assert!((seen.sum_seconds - 2_001.001_001).abs() < 1e-9);
    }

    #[test]
    fn all_bounds_are_there_before_anything_was_seen() {
        let seen = Durations::default().seen();
        assert_eq!(seen.up_to.len(), BOUNDS_US.len());
        assert!(seen.up_to.iter().all(|(_, count)| *count == 0));
        assert!(seen.up_to.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(seen.count, 0);
    }
}
