//! What a message is and what may happen to it.
//!
//! This room is pure: no task, clock, random source, log, AMQP or SQL. Time and chance come in as
//! arguments, and every rule can be tested with values alone.

pub mod access;
pub mod caller;
pub mod headers;
pub mod id;
pub mod idempotency;
pub mod lifecycle;
pub mod limits;
pub mod message;
pub mod order;
pub mod retry;
pub mod rules;
pub mod status;
pub mod terms;
pub mod time;
pub mod topology;
pub mod trace;
pub mod webhook;

pub use caller::Caller;
pub use headers::{HeaderValue, Table};
pub use id::{IdMinter, MessageId, RowId, Turn};
pub use idempotency::Fingerprint;
pub use lifecycle::{Event, Illegal, Life};
pub use limits::Limits;
pub use message::{DeliveryMode, Draft, Message, Properties};
pub use retry::RetrySchedule;
pub use rules::{Fault, Rules};
pub use status::{Reason, ReasonCode, Status};
pub use terms::{Deliver, Due, Terms};
pub use time::WallTime;
pub use topology::Topology;
pub use trace::TraceContext;
