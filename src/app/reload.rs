//! Callers that are read anew while the gateway runs, on SIGHUP and when a file has changed.
//!
//! Everything about callers is one value that is replaced whole between two requests: no request is dropped,
//! and none sees half of a change. With a mistake anywhere in the configuration the ones in force stay,
//! which the log and `/readyz` say. A gateway that has callers is never opened to those without a key: a file
//! that was emptied, cut or could be read only once would do that, and who means it can start anew.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock;
use crate::config::{Config, Inputs};
use crate::domain::access::Callers;
use crate::http::CallersLoaded;
use crate::lifecycle::reload::{Cause, Reloads};

const NOBODY_LEFT: &str =
    "no caller is left; a gateway that serves without keys has to be started so";

/// See the module.
pub(super) struct Reloading {
    inputs: Arc<Inputs>,
    /// What is in force apart from the callers.
    config: Config,
    files: Vec<PathBuf>,
    wanted: Reloads,
    callers: watch::Sender<Arc<Callers>>,
    loaded: watch::Sender<CallersLoaded>,
}

impl Reloading {
    /// Callers as `config` says, which was read from `inputs`.
    ///
    /// # Errors
    /// The system lets no signal be watched.
    pub(super) fn new(inputs: Inputs, config: &Config) -> io::Result<Self> {
        let files = inputs.files();
        Ok(Self {
            inputs: Arc::new(inputs),
            config: config.clone(),
            wanted: Reloads::of(files.clone())?,
            files,
            callers: watch::Sender::new(Arc::new(config.callers.clone())),
            loaded: watch::Sender::new(CallersLoaded {
                loaded_at: clock::wall(),
                refused_at: None,
            }),
        })
    }

    /// The callers as they are at any time.
    pub(super) fn callers(&self) -> watch::Receiver<Arc<Callers>> {
        self.callers.subscribe()
    }

    /// What has become of the last tries.
    pub(super) fn loaded(&self) -> watch::Receiver<CallersLoaded> {
        self.loaded.subscribe()
    }

    /// Reads the configuration whenever that is wanted, until `stop` turns true.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        // Since it was read at start.
        let mut cause = Cause::Change;
        loop {
            // Some files are never read to their end, such as pipes.
            cause = tokio::select! {
                cause = self.turn(cause) => cause,
                () = stopped(&mut stop) => return,
            };
        }
    }

    /// Reads, and returns when and why that is to be done again.
    async fn turn(&mut self, cause: Cause) -> Cause {
        self.reload(cause).await;
        if let Some(wanted) = self.other_files().await {
            self.wanted = wanted;
            // What has changed before they were looked at is read too.
            return cause;
        }
        self.wanted.next().await
    }

    /// When to read again, if that depends on other files now.
    async fn other_files(&mut self) -> Option<Reloads> {
        let inputs = Arc::clone(&self.inputs);
        let files = tokio::task::spawn_blocking(move || inputs.files()).await;
        let files = files.ok().filter(|files| *files != self.files)?;
        self.files = files;
        Reloads::of(self.files.clone()).ok()
    }

    async fn reload(&self, cause: Cause) {
        let inputs = Arc::clone(&self.inputs);
        match tokio::task::spawn_blocking(move || inputs.load()).await {
            Ok(Ok(config)) => self.replace(&config, cause),
            Ok(Err(mistakes)) => self.keep(&mistakes, cause),
            // The process is ending.
            Err(_) => {}
        }
    }

    fn replace(&self, config: &Config, cause: Cause) {
        let followed = self.callers.borrow().followed_by(&config.callers);
        let Some(callers) = followed.map(Arc::new) else {
            return self.keep(&NOBODY_LEFT, cause);
        };
        let in_force = Config {
            callers: Callers::clone(&callers),
            ..self.config.clone()
        };
        let (names, keys) = (callers.names().count(), callers.keys_count());
        // Who follows events looks at them when they change.
        let is_new = self.callers.send_if_modified(|current| {
            let is_new = *current != callers;
            *current = callers;
            is_new
        });
        self.loaded.send_replace(CallersLoaded {
            loaded_at: clock::wall(),
            refused_at: None,
        });
        if is_new {
            tracing::info!(because = %cause, callers = names, keys, "the callers were read anew");
        } else if cause == Cause::Signal {
            // Whoever has asked for it wants to hear of it.
            let what = if self.files.is_empty() {
                "there is no file to read the callers from anew"
            } else {
                "the callers were read anew, and are the same"
            };
            tracing::info!(because = %cause, callers = names, keys, "{what}");
        }
        if *config != in_force {
            tracing::warn!("other options have changed too, and take effect at the next start");
        }
    }

    fn keep(&self, mistakes: &dyn Display, cause: Cause) {
        self.loaded
            .send_modify(|loaded| loaded.refused_at = Some(clock::wall()));
        tracing::error!(
            because = %cause,
            %mistakes,
            "the configuration has mistakes: the callers stay as they were"
        );
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say it.
    let _ = stop.wait_for(|stop| *stop).await;
}
