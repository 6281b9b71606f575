//! How long to wait before a nacked message is tried again.

use std::time::Duration;

/// Growing, jittered pauses between a limited number of tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    /// Tries in all, the first one included; at least 1.
    pub tries_max: u32,
    /// The pause after the first nack.
    pub pause_min: Duration,
    /// No pause is longer.
    pub pause_max: Duration,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self {
            tries_max: 10,
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(30),
        }
    }
}

impl RetrySchedule {
    /// The pause after the `nacks`-th nack (from 1), or `None` when the tries are used up. The pause
    /// doubles each time; `chance`, from 0 to 1, takes away up to half of it so that messages that
    /// were refused together do not come back together.
    #[must_use]
    pub fn pause(&self, nacks: u32, chance: f64) -> Option<Duration> {
        if nacks >= self.tries_max {
            return None;
        }
        let doubled = self
            .pause_min
            .saturating_mul(1 << nacks.saturating_sub(1).min(20));
        Some(
            doubled
                .min(self.pause_max)
                .mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_have_nine_growing_pauses() {
        let schedule = RetrySchedule::default();
        let pauses: Vec<_> = (1..20)
            .map_while(|nacks| schedule.pause(nacks, 0.0))
            .collect();
        assert_eq!(pauses.len(), 9);
        assert_eq!(pauses[0], Duration::from_millis(100));
        assert_eq!(pauses[8], Duration::from_millis(25_600));
        assert!(pauses.is_sorted());
    }

    #[test]
    fn a_pause_is_never_longer_than_the_longest_nor_shorter_than_half() {
        let schedule = RetrySchedule {
            tries_max: u32::MAX,
            ..RetrySchedule::default()
        };
        assert_eq!(
            schedule.pause(1_000_000, 0.0),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            schedule.pause(1_000_000, 1.0),
            Some(Duration::from_secs(15))
        );
    }

    #[test]
    fn one_try_has_no_second() {
        let schedule = RetrySchedule {
            tries_max: 1,
            ..RetrySchedule::default()
        };
        assert_eq!(schedule.pause(1, 0.0), None);
    }
}
