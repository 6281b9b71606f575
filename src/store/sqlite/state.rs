//! Every counter and watermark of the store, in memory and as the one row of `state`.
//!
//! The row is written in the same transaction as what it counts. One row and one statement for each
//! commit, whatever the number of messages.

use rusqlite::{Connection, params};

use super::error::{Failure, Outcome};
use super::times::{stored_time, told_time};
use crate::domain::{RowId, Status, Turn, WallTime};
use crate::store::{Facts, PartitionFacts};

/// Partitions that the keys of `pending` have room for.
pub(super) const PARTITIONS_MAX: usize = 16;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// How many partitions the pending messages are spread over.
    pub(super) partitions: u8,
    /// It was closed, and nothing was opened since.
    pub(super) clean: bool,
    /// The last row or turn that was given.
    pub(super) last_row: Option<RowId>,
    /// What a broker may have got since the opening.
    pub(super) handed_to: Option<Turn>,
    /// What a broker may have got before a crash: pending messages up to here are doubtful for ever.
    /// Whatever gets a turn later gets one behind it.
    pub(super) doubtful_to: Option<Turn>,
    /// Settled messages up to here may have been forgotten.
    pub(super) horizon: Option<RowId>,
    /// The number of the last settlement.
    pub(super) last_position: u64,
    /// Confirmed messages settled up to here have gone.
    pub(super) confirmed_evicted_to: u64,
    /// Payloads of messages settled up to here have gone.
    pub(super) payloads_evicted_to: u64,
    pub(super) confirmed: u64,
    pub(super) returned: u64,
    pub(super) failed: u64,
    /// Bytes of `settled` and `payloads`, as [`super::settle`] accounts them.
    pub(super) history_bytes: u64,
    /// Rows of `notes`.
    pub(super) notes: u64,
    pub(super) pending: [PartitionFacts; PARTITIONS_MAX],
    /// What is in `scheduled`.
    pub(super) scheduled: PartitionFacts,
    /// Rows of `pending` whose turn is not their row.
    pub(super) moved: u64,
    /// By how much the wall clock has stepped since there is this store; see `times.rs`.
    pub(super) clock_offset_ms: i64,
    /// The wall clock at the last commit that told it.
    pub(super) wall: Option<WallTime>,
}

const LOAD: &str = "SELECT partitions, clean, last_row, handed_to, doubtful_to, horizon,
    last_position, confirmed_evicted_to, payloads_evicted_to, confirmed, returned, failed,
    history_bytes, notes, pending, scheduled_messages, scheduled_bytes, moved, clock_offset_ms,
    wall FROM state WHERE id = 1";

const SAVE: &str = "UPDATE state SET partitions = ?1, clean = ?2, last_row = ?3, handed_to = ?4,
    doubtful_to = ?5, horizon = ?6, last_position = ?7, confirmed_evicted_to = ?8,
    payloads_evicted_to = ?9, confirmed = ?10, returned = ?11, failed = ?12, history_bytes = ?13,
    notes = ?14, pending = ?15, scheduled_messages = ?16, scheduled_bytes = ?17, moved = ?18,
    clock_offset_ms = ?19, wall = ?20 WHERE id = 1";

