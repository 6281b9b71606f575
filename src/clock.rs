//! The one place that asks what time it is.

use std::time::{Duration, Instant, SystemTime};

use crate::domain::WallTime;

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
