//! When the writer has to look for what is due or overdue, and whether the wall clock has stepped.

use std::time::{Duration, Instant};

use crate::domain::{Turn, WallTime};
use crate::relay::dispatch::Moment;

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

impl Look {
    /// By how much the wall clock has stepped between `moment`, at which both clocks were looked at, and
    /// this look, whichever was first.
    pub(super) fn step_since(&self, moment: Moment) -> i64 {
        step_ms(moment, super::moment(self))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Times {
    looked_at: Moment,
    /// When the next scheduled message is due.
    next_due: Option<WallTime>,
    /// Some pending message may have a time that is over at some time.
    may_expire: bool,
    overdue_at: Instant,
    overdue_after: Option<(WallTime, Turn)>,
}

impl Times {
    /// Something may be due or overdue already, when the store is not empty. `last` is what the wall
    /// clock was before the start: if it is behind that, it was set back while nobody looked. Whether it
    /// was set forward nobody can tell from the time that has passed.
    pub(super) fn new(
        start: Moment,
        last: Option<WallTime>,
        scheduled: bool,
        pending: bool,
    ) -> Self {
        let Moment { now, wall } = start;
        Self {
            looked_at: Moment {
                now,
                wall: last.map_or(wall, |last| last.max(wall)),
            },
            next_due: scheduled.then(WallTime::default),
            may_expire: pending || scheduled,
            overdue_at: now,
            overdue_after: None,
        }
    }

    /// The clocks were looked at.
    pub(super) fn look(&mut self, (now, wall): (Instant, WallTime)) -> Look {
        let look = Moment { now, wall };
        let step_ms = step_ms(std::mem::replace(&mut self.looked_at, look), look);
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

/// By how much the wall clock has gone further than the monotonic one; 0 is less than a step.
fn step_ms(from: Moment, to: Moment) -> i64 {
    let ms = |duration: Duration| i128::try_from(duration.as_millis()).unwrap_or(i128::MAX);
    let passed_ms = match to.now.checked_duration_since(from.now) {
        Some(passed) => ms(passed),
        None => -ms(from.now.saturating_duration_since(to.now)),
    };
    let shown_ms = i128::from(to.wall.unix_ms()) - i128::from(from.wall.unix_ms());
    let ahead_ms = shown_ms.saturating_sub(passed_ms);
    if ahead_ms.unsigned_abs() < u128::from(STEP_MS_MIN) {
        return 0;
    }
    i64::try_from(ahead_ms).unwrap_or(if ahead_ms < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn wall(ms: u64) -> WallTime {
        WallTime::from_unix_ms(ms)
    }

    fn moment(now: Instant, ms: u64) -> Moment {
        let wall = wall(ms);
        Moment { now, wall }
    }

    fn after(now: Instant, ms: u64) -> Instant {
        now + Duration::from_millis(ms)
    }

    #[test]
    fn a_step_of_the_wall_clock_is_told_once_and_in_its_direction() {
        let now = clock::monotonic();
        let mut times = Times::new(moment(now, 100_000), None, false, false);
        let mut step = |ms, at| times.look((after(now, ms), wall(at))).step_ms;
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
            let mut times = Times::new(moment(now, 100_000), None, false, false);
            times.look((after(now, 500), wall(at))).step_ms
        };
        assert_eq!((step(101_499), step(101_500)), (0, 1000));
        assert_eq!((step(99_501), step(99_500)), (0, -1000));
    }

    #[test]
    fn a_clock_that_is_behind_what_it_was_before_the_start_was_set_back() {
        let now = clock::monotonic();
        let step = |last, at| {
            let mut times = Times::new(moment(now, at), Some(wall(last)), true, true);
            times.look((after(now, 10), wall(at + 10))).step_ms
        };
        assert_eq!(step(3_700_000, 100_000), -3_600_000);
        assert_eq!((step(101_000, 100_000), step(100_999, 100_000)), (-1000, 0));
        // Nobody can tell a step forward from the time that the gateway was away.
        assert_eq!(step(100_000, 3_700_000), 0);
    }

    #[test]
    fn a_moment_before_or_after_a_look_shows_whether_the_clock_has_stepped_between_them() {
        let now = clock::monotonic();
        let look = |ms, at| Look {
            now: after(now, ms),
            wall: wall(at),
            step_ms: 0,
        };
        let accepted = moment(after(now, 5000), 100_000);
        let since = |ms, at| look(ms, at).step_since(accepted);
        assert_eq!((since(5100, 100_100), since(4900, 99_900)), (0, 0));
        assert_eq!(
            (since(5100, 40_100), since(5100, 160_100)),
            (-60_000, 60_000)
        );
        assert_eq!(
            (since(4900, 39_900), since(4900, 159_900)),
            (-60_000, 60_000)
        );
    }

    #[test]
    fn a_long_sleep_of_the_process_is_no_step() {
        let now = clock::monotonic();
        let mut times = Times::new(moment(now, 100_000), None, false, false);
        assert_eq!(
            (times.look((after(now, 86_400_000), wall(86_500_000)))).step_ms,
            0
        );
    }

    #[test]
    fn the_first_that_is_due_wakes_the_writer() {
        let now = clock::monotonic();
        let mut times = Times::new(moment(now, 1000), None, false, false);
        assert_eq!(times.next_look(now, wall(1000)), None);
        times.scheduled(wall(1500));
        times.scheduled(wall(1200));
        times.scheduled(wall(1700));
        assert_eq!(times.next_look(now, wall(1000)), Some(after(now, 200)));
        let look = times.look((after(now, 199), wall(1199)));
        assert!(!times.is_due(&look));
        let look = times.look((after(now, 200), wall(1200)));
        assert!(times.is_due(&look));
        times.found_due(Some(wall(1500)));
        assert!(!times.is_due(&look));
        assert_eq!(times.next_look(look.now, look.wall), Some(after(now, 500)));
    }

    #[test]
    fn after_a_step_what_is_due_is_looked_for_anew() {
        let now = clock::monotonic();
        let mut times = Times::new(moment(now, 10_000), None, false, false);
        times.scheduled(wall(20_000));
        times.look((now, wall(5000)));
        assert!(times.is_due(&times.looked()));
    }

    #[test]
    fn overdue_messages_are_looked_for_page_by_page_and_then_after_a_pause() {
        let now = clock::monotonic();
        let mut times = Times::new(moment(now, 0), None, false, false);
        let look = times.look((now, wall(0)));
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
        let look = times.look((after(now, 100), wall(100)));
        assert!(times.wants_overdue(&look));
        assert_eq!(times.overdue_after(), None);
        times.nothing_is_pending();
        assert!(!times.wants_overdue(&look));
    }

    impl Times {
        fn looked(&self) -> Look {
            let Moment { now, wall } = self.looked_at;
            Look {
                now,
                wall,
                step_ms: 0,
            }
        }
    }
}
