//! What integration tests stand on: real brokers, a scripted one, a bad network, a gateway process.
//!
//! A test says `mod support;` and takes what it needs. Nothing here waits for luck: every wait is for
//! something that can be observed, has a limit, and panics with what it waited for.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary includes the whole tree and uses a part of it"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks, tasks and threads"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

pub mod arrived;
pub mod audit;
pub mod authority;
pub mod broker_node;
pub mod callers;
pub mod cluster;
pub mod event_stream;
pub mod gateway;
pub mod load;
pub mod mixed;
pub mod process;
pub mod queues;
pub mod scripted_peer;
pub mod signature;
pub mod stack;
pub mod tcp_proxy;
pub mod wait;
