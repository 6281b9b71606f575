//! The one place that asks what time it is.

use std::time::{Duration, Instant, SystemTime};

use crate::domain::WallTime;

/// Two looks that are so far apart are not of one moment.
const APART_MAX: Duration = Duration::from_millis(50);

/// The wall clock. It may step; nothing but what people are told hangs on it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the room of the clock")]
pub fn wall() -> WallTime {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    WallTime::from_unix_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The monotonic clock, which all durations run on.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the room of the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Both clocks at one moment, also when the process is kept from running between two looks: else that
/// pause would look like a step of one of them.
#[must_use]
pub fn both() -> (Instant, WallTime) {
    let mut before = monotonic();
    loop {
        let wall = wall();
        let after = monotonic();
        if after.saturating_duration_since(before) < APART_MAX {
            return (before, wall);
        }
        before = after;
    }
}
