//! Times as callers write them.

use crate::domain::WallTime;

/// What a caller is told who has written something else.
pub(crate) const EXPECTED: &str = "a time as RFC 3339 writes it, such as 2026-11-22T10:00:00Z";

/// Of a second.
const NANOSECONDS: i128 = 1_000_000_000;

/// The first millisecond that is not before the RFC 3339 time `text`: the gateway counts milliseconds.
/// Times before 1970 are told as its beginning. `None` is anything else, such as the other forms of
/// ISO 8601: a time without its offset means another moment to everybody.
pub(crate) fn time(text: &str) -> Option<WallTime> {
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    // A leap second is none of Unix time, and is read as the second before it.
    let leap = if text.get(17..19) == Some("60") {
        NANOSECONDS
    } else {
        0
    };
    let nanoseconds = (time.as_nanosecond() + leap).max(0).cast_unsigned();
    let ms = nanoseconds.div_ceil(1_000_000);
    u64::try_from(ms).ok().map(WallTime::from_unix_ms)
}

/// Whether every character is of the right kind at its place (RFC 3339, section 5.6).
fn is_rfc3339(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let (fraction, offset) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(digits(rest)),
        None => (&b"0"[..], rest),
    };
    fits(date_time, b"dddd-dd-ddTdd:dd:dd")
        && !fraction.is_empty()
        && (fits(offset, b"Z") || fits(offset, b"+dd:dd") || fits(offset, b"-dd:dd"))
        && (offset.len() == 1 || is_of_a_day(&offset[1..]))
}

/// Whether `hh:mm` is a time of a day.
fn is_of_a_day(text: &[u8]) -> bool {
    text[..2] <= b"23"[..] && text[3..] <= b"59"[..]
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether `text` is as `form`, in which `d` stands for a digit. Letters may be small.
fn fits(text: &[u8], form: &[u8]) -> bool {
    let same = |(byte, wanted): (&u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        _ => byte.eq_ignore_ascii_case(wanted),
    };
    text.len() == form.len() && text.iter().zip(form).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> Option<u64> {
        time(text).map(WallTime::unix_ms)
    }

    #[test]
    fn a_time_is_the_first_millisecond_that_is_not_before_it() {
        const TEN: u64 = 1_795_341_600_000;
        for (text, expected) in [
            ("2026-11-22T10:00:00Z", TEN),
            ("2026-11-22t10:00:00z", TEN),
            ("2026-11-22T11:00:00+01:00", TEN),
            ("2026-11-22T10:00:00-00:00", TEN),
            ("2026-11-22T10:00:00.123Z", TEN + 123),
            ("2026-11-22T10:00:00.1230001Z", TEN + 124),
            ("2026-11-22T09:59:60Z", TEN),
            ("2026-11-22T10:59:60.5+01:00", TEN + 500),
            ("2026-11-23T09:59:00+23:59", TEN),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", 0),
            ("0001-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        assert!(ms("9999-12-30T00:00:00Z").is_some());
    }

    #[test]
    fn nothing_else_is_a_time() {
        for text in [
            "",
            "tomorrow",
            "1795341600",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22T10:00Z",
            "2026-11-22 10:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00,5Z",
            "2026-11-22T10:00:00+01",
            "2026-11-22T10:00:00+0100",
            "2026-11-22T10:00:00 01:00",
            "2026-11-22T10:00:00Z[Europe/Berlin]",
            "2026-11-22T10:00:00+24:00",
            "2026-11-22T10:00:00-01:60",
            "2026-11-22T10:00:61Z",
            "2026-02-30T10:00:00Z",
            "2026-11-22T25:00:00Z",
            "+002026-11-22T10:00:00Z",
            " 2026-11-22T10:00:00Z",
            "２026-11-22T10:00:00Z",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_ends_anything(text in "\\PC{0,40}|[0-9TZ:.+-]{15,40}|[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,12})?([zZ]|[+-][0-9]{2}:[0-9]{2})") {
            let _ = time(&text);
        }

        #[test]
        fn a_time_that_is_told_is_read_back(ms in 0..253_402_207_200_000_u64) {
            let told = WallTime::from_unix_ms(ms);
            prop_assert_eq!(time(&told.to_string()), Some(told));
        }
    }
}
