//! When the writer has to look for what is due or overdue, and whether the wall clock has stepped.

use std::time::{Duration, Instant};

use crate::domain::{Turn, WallTime};

/// Less than this is no step of the wall clock: clocks are slewed, and looked at one after the other.
const STEP_MS_MIN: u64 = 1000;
/// It is looked so often whether the time of some message is over.
const OVERDUE_EVERY: Duration = Duration::from_millis(100);
/// Nothing is waited for longer, so that a step of the clock is noticed.
const WAIT_MS_MAX: u64 = 1000;

/// A moment, and what has happened to the wall clock since the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) now: Instant,
    pub(super) wall: WallTime,
    /// The wall clock has stepped forward by so much, or back when it is negative.
    pub(super) step_ms: i64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Times {
    looked_at: (Instant, WallTime),
    /// When the next scheduled message is due.
    next_due: Option<WallTime>,
    /// Some pending message may have a time that is over at some time.
    may_expire: bool,
    overdue_at: Instant,
    overdue_after: Option<(WallTime, Turn)>,
}

impl Times {
    /// Something may be due or overdue already, when the store is not empty.
    pub(super) fn new(now: Instant, wall: WallTime, scheduled: bool, pending: bool) -> Self {
        Self {
            looked_at: (now, wall),
            next_due: scheduled.then(WallTime::default),
            may_expire: pending || scheduled,
            overdue_at: now,
            overdue_after: None,
        }
    }

    /// The clocks were looked at.
    pub(super) fn look(&mut self, now: Instant, wall: WallTime) -> Look {
        let (last_now, last_wall) = std::mem::replace(&mut self.looked_at, (now, wall));
        let passed_ms = whole_ms(now.saturating_duration_since(last_now));
        let expected = last_wall.plus_ms(passed_ms).unix_ms();
        let ahead_ms = i128::from(wall.unix_ms()) - i128::from(expected);
        let step_ms = if ahead_ms.unsigned_abs() < u128::from(STEP_MS_MIN) {
            0
        } else {
            i64::try_from(ahead_ms).unwrap_or(if ahead_ms < 0 { i64::MIN } else { i64::MAX })
        };
        if step_ms != 0 {
            // What was due before may be later now, and the other way round.
            self.next_due = self.next_due.map(|_| WallTime::default());
            self.overdue_after = None;
        }
        Look { now, wall, step_ms }
    }

    /// A message is scheduled.
    pub(super) fn scheduled(&mut self, due: WallTime) {
        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
    }

    /// What is due was found; the first of the rest is due then.
    pub(super) fn found_due(&mut self, next: Option<WallTime>) {
        self.next_due = next;
    }

    /// A pending message has a time that will be over.
    pub(super) fn limited(&mut self) {
        self.may_expire = true;
    }

    /// Nothing is pending.
    pub(super) fn nothing_is_pending(&mut self) {
        self.may_expire = false;
    }

    /// Whether a scheduled message is due.
    pub(super) fn is_due(&self, look: &Look) -> bool {
        self.next_due.is_some_and(|due| due <= look.wall)
    }

    /// Whether it is time to look for messages whose time is over.
    pub(super) fn wants_overdue(&self, look: &Look) -> bool {
        self.may_expire && self.overdue_at <= look.now
    }

    /// Behind whom to look for them.
    pub(super) fn overdue_after(&self) -> Option<(WallTime, Turn)> {
        self.overdue_after
    }

    /// It was looked, and there are more behind `last`, if any is given.
    pub(super) fn found_overdue(&mut self, look: &Look, last: Option<(WallTime, Turn)>) {
        self.overdue_after = last;
        if last.is_none() {
            self.overdue_at = look.now + OVERDUE_EVERY;
        }
    }

