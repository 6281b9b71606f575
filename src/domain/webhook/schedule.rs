//! When a delivery is tried again.

use std::time::Duration;

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Growing, jittered pauses between a limited number of tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The pause after the first failed try, after the second, and so on, before jitter. One try more
    /// than there are pauses is made.
    pub pauses: Vec<Duration>,
    /// The longest pause that a receiver's `Retry-After` can bring about.
    pub asked_max: Duration,
    /// A delivery whose outcome is older than this is given up when its endpoint fails, however few
    /// tries it has had: an endpoint that fails is tried with one delivery at a time, and the others
    /// must not wait for it for ever.
    pub age_max: Duration,
}

/// The share of a pause that chance may add or take away: enough that what failed together does not
/// come back together, too little for a pause to come out longer than the next one.
const JITTER: f64 = 0.1;

impl Default for Schedule {
    /// Ten tries over a little more than a day.
    fn default() -> Self {
        Self {
            pauses: vec![
                Duration::from_secs(5),
                Duration::from_secs(30),
                minutes(5),
                minutes(30),
                minutes(60),
                minutes(3 * 60),
                minutes(5 * 60),
                minutes(7 * 60),
                minutes(9 * 60),
            ],
            asked_max: minutes(6 * 60),
            age_max: minutes(48 * 60),
        }
    }
}

impl Schedule {
    /// Tries in all, the first one included.
    #[must_use]
    pub fn tries_max(&self) -> usize {
        self.pauses.len() + 1
    }

    /// The pause after the `tries`-th failed try (from 1), or `None` when no more are made. `chance`
    /// is from 0 to 1; `asked` is what the receiver's `Retry-After` said, which makes a pause longer,
    /// never shorter, and longer by no more than [`Schedule::asked_max`].
    #[must_use]
    pub fn pause(&self, tries: u32, chance: f64, asked: Option<Duration>) -> Option<Duration> {
        let at = usize::try_from(tries).ok()?.saturating_sub(1);
        let pause = self.pauses.get(at)?;
        let jittered = pause.mul_f64(1.0 + JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0));
        Some(jittered.max(self.asked(asked).unwrap_or_default()))
    }

    /// What a receiver asked for, as far as it is honoured.
    #[must_use]
    pub fn asked(&self, asked: Option<Duration>) -> Option<Duration> {
        asked.map(|asked| asked.min(self.asked_max))
    }

    /// How long after a delivery's first try its last one may come, when no receiver asks for longer
    /// pauses and the endpoint is tried in time.
    #[must_use]
    pub fn span_max(&self) -> Duration {
        self.pauses.iter().sum::<Duration>().mul_f64(1.0 + JITTER)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(hours: u64) -> Duration {
        minutes(hours * 60)
    }

    #[test]
    fn ten_tries_are_spread_over_about_a_day() {
        let schedule = Schedule::default();
        assert_eq!(schedule.tries_max(), 10);
        let all = |chance| -> Duration {
            (1..)
                .map_while(|tries| schedule.pause(tries, chance, None))
                .sum()
        };
        assert!(all(0.0) > hours(22) && all(1.0) < hours(30));
        assert_eq!(all(1.0), schedule.span_max());
        assert_eq!(schedule.pause(10, 0.0, None), None);
        assert_eq!(schedule.pause(u32::MAX, 0.0, Some(hours(1))), None);
    }

    proptest! {
        #[test]
        fn pauses_grow_whatever_the_dice_say(tries in 1..9_u32, one in 0.0..=1.0, two in 0.0..=1.0) {
            let schedule = Schedule::default();
            let first = schedule.pause(tries, one, None);
            prop_assert!(first.is_some());
            prop_assert!(first < schedule.pause(tries + 1, two, None));
        }

        #[test]
        fn a_pause_is_as_long_as_the_receiver_asks_up_to_the_bound(
            tries in 1..=9_u32, chance in 0.0..=1.0, asked_seconds in 0..100_000_u64,
        ) {
            let schedule = Schedule::default();
            let own = schedule.pause(tries, chance, None).expect("a pause");
            let asked = Duration::from_secs(asked_seconds);
            let pause = schedule.pause(tries, chance, Some(asked)).expect("a pause");
            prop_assert_eq!(pause, own.max(asked.min(schedule.asked_max)));
        }
    }

    #[test]
    fn what_failed_together_does_not_come_back_together() {
        let schedule = Schedule::default();
        assert_ne!(schedule.pause(1, 0.2, None), schedule.pause(1, 0.8, None));
    }
}
