//! Failed tries to prove a key, told in one line now and then.
//!
//! Whoever tries keys shall not be able to fill a disk with a line for each.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;

/// Failures are told no more often than this, the first of a row at once.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Failures since they were last told.
#[derive(Default)]
pub(super) struct Failures(Mutex<State>);

#[derive(Default)]
struct State {
    untold: u64,
    told_at: Option<Instant>,
}

impl Failures {
    /// One more.
    pub(super) fn count(&self) {
        if let Some(failures) = self.0.lock().count(clock::monotonic()) {
            tracing::warn!(failures, "requests came without a valid key");
        }
    }
}

impl State {
    /// How many are to be told now, if it is time to.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let told_lately = |at: Instant| now.saturating_duration_since(at) < TOLD_EVERY;
        if self.told_at.is_some_and(told_lately) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_now_and_then_and_none_is_left_out() {
        let (mut state, start) = (State::default(), clock::monotonic());
        let told: Vec<_> = (0..25_000)
            .filter_map(|ms| state.count(start + Duration::from_millis(ms)))
            .collect();
        assert_eq!(told, [1, 10_000, 10_000]);
        assert_eq!(state.count(start + Duration::from_mins(1)), Some(5000));
    }
}
