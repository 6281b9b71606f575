//! The gateway under those who operate it: its configuration is checked and shown, it is asked how it is,
//! told to stop, and supervised. None of it needs a broker.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod configuring;
mod hangup;
mod health;
mod stopping;
mod systemd;

use std::process::Command;

use support::gateway::Gateway;

/// Where no broker is.
const NO_BROKER: (&str, &str) = ("AMQPOST_BROKER_URL", "amqp://127.0.0.1:1/%2f");

/// A gateway without a broker, with these variables.
async fn gateway(variables: &[(&str, &str)]) -> Gateway {
    Gateway::start([&[NO_BROKER], variables].concat()).await
}

/// The exit code, what was printed, and what was complained.
fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let code = output.status.code().expect("no signal");
    (code, text(output.stdout), text(output.stderr))
}
