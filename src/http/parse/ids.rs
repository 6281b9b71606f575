//! `{"ids":[…]}`: the messages that are asked about.

use std::collections::HashSet;

use super::Refusal;
use super::faults::Faults;
use super::fields::{self, wrong_kind};
use super::json::{self, Cursor, Kind};
use crate::domain::MessageId;

/// Ids of one request.
pub(crate) const IDS_MAX: usize = 1000;

/// Nothing longer is taken for an id, not even for one that nobody knows.
const TEXT_CHARACTERS_MAX: usize = 255;

/// What was asked for, each once and in the order of the request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ids {
    /// What can be an id.
    pub(crate) known_form: Vec<MessageId>,
    /// What cannot, so that nobody knows it.
    pub(crate) unknown_form: Vec<Box<str>>,
}

/// The ids in `body`.
pub(crate) fn ids(body: &[u8]) -> Result<Ids, Refusal> {
    let raw = json::object(body).map_err(Refusal::Malformed)?;
    let mut faults = Faults::default();
    let [ids] = fields::read(raw, "", &["ids"], &mut faults);
    let mut read = Ids::default();
    match ids {
        None => faults.push("/ids", "is required"),
        Some(raw) if Kind::of(raw) != Kind::Array => {
            wrong_kind(&mut faults, "/ids", raw, "an array of ids");
        }
        Some(raw) => read = items(raw, &mut faults)?,
    }
    if faults.is_empty() {
        Ok(read)
    } else {
        Err(Refusal::Faulty(faults))
    }
}

fn items(raw: &str, faults: &mut Faults) -> Result<Ids, Refusal> {
    let mut ids = Ids::default();
    let (mut seen, mut seen_texts) = (HashSet::new(), HashSet::new());
    let mut cursor = Cursor::new(raw);
    let mut count = 0_usize;
    cursor.enter();
    while cursor.next() {
        let at = format!("/ids/{count}");
        count += 1;
        if count > IDS_MAX {
            return Err(Refusal::TooMany(IDS_MAX));
        }
        let raw = cursor.value();
        if Kind::of(raw) == Kind::Null {
            wrong_kind(faults, &at, raw, "a string");
            continue;
        }
        let Some(text) = fields::text(faults, &at, Some(raw)) else {
            continue;
        };
        match text.parse::<MessageId>() {
            Ok(id) if seen.insert(id) => ids.known_form.push(id),
            Err(_) if text.chars().count() > TEXT_CHARACTERS_MAX => {
                faults.push(
                    at,
                    format!("is longer than {TEXT_CHARACTERS_MAX} characters"),
                );
            }
            Err(_) if seen_texts.insert(text.clone()) => ids.unknown_form.push(text),
            Ok(_) | Err(_) => {}
        }
    }
    if count == 0 {
        faults.push("/ids", "holds no id");
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(body: &str) -> Vec<String> {
        match ids(body.as_bytes()) {
            Err(Refusal::Faulty(faults)) => {
                let (faults, _) = faults.into_parts();
                faults.into_iter().map(|fault| fault.pointer).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_are_told_once_in_their_order() {
        let body = r#"{"ids":["0193A5C4-0000-7000-8000-000000000002", "x",
            "0193a5c4-0000-7000-8000-000000000001", "0193a5c4-0000-7000-8000-000000000002", "x"]}"#;
        let read = ids(body.as_bytes()).expect("ids");
        let ends: Vec<_> = read.known_form.iter().map(|id| id.random()).collect();
        assert_eq!((ends, read.unknown_form), (vec![2, 1], vec!["x".into()]));
    }

    #[test]
    fn every_fault_is_named() {
        let long = "x".repeat(256);
        assert_eq!(pointers("{}"), ["/ids"]);
        assert_eq!(pointers(r#"{"ids":[]}"#), ["/ids"]);
        assert_eq!(pointers(r#"{"ids":"x"}"#), ["/ids"]);
        assert_eq!(
            pointers(r#"{"ids":[1,"x",null],"y":1}"#),
            ["/y", "/ids/0", "/ids/2"]
        );
        assert_eq!(pointers(&format!(r#"{{"ids":["{long}"]}}"#)), ["/ids/0"]);
    }

    #[test]
    fn exactly_the_limit_is_taken_and_one_more_is_not() {
        let body = |count: usize| format!(r#"{{"ids":[{}]}}"#, vec![r#""x""#; count].join(","));
        assert!(ids(body(IDS_MAX).as_bytes()).is_ok());
        assert_eq!(
            ids(body(IDS_MAX + 1).as_bytes()),
            Err(Refusal::TooMany(IDS_MAX))
        );
    }
}
