//! Times that are the ends of durations, as they are stored.
//!
//! When the wall clock steps, such times move along. There may be a million of them, so what is
//! stored is the time without all steps so far, and the sum of the steps stands in `state`: a step is
//! one number, whatever waits. The order of the stored times is the order of the told ones.

use crate::domain::WallTime;

/// A time as `SQLite` keeps it. What is behind the end of its range, 292 million years ahead, is
/// never.
pub(super) fn stored_time(time: WallTime) -> i64 {
    i64::try_from(time.unix_ms()).unwrap_or(NEVER)
}

/// A time as it was kept.
pub(super) fn told_time(number: i64) -> WallTime {
    match number {
        NEVER => WallTime::from_unix_ms(u64::MAX),
        number => WallTime::from_unix_ms(u64::try_from(number).unwrap_or(0)),
    }
}

const NEVER: i64 = i64::MAX;

/// The end of a duration as it is stored while the steps of the clock come to `offset_ms`.
pub(super) fn stored_end(time: WallTime, offset_ms: i64) -> i64 {
    match stored_time(time) {
        NEVER => NEVER,
        number => number.saturating_sub(offset_ms),
    }
}

/// The end of a duration as it is told while the steps of the clock come to `offset_ms`.
pub(super) fn told_end(number: i64, offset_ms: i64) -> WallTime {
    match number {
        NEVER => told_time(NEVER),
        number => told_time(number.saturating_add(offset_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ends_come_back_and_move_with_the_clock(
            ms in 1_u64 << 40..1 << 60,
            (offset, step) in (-1_i64 << 39..1 << 39, -1_i64 << 38..1 << 38),
        ) {
            let time = WallTime::from_unix_ms(ms);
            let stored = stored_end(time, offset);
            prop_assert_eq!(told_end(stored, offset), time);
            prop_assert_eq!(told_end(stored, offset + step), time.moved_by_ms(step));
        }

        #[test]
        fn stored_ends_are_in_the_order_of_the_times(one in any::<u64>(), other in any::<u64>(), offset in any::<i64>()) {
            let [one, other] = [one, other].map(WallTime::from_unix_ms);
            if one <= other {
                prop_assert!(stored_end(one, offset) <= stored_end(other, offset));
            }
        }
    }

    #[test]
    fn what_never_ends_never_ends_whatever_the_clock_does() {
        let never = WallTime::from_unix_ms(u64::MAX);
        for offset in [0, -5000, 5000] {
            assert_eq!(told_end(stored_end(never, offset), -offset), never);
        }
    }
}
