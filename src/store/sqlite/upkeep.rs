//! What the writer does between commits, a few milliseconds at a time.

use std::time::Duration;

use rusqlite::wal::CheckpointMode;

use super::checkpoint::{self, Frames, REST_FRAMES};
use super::connection::{self, PAGE_BYTES, pragma};
use super::error::Outcome;
use super::evict::{self, Limits};
use super::keys;
use super::outbox;
use super::transaction;
use super::writer::SqliteStore;
use crate::domain::WallTime;
use crate::store::{StoreError, Upkeep};

/// Frames (pages) in the log from which on it is copied: 16 MiB.
const LOG_FRAMES: u64 = 4096;
/// Frames from which on the writer copies whatever there is, however long it takes: 512 MiB. Only a
/// disk that cannot keep up, or a reader that does not end, leads here.
const LOG_FRAMES_MAX: u64 = 131_072;
/// Messages that are forgotten in one slice.
const EVICTED: usize = 1024;
/// Such slices for one commit that finds no room.
const ROOM_SLICES: usize = 8;
/// How long such a commit waits for a checkpoint that is under way, since no other can be made.
const ROOM_WAIT: Duration = Duration::from_millis(100);
/// Milliseconds between two looks for history that has aged.
const LOOK_MS: u64 = 1000;
/// While messages wait and nothing else is kept, what the wall clock is is kept so often.
const MARK_MS: u64 = 10_000;
/// Pages given back to the file system in one slice.
const VACUUM_PAGES: u64 = 64;
/// Free pages below which none are given back, whatever their share: 64 MiB.
const FREE_PAGES_MIN: u64 = 16_384;

