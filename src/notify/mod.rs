//! Telling callers, and only what is committed.

pub mod group_waiters;
pub mod rates;
pub mod waiters;
pub mod webhooks;

pub use group_waiters::GroupWaiter;
pub use rates::{PerSecond, Rates};
pub use waiters::Waiters;
