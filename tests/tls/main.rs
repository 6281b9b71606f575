//! Certificates: of the gateway's listener, and of its connections to the broker.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod broker;
mod http2;
mod https;
mod mistakes;
mod reload;

use support::authority::{Authority, Certificate};
use support::broker_node::shared_broker_url;
use support::gateway::Gateway;

/// A gateway with this certificate, before the shared broker, with more variables.
async fn https(authority: &Authority, certificate: &Certificate, more: &[(&str, &str)]) -> Gateway {
    let [cert, key] = certificate.texts();
    let url = shared_broker_url();
    let mut environment = vec![
        ("AMQPOST_BROKER_URL", url.as_str()),
        ("AMQPOST_TLS_CERT_FILE", cert.as_str()),
        ("AMQPOST_TLS_KEY_FILE", key.as_str()),
    ];
    environment.extend_from_slice(more);
    Gateway::start_https(environment, &authority.certificate()).await
}
