//! Telling callers, and only what is committed.

pub mod rates;
pub mod waiters;

pub use rates::{PerSecond, Rates};
pub use waiters::Waiters;
