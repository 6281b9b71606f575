//! The writer: a batch is a transaction.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use super::Options;
use super::callers::Callers;
use super::checkpoint::Checkpoints;
use super::connection::{self, used_bytes};
use super::error::Outcome;
use super::evict::{self, Due, Limits};
use super::lock::Lock;
use super::place::Places;
use super::reserve::Reserve;
use super::settle::{self, Recent};
use super::state::{State, row_number};
use super::{keys, messages, transaction};
use crate::domain::{Message, MessageId, Turn, WallTime};
use crate::store::{
    Accepted, Batch, DueMessages, Record, Replayable, StoreError, Upkeep, WriteStore,
};

/// Messages that one commit forgets for those that it accepts, at most.
const FORGOTTEN: usize = 1024;

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
            connection: parts.connection,
            state: parts.state,
            options: parts.options,
            log_path: parts.log_path,
            places: parts.places,
            checkpoints: parts.checkpoints,
            reserve: parts.reserve,
            due: Due::new(parts.now),
            recent: Recent::default(),
            callers: Callers::default(),
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
            })?;
            self.callers.save(&self.connection)?;
            state.save(&self.connection)
        });
        self.callers.ended(done.is_ok());
        match done {
            Ok(()) => {
                self.state = state;
                Ok(())
            }
            Err(failure) => Err(self.fail(failure.into())),
        }
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
    fn has_room(&mut self, bytes: u64) -> Result<bool, StoreError> {
        let pages = match self.look_at_budget() {
            Ok(pages) => pages,
            Err(failure) => return Err(self.fail(failure.into())),
        };
        let log = std::fs::metadata(&self.log_path).map_or(0, |metadata| metadata.len());
        let needed = pages + log + bytes + self.options.reserve_bytes;
        self.due.refused = needed > self.options.store_bytes_max;
        Ok(!self.due.refused)
    }

    /// Sees whether so much is used that history must make way, and answers the bytes of the pages
    /// in use. The log does not count, but for what it takes in ordinary times: a reader that does
    /// not end makes it long, and to forget history would not shorten it.
    pub(super) fn look_at_budget(&mut self) -> Outcome<u64> {
        let pages = used_bytes(&self.connection)?;
        let budget = self.options.store_bytes_max;
        let log = 2 * connection::log_bytes_kept(&self.options);
        let room = budget.saturating_sub(self.options.reserve_bytes + log);
        self.due.squeezed = pages > room / 8 * 7;
        Ok(pages)
    }

    fn keep(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let limits = Limits::new(&self.options, &self.due);
        // At twice the pace at which it grows, the history gets back to its size. When it makes way
        // for messages, as many bytes as they bring.
        let mut forgotten = 2 * batch.settled.len();
        if self.due.squeezed {
            let records = content_bytes(batch.accepted) / settle::RECORD_BYTES;
            forgotten += usize::try_from(records).map_or(FORGOTTEN, |some| some.min(FORGOTTEN));
        }
        self.change(|work| {
            let mut insert = work.connection.prepare_cached(messages::INSERT)?;
            for accepted in batch.accepted {
                if is_new(work, accepted)? {
                    let caller = &accepted.message.draft.caller;
                    let caller = work.callers.accepted(work.connection, caller)?;
                    messages::insert(&mut insert, accepted, caller)?;
                    if let Some(used) = &accepted.key {
                        keys::keep(work.connection, &accepted.message, caller, used)?;
                    }
                    count(work.state, accepted);
                }
            }
            settle::settle(work, batch.settled)?;
            settle::note(work, batch.noted)?;
            work.state.handed_to = work
                .state
                .handed_to
                .max(batch.handed_to.map(crate::domain::Turn::row));
            // At twice the pace at which it grows, the history gets back to its size.
            if limits.want(work.state) {
                evict::some(work.connection, work.state, &limits, forgotten)?;
            }
            Ok(())
        })
    }
}

/// Bytes that messages take on disk, roughly and rather too many.
fn content_bytes(accepted: &[Accepted]) -> u64 {
    let bytes = accepted.iter().map(|one| one.message.footprint_bytes());
    bytes.sum::<usize>() as u64
}

/// Whatever comes behind the last one is new, which is every message but those of a batch that is
/// given a second time.
fn is_new(work: &mut Work<'_>, accepted: &Accepted) -> Outcome<bool> {
    let id = accepted.message.id;
    if work.state.last_row.is_none_or(|last| id.row() > last) {
        work.recent.push(id.row(), accepted.partition);
        return Ok(true);
    }
    let settled = "SELECT 1 FROM settled WHERE row = ?1";
    let settled = (work.connection.prepare_cached(settled)?).exists([row_number(id.row())])?;
    Ok(!settled && !settle::is_pending(work, id)?)
}

fn count(state: &mut State, accepted: &Accepted) {
    state.last_row = state.last_row.max(Some(accepted.message.id.row()));
    let facts = &mut state.pending[usize::from(accepted.partition)];
    facts.messages += 1;
    facts.bytes += accepted.message.footprint_bytes() as u64;
}

impl WriteStore for SqliteStore {
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.usable()?;
        if batch.is_empty() {
            return Ok(());
        }
        let partitions = self.options.partitions;
        if batch.accepted.iter().any(|one| one.partition >= partitions) {
            let error = format!("a message was given a partition beyond {partitions}");
            return Err(self.fail(StoreError::Fatal(error)));
        }
        let bytes = content_bytes(batch.accepted);
        if !batch.accepted.is_empty() && !self.has_room(bytes)? {
            self.make_room()?;
            if !self.has_room(bytes)? {
                return Err(StoreError::Full);
            }
        }
        self.commits = self.commits.saturating_add(1);
        match self.keep(batch) {
            Err(StoreError::Full) if batch.accepted.is_empty() && self.reserve.release() => {
                self.keep(batch)
            }
            kept => kept,
        }
    }

    fn due(&mut self, _: WallTime, _: usize, _: usize) -> Result<DueMessages, StoreError> {
        Ok(DueMessages::default())
    }

    fn scheduled(&mut self, _: MessageId) -> Result<Option<Arc<Message>>, StoreError> {
        Ok(None)
    }

    fn overdue(
        &mut self,
        _: WallTime,
        _: Option<(WallTime, Turn)>,
        _: usize,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    fn replayable(&mut self, _: MessageId) -> Result<Replayable, StoreError> {
        Ok(Replayable::No)
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
        self.finish_log();
        Ok(())
    }

    fn survives_restart(&self) -> bool {
        true
    }
}
