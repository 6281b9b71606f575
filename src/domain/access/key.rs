//! The keys that callers prove themselves with.
//!
//! Only hashes of them are kept and configured, so no file, log, core dump or `Debug` can show a key; and
//! hashes can be compared in a time that tells nothing, whatever the lengths of the keys are. One round of
//! SHA-256 is enough: what makes passwords need more is that they can be guessed, which 256 random bits
//! cannot. So a wrong key costs the gateway a microsecond.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Characters of a key at least: shorter ones can be guessed.
const KEY_CHARACTERS_MIN: usize = 16;

/// Characters of a key at most: it must fit into a header.
const KEY_CHARACTERS_MAX: usize = 512;

/// What the text of a hash begins with.
const HASH_PREFIX: &str = "sha256:";

/// What keys begin with that the gateway has made, so that scanners for leaked secrets can know them.
const KEY_PREFIX: &str = "amqpost_";

/// Why a text is no key. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key has {KEY_CHARACTERS_MIN} to {KEY_CHARACTERS_MAX} characters, each a visible one of ASCII"
)]
pub struct InvalidKey;

/// Why a text is no hash of a key. It is not repeated: it may be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key is configured as {HASH_PREFIX} and 64 hexadecimal digits, as amqpost keygen prints it"
)]
pub struct InvalidHash;

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a key that somebody has chosen.
    ///
    /// # Errors
    /// [`InvalidKey`], when it is too short or too long, or holds what a header cannot.
    pub fn of_chosen(key: &str) -> Result<Self, InvalidKey> {
        let fits = (KEY_CHARACTERS_MIN..=KEY_CHARACTERS_MAX).contains(&key.len());
        if !fits || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidKey);
        }
        Ok(Self::of(key.as_bytes()))
    }

    /// The hash of whatever somebody has sent.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl ConstantTimeEq for KeyHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl FromStr for KeyHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digits = text.strip_prefix(HASH_PREFIX).ok_or(InvalidHash)?;
        let digits: &[u8; 64] = digits.as_bytes().try_into().map_err(|_| InvalidHash)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = match pair {
                [high, low] => (digit(*high)? << 4) | digit(*low)?,
                _ => return Err(InvalidHash),
            };
        }
        Ok(Self(hash))
    }
}

fn digit(byte: u8) -> Result<u8, InvalidHash> {
    let value = char::from(byte).to_digit(16).ok_or(InvalidHash)?;
    u8::try_from(value).map_err(|_| InvalidHash)
}

impl fmt::Display for KeyHash {
    /// As it is configured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HASH_PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    /// A chosen key may be weak enough to be found by its hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A new key from 256 random bits, which nobody can have guessed.
#[must_use]
pub fn new_key(bits: [u64; 4]) -> String {
    let bytes: Vec<u8> = bits.iter().flat_map(|part| part.to_le_bytes()).collect();
    format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_or_cannot_be_sent_is_no_key() {
        let long = "x".repeat(KEY_CHARACTERS_MAX + 1);
        let bad = [
            "",
            "0123456789abcde",
            "0123456789abcde\n",
            "0123456789abcdé",
            &long,
        ];
        for bad in bad {
            assert_eq!(KeyHash::of_chosen(bad), Err(InvalidKey), "{bad}");
        }
        for good in ["0123456789abcdef", &long[1..]] {
            assert_eq!(KeyHash::of_chosen(good), Ok(KeyHash::of(good.as_bytes())));
        }
    }

    #[test]
    fn a_hash_is_written_as_other_tools_print_it() {
        // printf 0123456789abcdef | sha256sum
        let text = "sha256:9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        let hash = KeyHash::of(b"0123456789abcdef");
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.to_uppercase().replace("SHA", "sha").parse(), Ok(hash));
        for bad in [
            "",
            "sha256:",
            &text[7..],
            &text[..70],
            &text.replace('9', "g"),
            &format!("{text}0"),
        ] {
            assert_eq!(bad.parse::<KeyHash>(), Err(InvalidHash), "{bad}");
        }
    }

    #[test]
    fn a_hash_is_not_shown_by_accident() {
        let shown = format!("{:?}", KeyHash::of(b"0123456789abcdef"));
        assert_eq!(shown, "KeyHash(…)");
    }

    #[test]
    fn new_keys_can_be_sent_and_are_as_different_as_their_bits() {
        let key = new_key([1, 2, 3, u64::MAX]);
        assert_eq!(key.len(), KEY_PREFIX.len() + 43);
        assert!(KeyHash::of_chosen(&key).is_ok(), "{key}");
        for other in [[0, 2, 3, u64::MAX], [1, 2, 3, u64::MAX - 1]] {
            assert_ne!(new_key(other), key);
        }
    }
}
