//! Everything that is wrong with a configuration, each with its place.

use super::given::Given;
use super::source::Source;

/// Everything that is wrong with a configuration, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// The mistakes that were found so far.
#[derive(Default)]
pub(super) struct Mistakes {
    told: Vec<String>,
    keys: Vec<String>,
}

impl Mistakes {
    /// What was given at `source` for `key` is wrong.
    pub(super) fn at(&mut self, source: &Source, key: &str, words: &str) {
        self.told.push(format!("{source}: {key}: {words}"));
        self.keys.push(key.to_owned());
    }

    /// What `key` is, wherever that was given, is wrong.
    pub(super) fn of(&mut self, given: &Given, key: &str, words: &str) {
        match given.source(key) {
            Some(source) => self.at(source, key, words),
            None => self.told.push(format!("{key}: {words}")),
        }
    }

    /// Something that no key stands for is wrong.
    pub(super) fn say(&mut self, words: String) {
        self.told.push(words);
    }

    /// Whether something that was given for `key` is wrong.
    pub(super) fn concern(&self, key: &str) -> bool {
        self.keys.iter().any(|wrong| wrong == key)
    }

    /// `good`, if nothing was wrong.
    ///
    /// # Errors
    /// All that was.
    pub(super) fn none<T>(self, good: T) -> Result<T, ConfigError> {
        if self.told.is_empty() {
            Ok(good)
        } else {
            Err(self.into())
        }
    }
}

impl From<Mistakes> for ConfigError {
    fn from(mistakes: Mistakes) -> Self {
        Self(mistakes.told)
    }
}
