//! Telling outcomes to receivers of webhooks.
//!
//! [`engine`] takes what is due from the outbox and has what came of it kept; [`lanes`] decides whose
//! turn it is; [`attempt`] says and signs what is told; [`send`] makes one try: it goes to addresses that
//! were checked and nowhere else, within bounds of time and bytes, and follows no redirect.
//!
//! Nothing here is on the way of a message: what is to be told was kept with the outcome, and publishing
//! never waits for it.

mod attempt;
mod connect;
mod counts;
mod directory;
mod doorbell;
mod engine;
mod idle;
mod lanes;
mod link;
pub mod resolve;
mod results;
pub mod send;
#[cfg(test)]
mod tests;

pub use attempt::Render;
pub use counts::Counts;
pub use directory::CallerSecrets;
pub use doorbell::Doorbell;
pub use engine::{Engine, Parts, Settings};
pub use idle::IdleLimits;
pub use lanes::LaneLimits;
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use send::{Post, SendLimits, Sender};
