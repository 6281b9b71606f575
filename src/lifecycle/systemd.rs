//! What systemd is told, where it is the one who started the process (`Type=notify`).
//!
//! Without its socket nothing is told. Its words are no part of what the gateway promises, so that a
//! socket that fails is logged and nothing else.

use std::convert::Infallible;

use sd_notify::NotifyState;

/// New messages are accepted.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process is about to end.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Says again and again that the process lives, if systemd has asked for that (`WatchdogSec=`). What it
/// tells is that tasks run: one that ends ends the process anyway.
pub async fn watchdog() -> Infallible {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // As systemd advises: twice within the time.
    let mut beats = tokio::time::interval(limit / 2);
    loop {
        beats.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
