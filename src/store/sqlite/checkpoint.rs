//! Copying the log into the database, beside the writer.
//!
//! A checkpoint of thousands of pages takes tens of milliseconds, so it has a thread and a connection
//! of its own; `PASSIVE` never waits for the writer and never makes it wait. But a writer that does
//! not pause is always some frames ahead, and a log starts anew only when all of it was copied. So
//! the thread copies again what came meanwhile, until that is little, and the writer copies this rest
//! itself before its next commit: a few milliseconds, every 16 MiB of log.
//!
//! A log that is short is also written faster. Over what it held before, a commit needs no new blocks of
//! the file system and no new length, which would be synced beside the frames.
//!
//! Tried: `wal_autocheckpoint` stalls one commit in forty for 15 ms or more; the thread alone lets
//! the log grow for as long as the load lasts; a rest that the writer finds only when it looks every 100 ms
//! is rarely little, and logs of 50 to 150 MiB were the rule at 20 000 messages a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use super::error::{Failure, Outcome};
use crate::store::StoreError;

/// Frames (pages) that the writer copies itself: 1 MiB.
pub(super) const REST_FRAMES: u64 = 256;
/// Times that a round copies what came while it copied.
const PASSES_MAX: usize = 8;

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
    /// A round has ended, and the writer has not looked since.
    ended: AtomicBool,
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
        self.usable()?;
        let mut order = self.desk.order.lock();
        let idle = !order.busy;
        order.busy = true;
        self.desk.bell.notify_one();
        Ok(idle)
    }

    /// Says whether anything may still be copied: what could not be written or synced once may be lost without
    /// another error, and nobody may take it for copied.
    ///
    /// # Errors
    /// As [`Checkpoints::ask`].
    pub(super) fn usable(&self) -> Result<(), StoreError> {
        let failed = self.desk.order.lock().failed.clone();
        failed.map_or(Ok(()), Err)
    }

    /// Whether a round has ended since the last call, after which little may be left to copy.
    pub(super) fn have_ended(&self) -> bool {
        // Most commits find nothing, and a look is cheaper than a change.
        self.desk.ended.load(Ordering::Relaxed) && self.desk.ended.swap(false, Ordering::AcqRel)
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
            let done = copy_all_but_little(connection);
            let mut order = self.order.lock();
            order.busy = false;
            self.ended.store(true, Ordering::Release);
            self.done.notify_one();
            match done.map_err(StoreError::from) {
                Ok(()) | Err(StoreError::Full) => {}
                Err(failed) => order.failed = Some(failed),
            }
        }
    }
}

/// Copies the log again and again until what has come meanwhile is little or does not become less.
fn copy_all_but_little(connection: &Connection) -> Outcome<()> {
    let mut before = u64::MAX;
    for _ in 0..PASSES_MAX {
        copy(connection, CheckpointMode::PASSIVE)?;
        let rest = Frames::of_log(connection)?.rest();
        if rest <= REST_FRAMES || rest >= before {
            break;
        }
        before = rest;
    }
    Ok(())
}

/// Frames in the log.
#[derive(Default)]
pub(super) struct Frames {
    pub(super) all: u64,
    copied: u64,
}

impl Frames {
    /// None, if a commit or somebody else is in the way just now.
    pub(super) fn of_log(connection: &Connection) -> Outcome<Self> {
        Ok(look(connection, CheckpointMode::NOOP)?.unwrap_or_default())
    }

    /// Those that are not in the database yet.
    pub(super) fn rest(&self) -> u64 {
        self.all.saturating_sub(self.copied)
    }
}

/// Copies the log, or leaves it to whoever is at it already: an operator's `sqlite3` may be, and
/// with `TRUNCATE` a reader may be in the way.
pub(super) fn copy(connection: &Connection, mode: CheckpointMode) -> Outcome<()> {
    look(connection, mode).map(|_| ())
}

/// What a checkpoint tells of the log, unless somebody is in its way. To a `NOOP` that is the writer too, in
/// the moment in which it changes the log's head.
fn look(connection: &Connection, mode: CheckpointMode) -> Outcome<Option<Frames>> {
    let looked = connection.wal_checkpoint_v2(None::<&str>, mode);
    match looked.map_err(Failure::from) {
        Ok((all, copied)) => {
            let count = |frames| u64::try_from(frames).unwrap_or(0);
            Ok(Some(Frames {
                all: count(all),
                copied: count(copied),
            }))
        }
        Err(failure) if failure.code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
        Err(failure) => Err(failure),
    }
}
