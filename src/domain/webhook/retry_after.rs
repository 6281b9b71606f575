//! `Retry-After` (RFC 9110, section 10.2.3): whole seconds, or a date.

use std::time::Duration;

use jiff::fmt::{rfc2822, strtime};

use crate::domain::time::WallTime;

/// How long the header's `value` asks to wait from `now` on; `None` when it says nothing that can be
/// understood. A date that is past asks for no wait.
#[must_use]
pub fn retry_after(value: &str, now: WallTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds still mean: very long.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at_ms = u64::try_from(date_ms(value)?).unwrap_or(0);
    Some(Duration::from_millis(at_ms.saturating_sub(now.unix_ms())))
}

/// A date in the form that is to be sent, or in one of the two that are to be understood (RFC 9110,
/// section 5.6.7).
fn date_ms(value: &str) -> Option<i64> {
    if let Ok(date) = rfc2822::DateTimeParser::new().parse_timestamp(value) {
        return Some(date.as_millisecond());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| {
            let date = strtime::parse(form, value).ok()?.to_datetime().ok()?;
            let date = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(date.timestamp().as_millisecond())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const EXAMPLE_MS: u64 = 784_111_777_000;

    fn asked(value: &str) -> Option<Duration> {
        retry_after(value, WallTime::from_unix_ms(EXAMPLE_MS - 90_500))
    }

    #[test]
    fn whole_seconds_are_understood() {
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked(" 120 "), Some(Duration::from_mins(2)));
        let longest = Duration::from_secs(u64::MAX);
        assert_eq!(asked("99999999999999999999999"), Some(longest));
    }

    #[test]
    fn all_three_forms_of_dates_are_understood() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(asked(date), Some(Duration::from_millis(90_500)), "{date}");
        }
    }

    #[test]
    fn a_date_that_is_past_asks_for_no_wait() {
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("Mon, 01 Jan 1900 00:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        for value in [
            "",
            " ",
            "-1",
            "1.5",
            "soon",
            "+3",
            "12 s",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(asked(value), None, "{value:?}");
        }
    }
}