/// [`State::clock_offset_ms`] alone.
pub(super) fn clock_offset_ms(connection: &Connection) -> Outcome<i64> {
    let mut statement = connection.prepare_cached("SELECT clock_offset_ms FROM state")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

impl State {
    /// The state that is stored.
    pub(super) fn load(connection: &Connection) -> Outcome<Self> {
        let mut statement = connection.prepare_cached(LOAD)?;
        let mut pending = Vec::new();
        let mut state = statement.query_row([], |row| {
            let rows =
                |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(stored_row));
            let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
            pending = row.get(14)?;
            Ok(Self {
                partitions: row.get(0)?,
                clean: row.get(1)?,
                last_row: rows(2)?,
                handed_to: rows(3)?.map(Turn::from),
                doubtful_to: rows(4)?.map(Turn::from),
                horizon: rows(5)?,
                last_position: count(6)?,
                confirmed_evicted_to: count(7)?,
                payloads_evicted_to: count(8)?,
                confirmed: count(9)?,
                returned: count(10)?,
                failed: count(11)?,
                history_bytes: count(12)?,
                notes: count(13)?,
                pending: Default::default(),
                scheduled: PartitionFacts {
                    messages: count(15)?,
                    bytes: count(16)?,
                },
                moved: count(17)?,
                clock_offset_ms: row.get(18)?,
                wall: row.get::<_, Option<i64>>(19)?.map(told_time),
            })
        })?;
        let (numbers, rest) = pending.as_chunks::<8>();
        if !rest.is_empty() || numbers.len() > 2 * PARTITIONS_MAX || numbers.len() % 2 == 1 {
            return Err(Failure::Damaged("the counters of pending messages".into()));
        }
        for (facts, numbers) in state.pending.iter_mut().zip(numbers.chunks(2)) {
            facts.messages = u64::from_le_bytes(numbers[0]);
            facts.bytes = u64::from_le_bytes(numbers[1]);
        }
        Ok(state)
    }

    /// Stores it, within the transaction that is open.
    pub(super) fn save(&self, connection: &Connection) -> Outcome<()> {
        let mut pending = [0; 16 * PARTITIONS_MAX];
        for (numbers, facts) in pending.chunks_mut(16).zip(&self.pending) {
            numbers[..8].copy_from_slice(&facts.messages.to_le_bytes());
            numbers[8..].copy_from_slice(&facts.bytes.to_le_bytes());
        }
        let saved = connection.prepare_cached(SAVE)?.execute(params![
            self.partitions,
            self.clean,
            self.last_row.map(row_number),
            self.handed_to.map(turn_number),
            self.doubtful_to.map(turn_number),
            self.horizon.map(row_number),
            self.last_position.cast_signed(),
            self.confirmed_evicted_to.cast_signed(),
            self.payloads_evicted_to.cast_signed(),
            self.confirmed.cast_signed(),
            self.returned.cast_signed(),
            self.failed.cast_signed(),
            self.history_bytes.cast_signed(),
            self.notes.cast_signed(),
            &pending[..],
            self.scheduled.messages.cast_signed(),
            self.scheduled.bytes.cast_signed(),
            self.moved.cast_signed(),
            self.clock_offset_ms,
            self.wall.map(stored_time),
        ])?;
        if saved == 1 {
            Ok(())
        } else {
            Err(Failure::Damaged("the row of counters has gone".into()))
        }
    }

    /// The count of a final status; settlements have no other.
    pub(super) fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Confirmed => &mut self.confirmed,
            Status::Returned => &mut self.returned,
            Status::Failed | Status::Pending => &mut self.failed,
        }
    }

    /// A pending message got a turn, of a partition or later than its row.
    pub(super) fn has_turn(&mut self, partition: u8, is_moved: bool, bytes: u64) {
        add(&mut self.pending[usize::from(partition)], bytes);
        self.moved += u64::from(is_moved);
    }

    /// A message with a turn is no longer pending.
    pub(super) fn left_turn(&mut self, partition: u8, is_moved: bool, bytes: u64) {
        subtract(&mut self.pending[usize::from(partition)], bytes);
        self.moved = self.moved.saturating_sub(u64::from(is_moved));
    }

    /// A message is scheduled.
    pub(super) fn scheduled(&mut self, bytes: u64) {
        add(&mut self.scheduled, bytes);
    }

    /// A message is no longer scheduled.
    pub(super) fn left_schedule(&mut self, bytes: u64) {
        subtract(&mut self.scheduled, bytes);
    }

    /// A row or turn was given.
    pub(super) fn gave(&mut self, row: RowId) {
        self.last_row = self.last_row.max(Some(row));
    }

    /// What is to be told of it. `oldest_pending` and `file_bytes` are not in it.
    pub(super) fn facts(&self) -> Facts {
        let used = self.pending.iter().rposition(|facts| facts.messages > 0);
        let partitions = usize::from(self.partitions).max(used.map_or(0, |last| last + 1));
        Facts {
            pending: self.pending[..partitions.min(PARTITIONS_MAX)].to_vec(),
            scheduled: self.scheduled,
            confirmed: self.confirmed,
            returned: self.returned,
            failed: self.failed,
            history_bytes: self.history_bytes,
            last_row: self.last_row,
            horizon: self.horizon,
            last_position: self.last_position,
            wall: self.wall,
            ..Facts::default()
        }
    }
}

/// A row id as `SQLite` keeps it.
pub(super) fn row_number(row: RowId) -> i64 {
    row.get().cast_signed()
}

/// A row id as it was kept.
pub(super) fn stored_row(number: i64) -> RowId {
    RowId::from_stored(number.cast_unsigned())
}

/// A turn as `SQLite` keeps it.
pub(super) fn turn_number(turn: Turn) -> i64 {
    row_number(turn.row())
}

/// The key of a pending message. Within a partition keys are in the order of turns; those of the
/// upper eight partitions are negative.
pub(super) fn key(partition: u8, turn: Turn) -> i64 {
    (u64::from(partition) << 60 | turn.get()).cast_signed()
}

/// The keys of a partition behind `after`: the first and the last that there can be.
pub(super) fn keys(partition: u8, after: Option<Turn>) -> (i64, i64) {
    let start = u64::from(partition) << 60;
    let first = after.map_or(start, |turn| start + turn.get() + 1);
    (first.cast_signed(), (start | ((1 << 60) - 1)).cast_signed())
}

/// The partition in a key.
pub(super) fn partition_of(key: i64) -> u8 {
    (key.cast_unsigned() >> 60).to_le_bytes()[0]
}

/// The turn in a key.
pub(super) fn turn_of(key: i64) -> Turn {
    Turn::from_stored(key.cast_unsigned())
}

fn add(facts: &mut PartitionFacts, bytes: u64) {
    facts.messages += 1;
    facts.bytes += bytes;
}

fn subtract(facts: &mut PartitionFacts, bytes: u64) {
    facts.messages = facts.messages.saturating_sub(1);
    facts.bytes = facts.bytes.saturating_sub(bytes);
}
