//! The configuration as it is, as a file that says the same.
//!
//! Each line says where its value comes from. Secrets are hidden: one that comes from a file of its own
//! is told as that file, so that the whole can be loaded; any other is a comment.

use std::fmt::Write as _;

use super::given::Given;
use super::option::{Described, Kind, Value};
use super::options::DESCRIBED;
use super::source::Source;

/// A file of what is `given` and of the defaults.
pub(super) fn effective(given: &Given) -> String {
    let mut text = String::new();
    for option in DESCRIBED.iter().filter(|option| !option.is_companion()) {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{}", line(option, given));
    }
    text.push_str(&given.callers.shown());
    text
}

fn line(option: &Described, given: &Given) -> String {
    let key = option.key;
    let Some((value, source)) = given.value(key).zip(given.source(key)) else {
        return format!("{key} = {} # default", option.default);
    };
    if let Source::Apart { named, path } = source {
        let path = Value::Text(path.display().to_string());
        return format!("{key}_file = {path} # {named}");
    }
    if let (Kind::Secret(masked), Value::Text(text)) = (&option.kind, value) {
        let shown = masked(text);
        if shown != *text {
            let shown = Value::Text(shown);
            return format!("# {key} = {shown} # {source}, with a secret that is not shown");
        }
    }
    format!("{key} = {value} # {source}")
}
