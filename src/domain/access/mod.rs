//! Who may come, and what each may do.
//!
//! Everything here is a rule without state: [`Callers`] is what a configuration says at a moment, and a
//! new one replaces it whole. Rights are about the present: they are asked when a message is accepted,
//! when it is replayed, and when something is to be seen; what was accepted once is published whatever
//! becomes of its caller's rights, because a 202 is a promise.

mod callers;
mod key;
mod pattern;
mod rate;
mod rights;

pub use callers::{Access, Callers, Credentials, KeyRepeated, SecretRefused};
pub use key::{InvalidHash, InvalidKey, KeyHash, new_key};
pub use pattern::{InvalidPattern, Pattern};
pub use rate::{Bucket, Rate};
pub use rights::{Act, Denied, Grant, Rights, Sight};
