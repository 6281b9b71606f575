//! The one place that throws dice.

use rand::Rng as _;

/// 64 bits that nobody can guess (a `ChaCha` generator seeded by the operating system).
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the room of chance")]
pub fn bits() -> u64 {
    rand::rng().random()
}

/// Evenly from 0 (included) to 1 (excluded), for jitter.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the room of chance")]
pub fn fraction() -> f64 {
    rand::rng().random()
}
