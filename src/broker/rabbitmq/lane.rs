//! A lane: the supervisor of one connection that is there as long as the gateway runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::timeout;

use super::drive::drive;
use super::protocol::{Connection, End, Settings};
use super::transport::{Address, Socket};
use crate::broker::{Feed, LaneEvent};
use crate::{chance, clock};

/// The first pause between two rounds of connecting.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The pause after the broker refused the login or the virtual host: the same answer would come
/// again, and a hot loop of logins looks like an attack.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// A connection that lived so long was a good one, and the next pause is the first again.
const GOOD_LIFE: Duration = Duration::from_secs(1);

/// How long to sleep when nothing is due.
const IDLE: Duration = Duration::from_hours(1);

/// One broker of the list, and how to open a connection there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// What the connection is opened with.
    pub settings: Settings,
}

/// Publishes for one feed over one connection after the other.
pub struct Lane {
    name: String,
    endpoints: Vec<Endpoint>,
    connect_timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
}

impl Lane {
    /// A lane over any of `endpoints`. `connect_timeout` limits the opening of a socket.
    #[must_use]
    pub fn new(
        name: String,
        endpoints: Vec<Endpoint>,
        connect_timeout: Duration,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self {
            name,
            endpoints,
            connect_timeout,
            tls,
        }
    }

    /// Works for `feed` until `stop` turns true.
    pub async fn run<F: Feed>(self, mut feed: F, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE_MIN;
        let mut last_told = String::new();
        loop {
            if until_wanted(&feed, &mut stop).await {
                return;
            }
            let (mut refused, mut silence) = (false, false);
            for endpoint in self.shuffled() {
                let began = clock::monotonic();
                let (end, was_up) = self.attempt(endpoint, &mut feed, &mut stop).await;
                feed.report(clock::monotonic(), &mut vec![LaneEvent::Down(end.reason())]);
                if end == End::Stopped {
                    break;
                }
                self.tell(&end, &mut last_told, was_up);
                refused |= end.is_refusal();
                silence = end.is_silence();
                if was_up {
                    // What a message ended says nothing of the broker. It is not met there again in a
                    // loop, since it has few tries; and others wait behind it.
                    let good = clock::monotonic() >= began + GOOD_LIFE || end.is_by_a_message();
                    pause = if good { PAUSE_MIN } else { pause };
                    break;
                }
            }
            if silence {
                pause = PAUSE_MIN;
                continue;
            }
            let rest = if refused { REFUSED_PAUSE } else { pause };
            if sleep_or_stop(rest.mul_f64(0.5 + chance::fraction() / 2.0), &mut stop).await {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One connection to one broker, from opening the socket to the end.
    async fn attempt<F: Feed>(
        &self,
        endpoint: &Endpoint,
        feed: &mut F,
        stop: &mut watch::Receiver<bool>,
    ) -> (End, bool) {
        let opening = Socket::open(&endpoint.address, self.tls.as_ref());
        let opened = tokio::select! {
            opened = timeout(self.connect_timeout, opening) => opened,
            _ = stop.wait_for(|stop| *stop) => return (End::Stopped, false),
        };
        let mut socket = match opened {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return (End::Unreachable(error.to_string()), false),
            Err(_) => return (End::Unreachable("no answer in time".into()), false),
        };
        let mut settings = endpoint.settings.clone();
        settings.connection_name = format!("amqpost {}", self.name);
        let mut connection = Connection::new(settings, clock::monotonic());
        let end = drive(&self.name, &mut socket, &mut connection, feed, stop).await;
        (end, connection.was_up())
    }

    fn shuffled(&self) -> Vec<&Endpoint> {
        let mut keyed: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| (chance::bits(), endpoint))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        keyed.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// The same failure over and over is told once.
    fn tell(&self, end: &End, last_told: &mut String, was_up: bool) {
        let text = end.to_string();
        if end.is_silence() {
            // Whoever waited for the answer tells of it.
            tracing::debug!(lane = %self.name, reason = %text, "connects anew");
        } else if was_up || *last_told != text {
            tracing::warn!(lane = %self.name, reason = %text, "not connected to the broker");
        } else {
            tracing::debug!(lane = %self.name, reason = %text, "still not connected to the broker");
        }
        *last_told = text;
    }
}

/// Waits until a connection is wanted; true when the lane is to stop instead.
async fn until_wanted<F: Feed>(feed: &F, stop: &mut watch::Receiver<bool>) -> bool {
    let call = feed.call();
    while !feed.wanted() {
        let deadline = feed.deadline().unwrap_or_else(|| clock::monotonic() + IDLE);
        tokio::select! {
            () = call.notified() => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
            _ = stop.wait_for(|stop| *stop) => return true,
        }
    }
    *stop.borrow()
}

async fn sleep_or_stop(pause: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    let until: Instant = clock::monotonic() + pause;
    tokio::select! {
        () = tokio::time::sleep_until(until.into()) => false,
        _ = stop.wait_for(|stop| *stop) => true,
    }
}
