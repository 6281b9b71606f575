//! The keys that callers prove themselves with.
//!
//! Only their hashes are kept, so no log, core dump or `Debug` can show a key; and hashes can be compared
//! in a time that tells nothing, whatever the lengths of the keys are.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::Caller;

/// Characters of a key at least: shorter ones can be guessed.
const KEY_CHARACTERS_MIN: usize = 16;

/// Characters of a key at most: it must fit into a header.
const KEY_CHARACTERS_MAX: usize = 512;

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is too short or too long, or holds what a header cannot.
    #[error(
        "a key has {KEY_CHARACTERS_MIN} to {KEY_CHARACTERS_MAX} characters, each a visible one of ASCII"
    )]
    Form,
    /// Two callers cannot have one key.
    #[error("the key is given more than once")]
    Repeated,
}

/// Who has which keys. A caller may have several, so that keys can be exchanged one after the other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeys(Vec<(Caller, Hash)>);

type Hash = [u8; 32];

impl ApiKeys {
    /// Gives `caller` one more key.
    ///
    /// # Errors
    /// [`KeyError`], which does not show the key.
    pub fn add(&mut self, caller: Caller, key: &str) -> Result<(), KeyError> {
        let fits = (KEY_CHARACTERS_MIN..=KEY_CHARACTERS_MAX).contains(&key.len());
        if !fits || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Form);
        }
        let hash = hash(key.as_bytes());
        if self.0.iter().any(|(_, known)| *known == hash) {
            return Err(KeyError::Repeated);
        }
        self.0.push((caller, hash));
        Ok(())
    }

    /// Whether there are none, and nobody can prove anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everybody who has a key, each once.
    #[must_use]
    pub fn callers(&self) -> Vec<Caller> {
        let mut callers: Vec<_> = self.0.iter().map(|(caller, _)| caller.clone()).collect();
        callers.sort();
        callers.dedup();
        callers
    }

    /// Whose `key` is. Every key is looked at, and each for the same time.
    pub(super) fn whose(&self, key: &[u8]) -> Option<&Caller> {
        let hash = hash(key);
        let mut found = None;
        for (caller, known) in &self.0 {
            if bool::from(known.ct_eq(&hash)) {
                found = Some(caller);
            }
        }
        found
    }
}

fn hash(key: &[u8]) -> Hash {
    Sha256::digest(key).into()
}

impl fmt::Debug for ApiKeys {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(caller, _)| (caller.as_str(), "…"));
        f.debug_map().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Caller {
        Caller::named(name).expect("a name")
    }

    #[test]
    fn a_key_is_its_callers_and_several_may_be() {
        let mut keys = ApiKeys::default();
        keys.add(named("b"), "0123456789abcdef").expect("a key");
        keys.add(named("a"), "0123456789abcdeX").expect("a key");
        keys.add(named("b"), "the-new-key-of-b").expect("a key");
        assert_eq!(keys.whose(b"0123456789abcdef"), Some(&named("b")));
        assert_eq!(keys.whose(b"0123456789abcdeX"), Some(&named("a")));
        assert_eq!(keys.whose(b"the-new-key-of-b"), Some(&named("b")));
        for nobodys in [&b""[..], b"0123456789abcde", b"0123456789abcdefg"] {
            assert_eq!(keys.whose(nobodys), None);
        }
        assert_eq!(keys.callers(), [named("a"), named("b")]);
    }

    #[test]
    fn what_is_short_or_cannot_be_sent_is_no_key_and_none_is_given_twice() {
        let mut keys = ApiKeys::default();
        let long = "x".repeat(KEY_CHARACTERS_MAX + 1);
        for bad in [
            "",
            "0123456789abcde",
            "0123456789abcde\n",
            "0123456789abcdé",
            &long,
        ] {
            assert_eq!(keys.add(named("a"), bad), Err(KeyError::Form), "{bad}");
        }
        let longest = "x".repeat(KEY_CHARACTERS_MAX);
        assert_eq!(keys.add(named("a"), &longest), Ok(()));
        assert_eq!(keys.add(named("b"), &longest), Err(KeyError::Repeated));
    }

    #[test]
    fn keys_are_not_shown() {
        let mut keys = ApiKeys::default();
        keys.add(named("billing"), "0123456789abcdef")
            .expect("a key");
        let shown = format!("{keys:?}");
        assert!(
            shown.contains("billing") && !shown.contains("0123"),
            "{shown}"
        );
    }
}
