//! The connection against a model of the broker, and against brokers that misbehave.

mod content;
mod ends;
mod handshake;
mod model;
mod publishing;
mod random;
mod wire;