    /// When there is something to look for, at the latest.
    pub(super) fn next_look(&self, now: Instant, wall: WallTime) -> Option<Instant> {
        let due = self.next_due.map(|due| {
            let ms = due.unix_ms().saturating_sub(wall.unix_ms());
            now + Duration::from_millis(ms.min(WAIT_MS_MAX))
        });
        let overdue = self.may_expire.then_some(self.overdue_at);
        [due, overdue].into_iter().flatten().min()
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn wall(ms: u64) -> WallTime {
        WallTime::from_unix_ms(ms)
    }

    fn after(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    #[test]
    fn a_step_of_the_wall_clock_is_told_once_and_in_its_direction() {
        let now = clock::monotonic();
        let mut times = Times::new(now, wall(100_000), false, false);
        let mut step = |ms, at| times.look(after(now, ms), wall(at)).step_ms;
        assert_eq!(step(10, 100_010), 0);
        assert_eq!(step(20, 3_700_020), 3_600_000);
        assert_eq!(step(30, 3_700_030), 0);
        assert_eq!(step(40, 100_040), -3_600_000);
        assert_eq!(step(50, 100_050), 0);
    }

    #[test]
    fn less_than_a_second_is_no_step_and_a_second_is_one() {
        let now = clock::monotonic();
        let step = |at| {
            let mut times = Times::new(now, wall(100_000), false, false);
            times.look(after(now, 500), wall(at)).step_ms
        };
        assert_eq!((step(101_499), step(101_500)), (0, 1000));
        assert_eq!((step(99_501), step(99_500)), (0, -1000));
    }

    #[test]
    fn a_long_sleep_of_the_process_is_no_step() {
        let now = clock::monotonic();
        let mut times = Times::new(now, wall(100_000), false, false);
        assert_eq!(
            times.look(after(now, 86_400_000), wall(86_500_000)).step_ms,
            0
        );
    }

    #[test]
    fn the_first_that_is_due_wakes_the_writer() {
        let now = clock::monotonic();
        let mut times = Times::new(now, wall(1000), false, false);
        assert_eq!(times.next_look(now, wall(1000)), None);
        times.scheduled(wall(1500));
        times.scheduled(wall(1200));
        times.scheduled(wall(1700));
        assert_eq!(times.next_look(now, wall(1000)), Some(after(now, 200)));
        let look = times.look(after(now, 199), wall(1199));
        assert!(!times.is_due(&look));
        let look = times.look(after(now, 200), wall(1200));
        assert!(times.is_due(&look));
        times.found_due(Some(wall(1500)));
        assert!(!times.is_due(&look));
        assert_eq!(times.next_look(look.now, look.wall), Some(after(now, 500)));
    }

    #[test]
    fn after_a_step_what_is_due_is_looked_for_anew() {
        let now = clock::monotonic();
        let mut times = Times::new(now, wall(10_000), false, false);
        times.scheduled(wall(20_000));
        times.look(now, wall(5000));
        assert!(times.is_due(&times.looked()));
    }

    #[test]
    fn overdue_messages_are_looked_for_page_by_page_and_then_after_a_pause() {
        let now = clock::monotonic();
        let mut times = Times::new(now, wall(0), false, false);
        let look = times.look(now, wall(0));
        assert!(!times.wants_overdue(&look));
        times.limited();
        assert!(times.wants_overdue(&look));
        assert_eq!(times.overdue_after(), None);
        let last = Some((wall(3), Turn::from_stored(9)));
        times.found_overdue(&look, last);
        assert!(times.wants_overdue(&look));
        assert_eq!(times.overdue_after(), last);
        times.found_overdue(&look, None);
        assert!(!times.wants_overdue(&look));
        let look = times.look(after(now, 100), wall(100));
        assert!(times.wants_overdue(&look));
        assert_eq!(times.overdue_after(), None);
        times.nothing_is_pending();
        assert!(!times.wants_overdue(&look));
    }

    impl Times {
        fn looked(&self) -> Look {
            let (now, wall) = self.looked_at;
            Look {
                now,
                wall,
                step_ms: 0,
            }
        }
    }
}
