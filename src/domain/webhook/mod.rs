//! Telling an outcome to somebody else's HTTP server: the rules, without the network.
//!
//! The form is that of the Standard Webhooks specification (headers `webhook-id`, `webhook-timestamp`,
//! `webhook-signature`), so every receiver's library for it verifies ours. What is decided here is how a
//! try is signed, where it may go, what its end means, and when the next one comes.

pub mod address;
pub mod allow_list;
pub mod event;
pub mod health;
pub mod outcome;
pub mod retry_after;
pub mod schedule;
pub mod secret;
pub mod target;

pub use address::{Kind, kind};
pub use allow_list::{AllowList, InvalidAllowList};
pub use event::{event_id, event_type};
pub use health::{Health, Offence};
pub use outcome::{ErrorClass, TryEnd, Verdict};
pub use schedule::Schedule;
pub use secret::{InvalidSecret, Secret, signatures};
pub use target::{InvalidTarget, Target};
