//! Copying the log into the database, beside the writer.
//!
//! A checkpoint of thousands of pages takes tens of milliseconds, so it has a thread and a connection
//! of its own; `PASSIVE` never waits for the writer and never makes it wait. But a writer that does
//! not pause is always some frames ahead, and a log starts anew only when all of it was copied. So
//! when a round leaves only little, the writer copies that rest itself, between two commits: a few
//! milliseconds, every 16 MiB of log.
//!
//! Tried: `wal_autocheckpoint` stalls one commit in forty for 15 ms or more; the thread alone lets
//! the log grow for as long as the load lasts.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use super::error::{Failure, Outcome};
use crate::store::StoreError;

/// The thread, as the writer sees it.
pub(super) struct Checkpoints {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Desk {
    order: Mutex<Order>,
    bell: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct Order {
    /// A round is wanted or under way.
    busy: bool,
    stop: bool,
    failed: Option<StoreError>,
}

impl Checkpoints {
    /// Starts the thread. Its `connection` is open from the beginning: later there may be no
    /// descriptors left, and a checkpoint that fails is the end.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let theirs = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name("amqpost-checkpoint".into())
            .spawn(move || theirs.work(&connection))?;
        Ok(Self {
            desk,
            thread: Some(thread),
        })
    }

    /// Asks for a round unless one is under way. False when one is.
    ///
    /// # Errors
    /// The last round failed with something other than a full disk.
    pub(super) fn ask(&self) -> Result<bool, StoreError> {
        let mut order = self.desk.order.lock();
        if let Some(failed) = &order.failed {
            return Err(failed.clone());
        }
        let idle = !order.busy;
        order.busy = true;
        self.desk.bell.notify_one();
        Ok(idle)
    }

    /// Whether no round is under way.
    pub(super) fn is_idle(&self) -> bool {
        !self.desk.order.lock().busy
    }

    /// Waits until no round is under way, but no longer than `at_most`.
    pub(super) fn wait(&self, at_most: Duration) {
        let mut order = self.desk.order.lock();
        self.desk
            .done
            .wait_while_for(&mut order, |order| order.busy, at_most);
    }

    /// Ends the thread once its round is done.
    pub(super) fn stop(&mut self) {
        self.desk.order.lock().stop = true;
        self.desk.bell.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in there was told on standard error; the log is whole all the same.
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Desk {
    fn work(&self, connection: &Connection) {
        loop {
            let mut order = self.order.lock();
            while !order.busy && !order.stop {
                self.bell.wait(&mut order);
            }
            if order.stop {
                return;
            }
            drop(order);
            let done = copy(connection, CheckpointMode::PASSIVE);
            let mut order = self.order.lock();
            order.busy = false;
            self.done.notify_one();
            match done.map_err(StoreError::from) {
                Ok(()) | Err(StoreError::Full) => {}
                Err(failed) => order.failed = Some(failed),
            }
        }
    }
}

/// Copies the log, or leaves it to whoever is at it already: an operator's `sqlite3` may be, and
/// with `TRUNCATE` a reader may be in the way.
pub(super) fn copy(connection: &Connection, mode: CheckpointMode) -> Outcome<()> {
    match connection
        .wal_checkpoint_v2(None::<&str>, mode)
        .map_err(Failure::from)
    {
        Err(failure) if failure.code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        copied => copied.map(|_| ()),
    }
}
