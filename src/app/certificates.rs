//! Certificates in use: read again when their files change or a signal says so, and warned about in time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use tokio::task::JoinError;

use crate::clock;
use crate::config::{BrokerClient, Config, IdentityFiles};
use crate::lifecycle::reload::{Cause, Reloads};
use crate::lifecycle::{Stop, Tasks};
use crate::tls::{self, Identity, TlsError};

/// How often certificates are looked at for their end.
const EXPIRY_LOOK: Duration = Duration::from_hours(12);

/// What TLS is spoken with, as the files had it at start.
pub(super) struct Certificates {
    https: Option<Arc<Identity>>,
    broker: Option<BrokerClient>,
}

impl Certificates {
    pub(super) fn read(config: &Config) -> Result<Self, TlsError> {
        Ok(Self {
            https: config.https.as_ref().map(IdentityFiles::read).transpose()?,
            broker: config.broker_client()?,
        })
    }

    pub(super) fn for_https(&self) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        self.https.clone().map(tls::https).transpose()
    }

    pub(super) fn for_broker(&self) -> Option<Arc<ClientConfig>> {
        self.broker
            .as_ref()
            .map(|client| Arc::clone(&client.config))
    }

    /// Starts to keep them as their files are.
    pub(super) fn keep_fresh(self, tasks: &mut Tasks, stop: &Stop) -> io::Result<()> {
        let broker = self.broker.and_then(|client| client.identity);
        for (whose, identity) in [
            ("the listener", self.https),
            ("the broker's client", broker),
        ] {
            let Some(identity) = identity else { continue };
            let reloads = Reloads::of(identity.files().into())?;
            let keeping = keep_fresh(whose, identity, reloads, stop.watch());
            tasks.spawn(format!("certificate of {whose}"), keeping);
        }
        Ok(())
    }
}

/// Returns when `stop` says so.
async fn keep_fresh(
    whose: &'static str,
    identity: Arc<Identity>,
    mut reloads: Reloads,
    mut stop: watch::Receiver<bool>,
) {
    // Since they were read at start.
    let mut cause = Some(Cause::Change);
    loop {
        let turn = async {
            if let Some(cause) = cause {
                let identity = Arc::clone(&identity);
                // A file system may take its time, and pipes may never end.
                let reading = tokio::task::spawn_blocking(move || reload(whose, &identity, cause));
                // Whatever panics ends the process, here as elsewhere.
                if let Some(panic) = reading.await.err().filter(JoinError::is_panic) {
                    std::panic::resume_unwind(panic.into_panic());
                }
            }
            warn_if_over(whose, &identity);
            tokio::select! {
                cause = reloads.next() => Some(cause),
                () = tokio::time::sleep(EXPIRY_LOOK) => None,
            }
        };
        cause = tokio::select! {
            cause = turn => cause,
            _ = stop.wait_for(|stop| *stop) => return,
        };
    }
}

fn reload(whose: &str, identity: &Identity, cause: Cause) {
    match identity.reload(clock::wall()) {
        Ok(true) => {
            let not_after = identity.validity().not_after;
            tracing::info!(because = %cause, valid_until = %not_after, "{whose} has a new certificate");
        }
        Ok(false) if cause == Cause::Signal => {
            tracing::info!(because = %cause, "the certificate of {whose} is the same");
        }
        Ok(false) => {}
        Err(error) => {
            tracing::error!(because = %cause, %error, "{whose} keeps its old certificate");
        }
    }
}

fn warn_if_over(whose: &str, identity: &Identity) {
    let now = clock::wall();
    let validity = identity.validity();
    let file = identity.cert_file().display();
    if validity.is_over(now) {
        tracing::warn!(%file, expired = %validity.not_after, "the certificate of {whose} has expired");
    } else if now < validity.not_before {
        tracing::warn!(%file, valid_from = %validity.not_before, "the certificate of {whose} is not valid yet");
    } else if validity.ends_soon(now) {
        tracing::warn!(%file, valid_until = %validity.not_after, "the certificate of {whose} expires soon");
    }
}
