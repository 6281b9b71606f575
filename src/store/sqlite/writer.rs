//! The writer: everything that changes the store goes through it, in transactions.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use super::Options;
use super::callers::Callers;
use super::checkpoint::Checkpoints;
use super::connection::{self, used_bytes};
use super::error::Outcome;
use super::evict::Due;
use super::groups::Groups;
use super::keep::{content_bytes, written_bytes_max};
use super::lock::Lock;
use super::outbox::Outbox;
use super::place::Places;
use super::recent::Recent;
use super::reserve::Reserve;
use super::state::State;
use super::{replay, schedule, transaction};
use crate::domain::{Message, MessageId, Turn, WallTime};
use crate::store::{Batch, DueMessages, Record, Replayable, StoreError, Upkeep, WriteStore};

/// The one writer of a store.
pub struct SqliteStore {
    pub(super) connection: Connection,
    pub(super) state: State,
    pub(super) options: Options,
    pub(super) log_path: PathBuf,
    pub(super) places: Places,
    pub(super) checkpoints: Checkpoints,
    pub(super) reserve: Reserve,
    pub(super) due: Due,
    pub(super) recent: Recent,
    callers: Callers,
    groups: Groups,
    outbox: Outbox,
    /// Deliveries of deleted webhooks are to go.
    pub(super) leaving: bool,
    /// Commits since upkeep last looked.
    pub(super) commits: u32,
    /// Why it cannot be used any more.
    failed: Option<StoreError>,
    _lock: Lock,
}

/// What is at hand within a transaction.
pub(super) struct Work<'a> {
    pub(super) connection: &'a Connection,
    pub(super) state: &'a mut State,
    pub(super) recent: &'a mut Recent,
    pub(super) callers: &'a mut Callers,
    pub(super) groups: &'a mut Groups,
    pub(super) outbox: &'a mut Outbox,
}

/// What a writer is made of.
pub(super) struct Parts {
    pub(super) connection: Connection,
    pub(super) state: State,
    pub(super) options: Options,
    pub(super) log_path: PathBuf,
    pub(super) places: Places,
    pub(super) checkpoints: Checkpoints,
    pub(super) reserve: Reserve,
    pub(super) lock: Lock,
    pub(super) now: WallTime,
}

impl SqliteStore {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            recent: Recent::after(parts.state.last_row),
            connection: parts.connection,
            state: parts.state,
            options: parts.options,
            log_path: parts.log_path,
            places: parts.places,
            checkpoints: parts.checkpoints,
            reserve: parts.reserve,
            due: Due::new(parts.now),
            callers: Callers::default(),
            groups: Groups::default(),
            outbox: Outbox::default(),
            leaving: true,
            commits: 0,
            failed: None,
            _lock: parts.lock,
        }
    }

    /// Runs `work` in a transaction, with the state that it changes. When it fails, the state in
    /// memory is the one before, as is the one on disk; unless that is not known, which is the end.
    pub(super) fn change(
        &mut self,
        work: impl FnOnce(&mut Work<'_>) -> Outcome<()>,
    ) -> Result<(), StoreError> {
        let mut state = self.state;
        let done = transaction::run(&self.connection, || {
            work(&mut Work {
                connection: &self.connection,
                state: &mut state,
                recent: &mut self.recent,
                callers: &mut self.callers,
                groups: &mut self.groups,
                outbox: &mut self.outbox,
            })?;
            self.callers.save(&self.connection)?;
            self.groups.save(&self.connection)?;
            state.save(&self.connection)
        });
        self.callers.ended(done.is_ok());
        self.groups.ended(done.is_ok());
        self.outbox.ended(done.is_ok());
        match done {
            Ok(()) => {
                self.state = state;
                Ok(())
            }
            Err(failure) => {
                self.recent.forget();
                Err(self.fail(failure.into()))
            }
        }
    }

    /// Asks for something that only the writer knows for sure. What cannot be read is the end.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Work<'_>) -> Outcome<T>) -> Result<T, StoreError> {
        self.usable()?;
        let answer = ask(&mut Work {
            connection: &self.connection,
            state: &mut self.state,
            recent: &mut self.recent,
            callers: &mut self.callers,
            groups: &mut self.groups,
            outbox: &mut self.outbox,
        });
        answer.map_err(|failure| self.fail(failure.into()))
    }

    /// Remembers an error after which nothing goes on.
    pub(super) fn fail(&mut self, error: StoreError) -> StoreError {
        if error != StoreError::Full {
            self.failed = Some(error.clone());
        }
        error
    }

    pub(super) fn usable(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Whether new messages of so many bytes still fit into the budget.
    ///
    /// Not asked for each commit where much is left: the two statements and the calls of the system take
    /// their time, and on kernels whose times of files are fine when somebody asks (Linux 6.13 and later), to ask
    /// for the log's length makes `ext4` write its times with each sync (docs/performance.md).
    fn has_room(&mut self, bytes: u64) -> Result<bool, StoreError> {
        let pages = match self.look_at_budget() {
            Ok(pages) => pages,
            Err(failure) => return Err(self.fail(failure.into())),
        };
        let log = std::fs::metadata(&self.log_path).map_or(0, |metadata| metadata.len());
        let needed = pages + log + bytes + self.options.reserve_bytes;
        let left = self.options.store_bytes_max.checked_sub(needed);
        self.due.refused = left.is_none();
        if !self.due.squeezed {
            let before_squeezed = self.squeezed_from().saturating_sub(pages + bytes);
            self.due.sure_bytes = left.unwrap_or(0).min(before_squeezed);
        }
        Ok(!self.due.refused)
    }

    /// Sees whether so much is used that history must make way, and answers the bytes of the pages
    /// in use. The log does not count, but for what it takes in ordinary times: a reader that does
    /// not end makes it long, and to forget history would not shorten it.
    pub(super) fn look_at_budget(&mut self) -> Outcome<u64> {
        let pages = used_bytes(&self.connection)?;
        self.due.squeezed = pages > self.squeezed_from();
        self.due.sure_bytes = 0;
        Ok(pages)
    }

    /// Bytes of pages beyond which history makes way.
    fn squeezed_from(&self) -> u64 {
        let log = 2 * connection::log_bytes_kept(&self.options);
        let kept = self.options.reserve_bytes + log;
        self.options.store_bytes_max.saturating_sub(kept) / 8 * 7
    }
}

