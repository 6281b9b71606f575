//! Start and stop: the tasks of the process, and who may end it.
//!
//! Every task runs until the process stops. One that ends before, or panics, ends the process with a
//! failure: half a gateway that looks alive is worse than one that is restarted.

pub mod reload;
pub mod systemd;

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A part of the gateway has ended that must not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has ended: {why}")]
pub struct Ended {
    /// Which part.
    pub name: String,
    /// Why, as far as it is known.
    pub why: String,
}

/// The tasks of the process.
#[derive(Default)]
pub struct Tasks {
    running: JoinSet<(String, Option<String>)>,
}

impl Tasks {
    /// Runs `task` until it ends by itself.
    #[expect(clippy::disallowed_methods, reason = "this is where tasks are watched")]
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let name = name.into();
        self.running.spawn(async move {
            let crashed = tokio::spawn(task)
                .await
                .err()
                .map(|error| error.to_string());
            (name, crashed)
        });
    }

    /// Runs `work`, which blocks, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn_thread<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), E> + Send + 'static,
    ) -> std::io::Result<()> {
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // A panic drops the sender, which tells it too.
                let _ = ended.send(work().err().map(|error| error.to_string()));
            })?;
        self.running.spawn(async move {
            let why = has_ended
                .await
                .unwrap_or_else(|_| Some("it panicked".to_owned()));
            (name.to_owned(), why)
        });
        Ok(())
    }

    /// Returns when some task has ended, which it should not have.
    pub async fn ended(&mut self) -> Ended {
        match self.running.join_next().await {
            Some(Ok((name, why))) => Ended {
                name,
                why: why.unwrap_or_else(|| "it came to its end".to_owned()),
            },
            Some(Err(error)) => Ended {
                name: "a task".to_owned(),
                why: error.to_string(),
            },
            None => std::future::pending().await,
        }
    }

    /// Returns when all tasks have ended, as they were told to.
    ///
    /// # Errors
    /// The first that crashed.
    pub async fn all_ended(&mut self) -> Result<(), Ended> {
        let mut first = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let crashed = match ended {
                Ok((name, Some(why))) => Err(Ended { name, why }),
                Ok((_, None)) => Ok(()),
                Err(error) => Err(Ended {
                    name: "a task".to_owned(),
                    why: error.to_string(),
                }),
            };
            first = first.and(crashed);
        }
        first
    }
}

/// A way to tell many tasks at once to stop.
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// What a task watches.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Tells everybody.
    pub fn tell(&self) {
        self.0.send_replace(true);
    }
}

/// The signals that ask a process to stop. They are kept from the moment when this is made; before it they end
/// the process at once.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on.
    ///
    /// # Errors
    /// The system lets no signal be watched.
    pub fn watch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next, and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_noticed_by_name() {
        let mut tasks = Tasks::default();
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("shaky", async { assert_eq!(1, 2, "on purpose") });
        let ended = tasks.ended().await;
        assert_eq!(ended.name, "shaky");
        assert!(ended.why.contains("panicked"), "{}", ended.why);
    }

    #[tokio::test]
    async fn a_thread_that_fails_is_noticed_with_its_reason() {
        let mut tasks = Tasks::default();
        tasks
            .spawn_thread("writer", || Err("the disk is gone"))
            .expect("a thread");
        let ended = Ended {
            name: "writer".into(),
            why: "the disk is gone".into(),
        };
        assert_eq!(tasks.ended().await, ended);
    }

    #[tokio::test]
    async fn tasks_that_were_told_to_stop_are_no_failure() {
        let (mut tasks, stop) = (Tasks::default(), Stop::default());
        let mut watch = stop.watch();
        tasks.spawn("worker", async move {
            let _ = watch.wait_for(|stop| *stop).await;
        });
        stop.tell();
        assert_eq!(tasks.all_ended().await, Ok(()));
    }
}
