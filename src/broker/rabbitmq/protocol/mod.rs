//! AMQP 0-9-1 for one publisher, without a socket and without a clock.
//!
//! [`Connection`] is a state machine: bytes and hand-overs go in, bytes and events come out, and the
//! time is an argument. So every interleaving of reading, writing and closing can be tested with
//! bytes alone, on any split of the stream. What it guarantees:
//!
//! - every hand-over is reported exactly once;
//! - **a returned message is never called confirmed, nor the reverse**: a `basic.return` marks the
//!   one outstanding message whose `x-amqpost-id` it carries, whatever acks come when, and the ack
//!   of a marked message reports it as returned. RabbitMQ sends a message's return before its ack;
//! - no length that the peer sends is trusted, and frames out of place end the connection, not the
//!   process.
//!
//! The frames of the steady state (publish, ack, nack, return, close, blocked) are read and written
//! by hand, because they are what every message costs; the rest goes through `amq-protocol`.

pub mod close;
pub mod connection;
#[cfg(test)]
mod fixtures;
pub mod frame;
pub mod handshake;
pub mod ledger;
pub mod method;
pub mod outbox;
pub mod publish;
mod returned;

pub use close::{Close, End, Scope};
pub use connection::Connection;
pub use handshake::{Credentials, Settings};
