//! Telling callers, and only what is committed.

mod audience;
pub mod events;
pub mod group_waiters;
pub mod rates;
pub mod waiters;
pub mod webhooks;

pub use audience::Everybody;
pub use events::Events;
pub use group_waiters::GroupWaiter;
pub use rates::{PerSecond, Rates};
pub use waiters::{Waiter, Waiters};
