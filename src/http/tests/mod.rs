//! The whole room as one service, with a model of the relay behind it.

mod access;
mod answer;
mod asking;
mod batches;
mod cancelling;
mod events;
mod faulty;
mod groups;
mod guarding;
mod http2;
mod idempotency;
mod keys;
mod lists;
mod model;
mod payloads;
mod publishing;
mod random;
mod raw;
mod refusing;
mod replaying;
mod silent;
mod terms;
mod webhooks;
mod wire;
