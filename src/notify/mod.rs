//! Telling callers, and only what is committed.

pub mod waiters;

pub use waiters::Waiters;
