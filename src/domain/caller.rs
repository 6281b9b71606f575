//! Whose a message is.

use std::fmt;
use std::sync::Arc;

/// The name of whoever handed a message over, by which its messages are kept apart from those of
/// others: a rotated key changes nothing. Where no keys are configured everybody is the one caller
/// without a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller(Option<Arc<str>>);

/// Why a text is no caller's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a caller's name has 1 to {} characters, each a letter, a digit, '.', '_' or '-'",
    Caller::NAME_BYTES_MAX
)]
pub struct InvalidName;

impl Caller {
    /// Bytes of a name at most.
    pub const NAME_BYTES_MAX: usize = 64;

    /// The caller of this name.
    ///
    /// # Errors
    /// [`InvalidName`], when the text is none.
    pub fn named(name: &str) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > Self::NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Err(InvalidName);
        }
        Ok(Self(Some(name.into())))
    }

    /// As a store kept it; the empty name is the caller without one.
    #[must_use]
    pub fn from_stored(name: &str) -> Self {
        Self((!name.is_empty()).then(|| name.into()))
    }

    /// The name; empty for the caller without one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["a", "billing", "billing-2.eu_west", &"x".repeat(64)] {
            assert_eq!(Caller::named(name).expect("a name").as_str(), name);
        }
        for name in ["", "a b", "a:b", "ä", "a\n", "a/b", &"x".repeat(65)] {
            assert_eq!(Caller::named(name), Err(InvalidName), "{name:?}");
        }
    }

    #[test]
    fn who_has_no_name_comes_back_without_one() {
        assert_eq!(
            Caller::from_stored(Caller::default().as_str()),
            Caller::default()
        );
        let named = Caller::named("billing").expect("a name");
        assert_eq!(Caller::from_stored(named.as_str()), named);
    }
}
