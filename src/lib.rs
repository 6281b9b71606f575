//! amqpost: an HTTP publishing gateway for RabbitMQ. A 202 is never lost, and the status is always
//! true. ARCHITECTURE.md follows one message through the rooms of this crate.

pub mod app;
pub mod broker;
pub mod chance;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod lifecycle;
pub mod measure;
pub mod metrics;
pub mod notify;
pub mod observe;
pub mod relay;
pub mod store;
pub mod tls;
