//! What a caller wishes beyond publishing: when, for how long, and who is told.
//!
//! Fields and query parameters have the same names and mean the same; what they may say is a rule of the
//! domain.

use super::faults::Faults;
use super::fields::{self, present, wrong_kind};
use super::json::Kind;
use super::time::{self, time};
use crate::domain::{Deliver, Terms, WallTime};

/// How many names there are: `deliver_at`, `delay_ms`, `give_up_after_ms`, `callback_url`, `group`.
pub(super) const COUNT: usize = 5;

/// The terms in the values of fields, each as it is written in JSON.
pub(super) fn of_fields(faults: &mut Faults, values: [Option<&str>; COUNT]) -> Option<Box<Terms>> {
    let values = values.map(present);
    let [deliver_at, delay_ms, give_up_after_ms, callback_url, group] = values;
    let at =
        fields::text(faults, "/deliver_at", deliver_at).and_then(|text| read_time(faults, &text));
    let after_ms = delay_ms.and_then(|raw| field_ms(faults, "/delay_ms", raw));
    refuse_both(faults, values);
    let terms = Terms {
        deliver: deliver(at, after_ms),
        give_up_after_ms: give_up_after_ms
            .and_then(|raw| field_ms(faults, "/give_up_after_ms", raw)),
        callback_url: fields::text(faults, "/callback_url", callback_url),
        group: fields::text(faults, "/group", group),
        trace: None,
    };
    terms.boxed()
}

/// The terms in the values of query parameters.
pub(super) fn of_options(faults: &mut Faults, values: [Option<&str>; COUNT]) -> Option<Box<Terms>> {
    let [deliver_at, delay_ms, give_up_after_ms, callback_url, group] = values;
    let at = deliver_at.and_then(|text| read_time(faults, text));
    let after_ms = delay_ms.and_then(|text| read_ms(faults, "/delay_ms", text));
    refuse_both(faults, values);
    let terms = Terms {
        deliver: deliver(at, after_ms),
        give_up_after_ms: give_up_after_ms
            .and_then(|text| read_ms(faults, "/give_up_after_ms", text)),
        callback_url: callback_url.map(Into::into),
        group: group.map(Into::into),
        trace: None,
    };
    terms.boxed()
}

/// At most one of the two, whatever they say.
fn refuse_both(faults: &mut Faults, [deliver_at, delay_ms, ..]: [Option<&str>; COUNT]) {
    if deliver_at.is_some() && delay_ms.is_some() {
        let detail = "is given beside deliver_at: a message has at most one of the two";
        faults.push("/delay_ms", detail);
    }
}

fn deliver(at: Option<WallTime>, after_ms: Option<u64>) -> Option<Deliver> {
    let after = after_ms.map(|ms| Deliver::After { ms });
    at.map(Deliver::At).or(after)
}

fn read_time(faults: &mut Faults, text: &str) -> Option<WallTime> {
    let time = time(text);
    if time.is_none() {
        faults.push("/deliver_at", format!("must be {}", time::EXPECTED));
    }
    time
}

fn field_ms(faults: &mut Faults, at: &str, raw: &str) -> Option<u64> {
    if Kind::of(raw) == Kind::Number {
        return read_ms(faults, at, raw);
    }
    wrong_kind(faults, at, raw, "whole milliseconds, a number");
    None
}