impl SqliteStore {
    pub(super) fn look_after(&mut self, now: WallTime) -> Result<Upkeep, StoreError> {
        let ran = self.slice(now);
        // What was done here was not charged.
        self.due.sure_bytes = 0;
        match ran {
            Ok(more) => Ok(Upkeep { more }),
            Err(StoreError::Full) => Ok(Upkeep { more: false }),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn slice(&mut self, now: WallTime) -> Result<bool, StoreError> {
        let idle = self.commits == 0;
        self.commits = 0;
        self.copy_log(idle)?;
        let looks = now.unix_ms().abs_diff(self.due.now.unix_ms()) >= LOOK_MS;
        if looks {
            self.due.now = now;
            if let Some(path) = self.places.lost() {
                let told = format!("{} was deleted, moved or replaced", path.display());
                return Err(StoreError::Fatal(told));
            }
            self.look_for_aged(now)?;
            if idle {
                self.mark(now)?;
            }
            self.due.keys_aged_before = self.aged_keys(now)?;
            if self.reserve.is_missing() && idle {
                self.reserve.restore();
            }
            if self.due.refused && idle {
                self.cut_log()?;
            }
        }
        if let Some(before) = self.due.keys_aged_before {
            let mut more = false;
            self.change(|work| {
                more = keys::forget(work.connection, before)?;
                Ok(())
            })?;
            if more {
                return Ok(true);
            }
            self.due.keys_aged_before = None;
        }
        if looks {
            self.leaving = self.has_leaving()?;
        }
        if self.leaving {
            self.leaving = self.forget_leaving()?;
            return Ok(true);
        }
        let limits = Limits::new(&self.options, &self.due);
        if limits.want(&self.state) {
            // Under load the commits forget as they go; only what they leave is done here.
            return if idle { self.forget(&limits) } else { Ok(true) };
        }
        self.due.vacuum |= looks;
        if idle && self.due.vacuum {
            self.due.vacuum = self.vacuum()?;
        }
        Ok(self.due.vacuum)
    }

    /// Keeps what the wall clock is, so that the next opening knows it where it matters.
    fn mark(&mut self, now: WallTime) -> Result<(), StoreError> {
        let since = |wall: WallTime| now.unix_ms().abs_diff(wall.unix_ms());
        let is_old = self.state.wall.is_some_and(|wall| since(wall) >= MARK_MS);
        if is_old && self.state.facts().pending_messages() > 0 {
            self.change(|work| {
                work.state.wall = Some(now);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether deliveries of deleted webhooks are still there.
    fn has_leaving(&self) -> Result<bool, StoreError> {
        Ok(outbox::has_leaving(&self.connection)?)
    }

    fn forget_leaving(&mut self) -> Result<bool, StoreError> {
        let mut more = false;
        self.change(|work| {
            more = outbox::forget_leaving(work.connection)?;
            Ok(())
        })?;
        Ok(more)
    }

    fn look_for_aged(&mut self, now: WallTime) -> Result<(), StoreError> {
        let before = now.minus(self.options.history_age);
        let aged = evict::has_aged(&self.connection, &self.state, before)?;
        self.due.aged_before = aged.then_some(before);
        Ok(())
    }

    /// Before when keys were used that are to go, if any were.
    fn aged_keys(&self, now: WallTime) -> Result<Option<WallTime>, StoreError> {
        let before = now.minus(self.options.keys_kept);
        let aged = keys::has_aged(&self.connection, before)?;
        Ok(aged.then_some(before))
    }

    fn forget(&mut self, limits: &Limits) -> Result<bool, StoreError> {
        let mut more = false;
        self.change(|work| {
            more = evict::some(work, limits, EVICTED)?;
            Ok(())
        })?;
        if !more {
            self.due.aged_before = None;
        }
        self.look_at_budget()?;
        Ok(more)
    }

    /// Copies what a round of the checkpoints has left, before more comes.
    pub(super) fn finish_copying_log(&mut self) -> Result<(), StoreError> {
        if !self.checkpoints.have_ended() {
            return Ok(());
        }
        self.copy_log(false).map_err(|error| self.fail(error))
    }

    /// Keeps the log short; see `checkpoint.rs`.
    fn copy_log(&mut self, idle: bool) -> Result<(), StoreError> {
        self.checkpoints.usable()?;
        let frames = Frames::of_log(&self.connection)?;
        let rest = frames.rest();
        let small = self.options.store_bytes_max / u64::from(PAGE_BYTES) / 16;
        let wanted = frames.all >= LOG_FRAMES.min(small.max(64)) || (idle && rest > REST_FRAMES);
        if !wanted || rest == 0 {
            return Ok(());
        }
        if frames.all >= LOG_FRAMES_MAX || (rest <= REST_FRAMES && self.checkpoints.is_idle()) {
            let copied = checkpoint::copy(&self.connection, CheckpointMode::PASSIVE);
            return match copied.map_err(StoreError::from) {
                Ok(()) | Err(StoreError::Full) => Ok(()),
                Err(error) => Err(error),
            };
        }
        self.checkpoints.ask().map(|_| ())
    }

    /// What can be done at once for messages that find no room: history makes way if it is what takes
    /// it, and the log is cut if it is. Bounded, so that settlements do not wait long; the next
    /// messages go on with it.
    pub(super) fn make_room(&mut self) -> Result<(), StoreError> {
        for _ in 0..ROOM_SLICES {
            let limits = Limits::new(&self.options, &self.due);
            if !self.due.squeezed || !limits.want(&self.state) {
                break;
            }
            match self.forget(&limits) {
                Ok(true) => {}
                Ok(false) | Err(StoreError::Full) => break,
                Err(error) => return Err(error),
            }
        }
        self.checkpoints.wait(ROOM_WAIT);
        self.cut_log().map_err(|error| self.fail(error))
    }

    /// Cuts the log back to nothing if nobody reads it. Otherwise the next commit does it, but when
    /// the log is what leaves no room, there may be none.
    fn cut_log(&self) -> Result<(), StoreError> {
        self.checkpoints.usable()?;
        let cut = connection::without_waiting(&self.connection, |connection| {
            checkpoint::copy(connection, CheckpointMode::TRUNCATE)
        });
        match cut.map_err(StoreError::from) {
            Ok(()) | Err(StoreError::Full) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives free pages back, but only when most of the file is free: a store under an even load
    /// needs them again the next moment.
    fn vacuum(&mut self) -> Outcome<bool> {
        let pages = pragma(&self.connection, "PRAGMA page_count")?;
        let free = pragma(&self.connection, "PRAGMA freelist_count")?;
        if free < FREE_PAGES_MIN || free < pages / 2 {
            return Ok(false);
        }
        transaction::run(&self.connection, || {
            let vacuum = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
            self.connection.execute_batch(&vacuum)?;
            Ok(true)
        })
    }

    /// Leaves the database without a log, as far as readers let it.
    ///
    /// # Errors
    /// The last round of the checkpoints failed; see [`Checkpoints::usable`].
    ///
    /// [`Checkpoints::usable`]: super::checkpoint::Checkpoints::usable
    pub(super) fn finish_log(&mut self) -> Result<(), StoreError> {
        self.checkpoints.stop();
        self.checkpoints.usable()?;
        // Everything is safe in the log already; the next opening copies it if this does not.
        let _ = checkpoint::copy(&self.connection, CheckpointMode::TRUNCATE);
        Ok(())
    }
}
