//! The tables `[callers.NAME]` of a file, and where in it they stand.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::table::CallerTable;
use crate::config::mistakes::Mistakes;
use crate::config::source::Source;
use crate::domain::Caller;
use crate::domain::access::Callers;

/// The tables of a file, in the order of their names.
#[derive(Default)]
pub(in crate::config) struct CallerTables(BTreeMap<String, Placed>);

/// A table and where it stands.
struct Placed {
    table: CallerTable,
    source: Source,
    /// Where its keys stand.
    keys: BTreeMap<String, Source>,
}

impl CallerTables {
    /// What the key `callers` at `source` holds. `at` gives the place of an offset.
    pub(in crate::config) fn read(
        source: &Source,
        value: &Spanned<DeValue<'_>>,
        at: &impl Fn(usize) -> Source,
        mistakes: &mut Mistakes,
    ) -> Self {
        let mut tables = Self::default();
        let Some(named) = value.get_ref().as_table() else {
            let words = "must be tables, one for each caller: [callers.NAME]";
            mistakes.at(source, "callers", words);
            return tables;
        };
        for (name, value) in named {
            let source = at(name.span().start);
            let key = format!("callers.{}", name.get_ref());
            match CallerTable::deserialize(ValueDeserializer::from(value.clone())) {
                Err(error) => {
                    let place = error.span().map_or(source, |span| at(span.start));
                    mistakes.at(&place, &key, error.message());
                }
                Ok(table) => {
                    let keys = value.get_ref().as_table().into_iter().flatten();
                    let keys =
                        keys.map(|(key, _)| (key.get_ref().to_string(), at(key.span().start)));
                    let placed = Placed {
                        table,
                        source,
                        keys: keys.collect(),
                    };
                    tables.0.insert(name.get_ref().to_string(), placed);
                }
            }
        }
        tables
    }

    /// Names the callers, with all that is theirs. No mistake shows a key or a secret.
    pub(super) fn add(&self, callers: &mut Callers, mistakes: &mut Mistakes) {
        for (name, placed) in &self.0 {
            let mut wrong = |key: &str, words: &str| {
                let place = placed.keys.get(key).unwrap_or(&placed.source);
                let dot = if key.is_empty() { "" } else { "." };
                mistakes.at(place, &format!("callers.{name}{dot}{key}"), words);
            };
            match Caller::named(name) {
                Err(error) => wrong("", &error.to_string()),
                Ok(caller) => placed.table.add(&caller, callers, &mut wrong),
            }
        }
    }

    /// As a file says it, without the secrets. What is told of keys are hashes.
    pub(in crate::config) fn shown(&self) -> String {
        let mut text = String::new();
        for (name, placed) in &self.0 {
            let named = BTreeMap::from([("callers", BTreeMap::from([(name, &placed.table)]))]);
            // Strings, numbers and lists of them always have a form in TOML.
            let table = toml::to_string(&named).unwrap_or_default();
            // Writing to a text cannot fail.
            let _ = write!(text, "\n# {}\n{table}", placed.source);
            if placed.table.has_secrets() {
                text.push_str("# webhook_secrets, which are not shown\n");
            }
        }
        text
    }
}
