//! Telling outcomes to receivers of webhooks.
//!
//! [`send`] makes one try: it goes to addresses that were checked and nowhere else, within bounds of
//! time and bytes, and follows no redirect.

mod connect;
mod idle;
mod link;
pub mod resolve;
pub mod send;
#[cfg(test)]
mod tests;

pub use idle::IdleLimits;
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use send::{Post, SendLimits, Sender};
