//! Wall time as this project stores and tells it.

use std::fmt;
use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// This time moved forward by `ms` milliseconds, held at the end of the range.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This time moved by `ms` milliseconds, back when they are negative, held within the range.
    #[must_use]
    pub fn moved_by_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add_signed(ms))
    }

    /// This time moved back by `age`, held at the beginning of the range.
    #[must_use]
    pub fn minus(self, age: Duration) -> Self {
        let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(ms))
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC with milliseconds and `Z`. A time past the year 9999, which RFC 3339 cannot
    /// say, is told as the last moment that it can.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc_with_milliseconds() {
        let told = WallTime::from_unix_ms(1_795_341_600_123).to_string();
        assert_eq!(told, "2026-11-22T10:00:00.123Z");
        assert_eq!(
            WallTime::from_unix_ms(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn a_time_is_moved_back_no_further_than_to_the_beginning() {
        let time = WallTime::from_unix_ms(1500);
        assert_eq!(
            time.minus(Duration::from_secs(1)),
            WallTime::from_unix_ms(500)
        );
        assert_eq!(time.minus(Duration::from_secs(2)), WallTime::default());
        assert_eq!(time.minus(Duration::MAX), WallTime::default());
    }

    #[test]
    fn a_time_beyond_rfc3339_does_not_panic() {
        assert!(WallTime::from_unix_ms(u64::MAX).to_string().ends_with('Z'));
    }
}
