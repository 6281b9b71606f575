//! The fields of an object with fixed names, and the values that they may have.
//!
//! `null` means that an optional field is absent, as most clients write it; the payload, whose JSON
//! may be null, does not go through these functions.

use std::ops::RangeInclusive;

use super::faults::Faults;
use super::json::{self, Cursor, Kind};
use crate::domain::rules::pointer_step;

/// The values of the object `raw` at `at`, in the order of `names`, each as it is written. Names
/// that are not known or occur twice are faults.
pub(super) fn read<'a, const N: usize>(
    raw: &'a str,
    at: &str,
    names: &[&str; N],
    faults: &mut Faults,
) -> [Option<&'a str>; N] {
    let mut values = [None; N];
    let mut cursor = Cursor::new(raw);
    cursor.enter();
    while cursor.next() {
        let (name, value) = (cursor.key(), cursor.value());
        let Ok(name) = json::decode(name) else {
            faults.push(at, format!("a name in it {}", json::LONE_SURROGATE));
            continue;
        };
        match names.iter().position(|known| *known == name) {
            None => faults.push(pointer_step(at, &name), "is not a field that is known here"),
            Some(index) if values[index].is_some() => {
                faults.push(pointer_step(at, &name), "occurs more than once");
            }
            Some(index) => values[index] = Some(value),
        }
    }
    values
}

/// A string.
pub(super) fn text(faults: &mut Faults, at: &str, raw: Option<&str>) -> Option<Box<str>> {
    let raw = present(raw)?;
    if Kind::of(raw) != Kind::Text {
        wrong_kind(faults, at, raw, "a string");
        return None;
    }
    let text = json::decode(raw).ok();
    if text.is_none() {
        faults.push(at, json::LONE_SURROGATE);
    }
    text.map(Into::into)
}

/// `true` or `false`.
pub(super) fn flag(faults: &mut Faults, at: &str, raw: Option<&str>) -> Option<bool> {
    let raw = present(raw)?;
    if Kind::of(raw) != Kind::Bool {
        wrong_kind(faults, at, raw, "true or false");
        return None;
    }
    Some(raw == "true")
}

/// A whole number within `range`, written in digits.
pub(super) fn whole(
    faults: &mut Faults,
    at: &str,
    raw: Option<&str>,
    range: RangeInclusive<u64>,
) -> Option<u64> {
    let raw = present(raw)?;
    let number = raw
        .parse()
        .ok()
        .filter(|number| Kind::of(raw) == Kind::Number && range.contains(number));
    if number.is_none() {
        let (from, to) = (range.start(), range.end());
        faults.push(at, format!("must be a whole number from {from} to {to}"));
    }
    number
}

/// The value, unless it is null.
pub(super) fn present(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| Kind::of(raw) != Kind::Null)
}

/// Names what was expected and what was found.
pub(super) fn wrong_kind(faults: &mut Faults, at: &str, raw: &str, expected: &str) {
    let found = Kind::of(raw).name();
    faults.push(at, format!("must be {expected}, is {found}"));
}