impl WriteStore for SqliteStore {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.usable()?;
        self.outbox.has_added = false;
        if batch.is_empty() {
            return Ok(());
        }
        let partitions = self.options.partitions;
        let accepted = batch.accepted.iter().map(|one| one.partition);
        let due = batch.due.iter().map(|one| one.partition);
        let replayed = batch.replayed.iter().map(|one| one.partition);
        if (accepted.chain(due).chain(replayed)).any(|partition| partition >= partitions) {
            let error = format!("a message was given a partition beyond {partitions}");
            return Err(self.fail(StoreError::Fatal(error)));
        }
        let bytes = content_bytes(batch.accepted);
        let is_sure = self.due.is_sure_of(written_bytes_max(batch, bytes));
        if !batch.accepted.is_empty() && !is_sure && !self.has_room(bytes)? {
            self.make_room()?;
            if !self.has_room(bytes)? {
                return Err(StoreError::Full);
            }
        }
        self.commits = self.commits.saturating_add(1);
        self.finish_copying_log()?;
        let kept = match self.keep(batch) {
            // The room is for what must be kept; what is refused without harm gets none of it.
            Err(StoreError::Full) if !batch.has_new() && self.reserve.release() => self.keep(batch),
            kept => kept,
        };
        if self.outbox.has_added {
            self.due.sure_bytes = 0;
        }
        kept
    }

    fn has_kept_deliveries(&self) -> bool {
        self.outbox.has_added
    }

    fn due(
        &mut self,
        now: WallTime,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<DueMessages, StoreError> {
        self.ask(|work| {
            schedule::messages(work.connection, work.state, now, messages_max, bytes_max)
        })
    }

    fn scheduled(&mut self, id: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        let found = self.ask(|work| schedule::scheduled(work.connection, id))?;
        Ok(found.map(Arc::new))
    }

    fn overdue(
        &mut self,
        now: WallTime,
        after: Option<(WallTime, Turn)>,
        max: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.ask(|work| schedule::overdue(work.connection, work.state, now, after, max))
    }

    fn replayable(&mut self, id: MessageId) -> Result<Replayable, StoreError> {
        self.ask(|work| replay::replayable(work, id))
    }

    fn upkeep(&mut self, now: WallTime) -> Result<Upkeep, StoreError> {
        self.usable()?;
        self.look_after(now)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        let finish = |work: &mut Work<'_>| {
            work.state.clean = true;
            work.state.handed_to = None;
            Ok(())
        };
        match self.change(finish) {
            Err(StoreError::Full) if self.reserve.release() => self.change(finish)?,
            done => done?,
        }
        self.failed = Some(StoreError::Fatal("the store was closed".into()));
        self.finish_log()
    }

    fn survives_restart(&self) -> bool {
        true
    }
}
