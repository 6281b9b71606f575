//! The shared secrets of webhooks, and what is signed with them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";

/// Bytes of a secret, as the Standard Webhooks specification has them.
const BYTES_MIN: usize = 24;
const BYTES_MAX: usize = 64;

/// A key for HMAC-SHA256: 24 to 64 bytes, written as `whsec_` and their base64. It is never shown by
/// accident: `Debug` hides it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// Why a text is no secret. None of its bytes are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Another beginning.
    #[error("a webhook secret begins with {PREFIX}")]
    Prefix,
    /// The rest is not base64.
    #[error("what follows {PREFIX} is not base64 with padding")]
    Base64,
    /// Too short to be safe, or longer than receivers take.
    #[error(
        "a webhook secret has {BYTES_MIN} to {BYTES_MAX} bytes before base64, this one has {0}"
    )]
    Length(usize),
}

impl Secret {
    /// A new secret of 32 bytes from as many random bits, which nobody can have guessed.
    #[must_use]
    pub fn from_random(bits: [u64; 4]) -> Self {
        Self(bits.iter().flat_map(|part| part.to_le_bytes()).collect())
    }

    /// A secret that was kept as its bytes.
    ///
    /// # Errors
    /// [`InvalidSecret::Length`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSecret> {
        if !(BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) {
            return Err(InvalidSecret::Length(bytes.len()));
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes, to be kept.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, for the one time that its owner is told it.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The signature of one try: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. Neither
    /// id nor timestamp contains a dot, so no two tries are signed as the same text.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_seconds: u64, body: &[u8]) -> String {
        // A key of up to 64 bytes, the block of SHA-256, is used as it is, padded with zeros (RFC
        // 2104, section 2).
        let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&key);
        mac.update(id.as_bytes());
        mac.update(format!(".{timestamp_seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-signature`: one signature for each secret that is in force, separated by
/// spaces. While a secret is rotated there are two, and receivers accept any.
#[must_use]
pub fn signatures(secrets: &[Secret], id: &str, timestamp_seconds: u64, body: &[u8]) -> String {
    let signed: Vec<_> = secrets
        .iter()
        .map(|secret| secret.sign(id, timestamp_seconds, body))
        .collect();
    signed.join(" ")
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret::Prefix)?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| InvalidSecret::Base64)?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that the specification's own libraries are tested with, and that Svix publishes.
    const VECTORS: [(&str, &str, u64, &str, &str); 2] = [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1_731_705_121,
            r#"{"event_type":"ping","data":{"success":true}}"#,
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        ),
    ];

    /// Without the rule for lengths: the secret of the second vector is shorter than the specification
    /// says that secrets are.
    fn published(text: &str) -> Secret {
        let encoded = text.strip_prefix(PREFIX).expect("a published secret");
        Secret(STANDARD.decode(encoded).expect("base64").into())
    }

    #[test]
    fn the_published_vectors_are_signed_as_published() {
        for (secret, id, timestamp, body, signature) in VECTORS {
            let secret = published(secret);
            assert_eq!(secret.sign(id, timestamp, body.as_bytes()), signature);
        }
        assert_eq!(VECTORS[0].0.parse(), Ok(published(VECTORS[0].0)));
    }

    #[test]
    fn while_a_secret_is_rotated_both_sign() {
        let secrets = VECTORS.map(|(secret, ..)| published(secret));
        let both = signatures(&secrets, "id", 1, b"{}");
        let [first, second] = secrets.map(|secret| secret.sign("id", 1, b"{}"));
        assert_eq!(both, format!("{first} {second}"));
        assert_ne!(first, second);
    }

    #[test]
    fn every_part_of_a_try_is_signed() {
        let secret = Secret::from_random([1, 2, 3, 4]);
        let signed = [
            secret.sign("a", 1, b"x"),
            secret.sign("b", 1, b"x"),
            secret.sign("a", 2, b"x"),
            secret.sign("a", 1, b"y"),
        ];
        for (at, one) in signed.iter().enumerate() {
            assert!(!signed[at + 1..].contains(one));
        }
    }

    #[test]
    fn a_new_secret_is_read_back_from_its_text_and_from_its_bytes() {
        let secret = Secret::from_random([u64::MAX, 0, 7, 1 << 40]);
        assert_eq!(secret.bytes().len(), 32);
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert_eq!(Secret::from_bytes(secret.bytes()), Ok(secret));
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        for (bytes, valid) in [(23, false), (24, true), (64, true), (65, false)] {
            let text = format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));
            let read = text.parse::<Secret>();
            assert_eq!(read.is_ok(), valid, "{bytes} bytes");
            if !valid {
                assert_eq!(read, Err(InvalidSecret::Length(bytes)));
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        for (text, why) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidSecret::Prefix),
            (
                "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                InvalidSecret::Prefix,
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_w",
                InvalidSecret::Base64,
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
                InvalidSecret::Base64,
            ),
            ("whsec_", InvalidSecret::Length(0)),
        ] {
            let error = text.parse::<Secret>().expect_err("no secret");
            assert_eq!(error, why, "{text}");
            assert!(!error.to_string().contains("MfKQ"));
        }
    }

    #[test]
    fn a_secret_is_never_shown_by_debug() {
        let secret: Secret = VECTORS[0].0.parse().expect("a secret");
        assert_eq!(format!("{:?}", Some(secret)), "Some(Secret(hidden))");
    }
}