fn read_ms(faults: &mut Faults, at: &str, text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let ms = text.parse().ok().filter(|_| digits);
    if ms.is_none() {
        faults.push(
            at,
            "must be a whole number of milliseconds, 0 or more, in digits",
        );
    }
    ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = Result<Option<Terms>, Vec<(String, String)>>;

    fn read(of: impl FnOnce(&mut Faults) -> Option<Box<Terms>>) -> Read {
        let mut faults = Faults::default();
        let terms = of(&mut faults);
        if faults.is_empty() {
            return Ok(terms.map(|terms| *terms));
        }
        let (faults, _) = faults.into_parts();
        let parts = faults
            .into_iter()
            .map(|fault| (fault.pointer, fault.detail));
        Err(parts.collect())
    }

    fn fields(values: [Option<&str>; COUNT]) -> Read {
        read(|faults| of_fields(faults, values))
    }

    fn options(values: [Option<&str>; COUNT]) -> Read {
        read(|faults| of_options(faults, values))
    }

    fn pointers(read: Read) -> Vec<String> {
        let faults = read.expect_err("faults");
        faults.into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn fields_and_options_say_the_same() {
        let time = "2026-11-22T11:00:00+01:00";
        let in_quotes = format!("\"{time}\"");
        let expected = Terms {
            deliver: Some(Deliver::At(WallTime::from_unix_ms(1_795_341_600_000))),
            give_up_after_ms: Some(60_000),
            callback_url: Some("http://h/".into()),
            group: Some("a b".into()),
            trace: None,
        };
        let written = [
            Some(&*in_quotes),
            None,
            Some("60000"),
            Some("\"http://h/\""),
            Some("\"a\\u0020b\""),
        ];
        assert_eq!(fields(written), Ok(Some(expected.clone())));
        let given = [
            Some(time),
            None,
            Some("60000"),
            Some("http://h/"),
            Some("a b"),
        ];
        assert_eq!(options(given), Ok(Some(expected)));
        let delayed = Terms {
            deliver: Some(Deliver::After { ms: 0 }),
            ..Terms::default()
        };
        let delay = [None, Some("0"), None, None, None];
        assert_eq!(fields(delay), Ok(Some(delayed.clone())));
        assert_eq!(options(delay), Ok(Some(delayed)));
    }

    #[test]
    fn null_and_nothing_are_no_terms() {
        assert_eq!(fields([None; COUNT]), Ok(None));
        assert_eq!(fields([Some("null"); COUNT]), Ok(None));
        assert_eq!(options([None; COUNT]), Ok(None));
        let one = [Some("null"), Some("5"), None, None, None];
        assert!(fields(one).is_ok_and(|terms| terms.is_some()));
    }

    #[test]
    fn a_message_has_a_time_or_a_delay_also_when_they_are_faulty() {
        let both = [
            Some("\"2026-11-22T10:00:00Z\""),
            Some("1"),
            None,
            None,
            None,
        ];
        assert_eq!(pointers(fields(both)), ["/delay_ms"]);
        let both = [Some("2026-11-22T10:00:00Z"), Some("1"), None, None, None];
        assert_eq!(pointers(options(both)), ["/delay_ms"]);
        let both = [Some("\"x\""), Some("1"), None, None, None];
        assert_eq!(pointers(fields(both)), ["/deliver_at", "/delay_ms"]);
    }

    #[test]
    fn every_fault_is_told() {
        let numbers = [Some("1"), None, Some("\"1\""), Some("1"), Some("[]")];
        let all = [
            "/deliver_at",
            "/give_up_after_ms",
            "/callback_url",
            "/group",
        ];
        assert_eq!(pointers(fields(numbers)), all);
        for bad in ["-1", "1.0", "1e3", "-0", "18446744073709551616"] {
            let values = [None, Some(bad), Some(bad), None, None];
            assert_eq!(pointers(fields(values)), ["/delay_ms", "/give_up_after_ms"]);
            assert_eq!(
                pointers(options(values)),
                ["/delay_ms", "/give_up_after_ms"]
            );
        }
        for bad in ["", "+1", " 1", "true"] {
            let values = [Some(bad), None, Some(bad), None, None];
            assert_eq!(
                pointers(options(values)),
                ["/deliver_at", "/give_up_after_ms"]
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_ends_anything(at in "\\PC{0,30}", delay in "\\PC{0,30}|-?[0-9]{0,25}", give_up in "\\PC{0,30}|[0-9]{0,25}") {
            let _ = options([Some(&at), None, Some(&give_up), None, None]);
            let _ = options([None, Some(&delay), Some(&give_up), None, None]);
            let quoted = serde_json::json!(at).to_string();
            let delay = serde_json::json!(delay.parse::<f64>().unwrap_or(0.0)).to_string();
            let _ = fields([Some(&quoted), None, Some(&delay), None, None]);
            let _ = fields([None, Some(&delay), None, Some(&quoted), Some(&quoted)]);
        }
    }
}
