//! How an endpoint has been doing, and when it is no longer tried.

use std::time::Duration;

use super::outcome::Verdict;
use crate::domain::time::WallTime;

/// The tries of an endpoint since it last answered well. An endpoint that was never tried is healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Tries that failed since the last one that did not.
    pub failures: u32,
    /// When the first of these failed.
    pub failing_since: Option<WallTime>,
}

/// Why an endpoint is to be disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offence {
    /// It answered 410.
    Gone,
    /// Every try of several days failed.
    Failing,
}

impl Offence {
    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }
}

/// An endpoint that has failed for so long, without a single success, is disabled.
pub const FAILING_MAX: Duration = Duration::from_hours(5 * 24);

/// So many tries must have failed too: an endpoint that is rarely needed is not given up for two.
pub const FAILURES_MIN: u32 = 10;

impl Health {
    /// The health after a try ended at `now`, and whether the endpoint is to be disabled for it.
    #[must_use]
    pub fn after(self, verdict: Verdict, now: WallTime) -> (Self, Option<Offence>) {
        if verdict == Verdict::Delivered {
            return (Self::default(), None);
        }
        let since = self.failing_since.unwrap_or(now);
        let after = Self {
            failures: self.failures.saturating_add(1),
            failing_since: Some(since),
        };
        let failing_ms = now.unix_ms().saturating_sub(since.unix_ms());
        let long = Duration::from_millis(failing_ms) >= FAILING_MAX;
        let offence = match verdict {
            Verdict::Gone => Some(Offence::Gone),
            _ if long && after.failures >= FAILURES_MIN => Some(Offence::Failing),
            _ => None,
        };
        (after, offence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGAIN: Verdict = Verdict::Again {
        asked: None,
        endpoint_ails: true,
    };
    const HOUR_MS: u64 = 3_600_000;

    fn at(hours: u64) -> WallTime {
        WallTime::from_unix_ms(1_000_000 + hours * HOUR_MS)
    }

    #[test]
    fn an_endpoint_that_fails_for_five_days_is_disabled_and_not_before() {
        let mut health = Health::default();
        for hour in 0..120 {
            let (after, offence) = health.after(AGAIN, at(hour));
            assert_eq!(offence, None, "hour {hour}");
            health = after;
        }
        let (_, offence) = health.after(AGAIN, at(120));
        assert_eq!(offence, Some(Offence::Failing));
    }

    #[test]
    fn one_success_makes_an_endpoint_healthy_again() {
        let mut health = Health::default();
        for hour in 0..119 {
            health = health.after(AGAIN, at(hour)).0;
        }
        let (healthy, offence) = health.after(Verdict::Delivered, at(119));
        assert_eq!((healthy, offence), (Health::default(), None));
        assert_eq!(healthy.after(AGAIN, at(300)).1, None);
    }

    #[test]
    fn an_endpoint_that_is_rarely_needed_is_not_given_up_for_a_few_tries() {
        let mut health = Health::default();
        for month in 1..=9 {
            let (after, offence) = health.after(AGAIN, at(month * 720));
            assert_eq!(offence, None);
            health = after;
        }
        assert_eq!(health.after(AGAIN, at(7_200)).1, Some(Offence::Failing));
    }

    #[test]
    fn an_endpoint_that_is_gone_is_disabled_at_once() {
        let (health, offence) = Health::default().after(Verdict::Gone, at(0));
        assert_eq!(offence, Some(Offence::Gone));
        assert_eq!(health.failures, 1);
    }

    proptest! {
        /// Held against a list of everything that happened.
        #[test]
        fn health_is_what_happened_since_the_last_success(
            steps in prop::collection::vec((0..4_u8, 0..30_u64), 1..60)
        ) {
            let mut health = Health::default();
            let mut failed = Vec::new();
            let mut hour = 0;
            for (what, pause) in steps {
                hour += pause;
                let verdict = if what == 0 { Verdict::Delivered } else { AGAIN };
                let (after, offence) = health.after(verdict, at(hour));
                health = after;
                if what == 0 {
                    failed.clear();
                } else {
                    failed.push(hour);
                }
                prop_assert_eq!(health.failures as usize, failed.len());
                prop_assert_eq!(health.failing_since, failed.first().map(|hour| at(*hour)));
                let days = failed.first().map_or(0, |first| hour - first) >= 120;
                prop_assert_eq!(offence.is_some(), days && failed.len() >= 10);
            }
        }

        #[test]
        fn a_clock_that_steps_back_disables_nobody(steps in prop::collection::vec(0..1000_u64, 1..50)) {
            let mut health = Health::default().after(AGAIN, at(1000)).0;
            for hour in steps {
                let (after, offence) = health.after(AGAIN, at(hour));
                prop_assert_eq!(offence, None);
                health = after;
            }
        }
    }
}
