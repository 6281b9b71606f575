//! How much a caller may do in a time: a token bucket, kept as the one moment when it would be full again
//! (the generic cell rate algorithm), so that nothing has to fill it. Times are those of a clock that never
//! steps, since whatever beginning.

use std::time::Duration;

/// So many a second, and so many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run; at least one.
    pub per_second: u32,
    /// At once; at least one.
    pub burst: u32,
}

impl Rate {
    /// More a second cannot be told apart from no limit.
    pub const PER_SECOND_MAX: u32 = 1_000_000;

    /// More at once would take longer than a bucket can tell.
    pub const BURST_MAX: u32 = 1_000_000_000;

    /// What one costs in time.
    fn interval_ns(self) -> u64 {
        1_000_000_000 / u64::from(self.per_second.max(1))
    }

    fn time(self, count: usize) -> Duration {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Duration::from_nanos(self.interval_ns().saturating_mul(count))
    }
}

/// What is left of a rate.
///
/// What costs more than the burst, such as a large batch, would never fit: it is taken from a full bucket,
/// and leaves a debt that is waited off. So in any time of `t` seconds at most `burst + per_second * t`
/// are taken before the last one that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full, and at what rate that was found; without, it is full.
    full_at: Option<(Duration, Rate)>,
}

impl Bucket {
    /// Takes `cost` at `now`, if there is so much.
    ///
    /// # Errors
    /// The time after which there will be, if nothing else is taken; then nothing was taken.
    pub fn take(&mut self, cost: usize, rate: Rate, now: Duration) -> Result<(), Duration> {
        // What was owed at another rate is nothing that could be waited off at this one.
        let full_at = self.full_at.filter(|(_, before)| *before == rate);
        let owed = full_at.map_or(Duration::ZERO, |(at, _)| at.saturating_sub(now));
        let burst = rate.burst.max(1) as usize;
        let needed = owed.saturating_add(rate.time(cost.min(burst)));
        let room = rate.time(burst);
        if let Some(missing) = needed
            .checked_sub(room)
            .filter(|missing| !missing.is_zero())
        {
            return Err(missing);
        }
        let full_at = now.saturating_add(owed).saturating_add(rate.time(cost));
        self.full_at = Some((full_at, rate));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEN: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Some moment.
    const START: Duration = Duration::from_hours(5);

    #[test]
    fn a_burst_is_taken_at_once_and_the_rest_as_time_goes() {
        let (mut bucket, start) = (Bucket::default(), START);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, TEN, start), Ok(()));
        }
        assert_eq!(bucket.take(1, TEN, start), Err(ms(100)));
        assert_eq!(bucket.take(1, TEN, start + ms(99)), Err(ms(1)));
        assert_eq!(bucket.take(1, TEN, start + ms(100)), Ok(()));
        assert_eq!(bucket.take(2, TEN, start + ms(200)), Err(ms(100)));
        assert_eq!(bucket.take(3, TEN, start + ms(10_000)), Ok(()));
        assert_eq!(bucket.take(1, TEN, start + ms(10_000)), Err(ms(100)));
    }

    #[test]
    fn what_is_more_than_the_burst_is_taken_from_a_full_bucket_and_owed() {
        let (mut bucket, start) = (Bucket::default(), START);
        assert_eq!(bucket.take(1, TEN, start), Ok(()));
        assert_eq!(bucket.take(50, TEN, start), Err(ms(100)));
        assert_eq!(bucket.take(50, TEN, start + ms(100)), Ok(()));
        assert_eq!(bucket.take(1, TEN, start + ms(100)), Err(ms(4800)));
        assert_eq!(bucket.take(1, TEN, start + ms(4900)), Ok(()));
    }

    #[test]
    fn what_costs_nothing_passes_unless_there_is_debt() {
        let (mut bucket, start) = (Bucket::default(), START);
        assert_eq!(bucket.take(0, TEN, start), Ok(()));
        assert_eq!(bucket.take(3, TEN, start), Ok(()));
        assert_eq!(bucket.take(0, TEN, start), Ok(()));
    }

    #[test]
    fn a_new_rate_begins_with_a_full_bucket() {
        let (mut bucket, start) = (Bucket::default(), START);
        let slow = Rate {
            per_second: 1,
            burst: 1,
        };
        assert_eq!(bucket.take(3600, slow, start), Ok(()));
        assert_eq!(bucket.take(1, slow, start), Err(Duration::from_hours(1)));
        assert_eq!(bucket.take(1, TEN, start), Ok(()));
    }

    #[test]
    fn the_largest_numbers_end_nothing() {
        let (mut bucket, start) = (Bucket::default(), START);
        let rate = Rate {
            per_second: 1,
            burst: Rate::BURST_MAX,
        };
        let _ = bucket.take(usize::MAX, rate, start);
        let _ = bucket.take(usize::MAX, rate, start);
        let none = Rate {
            per_second: 0,
            burst: 0,
        };
        assert_eq!(Bucket::default().take(1, none, start), Ok(()));
    }

    proptest! {
        /// Tokens that are counted one by one, in the smallest parts that matter, say the same.
        #[test]
        fn it_takes_what_a_counted_bucket_takes(
            per_second in 1_u32..50,
            burst in 1_u32..20,
            steps in prop::collection::vec((0_u64..400, 0_usize..30), 1..60),
        ) {
            let rate = Rate { per_second, burst };
            let (mut bucket, start) = (Bucket::default(), START);
            let one = i128::from(rate.interval_ns());
            let full = i128::from(burst) * one;
            let (mut level, mut at) = (full, Duration::ZERO);
            for (pause_ms, cost) in steps {
                at += ms(pause_ms);
                level = full.min(level + i128::from(pause_ms) * 1_000_000);
                let (whole, needed) = (cost as i128 * one, (cost.min(burst as usize)) as i128 * one);
                let expected = if needed <= level {
                    level -= whole;
                    Ok(())
                } else {
                    Err(Duration::from_nanos(u64::try_from(needed - level).expect("short")))
                };
                prop_assert_eq!(bucket.take(cost, rate, start + at), expected);
            }
        }

        /// Whoever waits as long as it is told is served, and not a nanosecond before.
        #[test]
        fn the_time_that_is_told_is_exact(
            per_second in 1_u32..1000, burst in 1_u32..20, first in 0_usize..100, then in 1_usize..100,
        ) {
            let rate = Rate { per_second, burst };
            let (mut bucket, start) = (Bucket::default(), START);
            prop_assert_eq!(bucket.take(first, rate, start), Ok(()));
            if let Err(wait) = bucket.take(then, rate, start) {
                let early = start + wait.checked_sub(Duration::from_nanos(1)).expect("a time");
                prop_assert_eq!(bucket.take(then, rate, early), Err(Duration::from_nanos(1)));
                prop_assert_eq!(bucket.take(then, rate, start + wait), Ok(()));
            }
        }
    }
}
