//! The file with options.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::callers::CallerTables;
use super::given::Layer;
use super::mistakes::Mistakes;
use super::nearest::unknown_key;
use super::option::{Kind, Value};
use super::options::by_key;
use super::source::Source;

/// What the file at `path` says.
pub(super) fn read(path: &Path, mistakes: &mut Mistakes) -> (Layer, CallerTables) {
    let nothing = (Layer::new(), CallerTables::default());
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            mistakes.say(format!("{}: cannot be read: {error}", path.display()));
            return nothing;
        }
    };
    let path = Arc::new(path.to_owned());
    let at = |offset: usize| Source::File {
        path: Arc::clone(&path),
        line: line(&text, offset),
    };
    let (table, faults) = DeTable::parse_recoverable(&text);
    for fault in &faults {
        // The parser's own error quotes the line, in which a password may stand; its message does not.
        let place = at(fault.span().map_or(0, |span| span.start));
        mistakes.say(format!("{place}: {}", fault.message()));
    }
    if !faults.is_empty() {
        // What was not understood there would only give more mistakes.
        return nothing;
    }
    let (mut layer, mut callers) = nothing;
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        let source = at(key.span().start);
        if name == "callers" {
            callers = CallerTables::read(&source, value, &at, mistakes);
            continue;
        }
        match by_key(name) {
            None => mistakes.at(&source, name, &unknown_key(name)),
            Some(option) => match read_value(&option.kind, value) {
                Ok(value) => layer.push((option, source, value)),
                Err(words) => mistakes.at(&source, name, &words),
            },
        }
    }
    (layer, callers)
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or_default();
    1 + before.matches('\n').count()
}

fn read_value(kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
    let value = value.get_ref();
    let (found, shown) = match value {
        DeValue::String(text) => (Some(Value::Text(text.to_string())), format!("{text:?}")),
        DeValue::Boolean(switch) => (Some(Value::Switch(*switch)), switch.to_string()),
        DeValue::Integer(number) => {
            let whole = u64::from_str_radix(number.as_str(), number.radix());
            (whole.ok().map(Value::Whole), number.to_string())
        }
        other => (None, other.type_str().to_owned()),
    };
    match found.filter(|value| kind.allows(value)) {
        Some(value) => Ok(value),
        // What is no text cannot be the secret, but what else it is may hold it.
        None if matches!(kind, Kind::Secret(_)) => Err(format!(
            "must be {kind}, and is of the type {}",
            value.type_str()
        )),
        None => Err(format!("must be {kind}, and is {shown}")),
    }
}
