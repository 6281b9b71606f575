//! Forgetting: history by age and by bytes, a chunk of the record of outcomes at a time.
//!
//! Three watermarks walk along the record, which is in the order of settlement: a message that waited
//! for days is not forgotten the moment it is settled. For bytes the order is: everything confirmed;
//! then payloads of returned and failed messages; then their rows. For age: each kind when its time
//! has come. Of a message that was replayed the entries of its earlier ends are still there; only the
//! one that has the position of its row counts. Pending messages have no row, so nothing here can
//! touch them.

use rusqlite::{Connection, OptionalExtension, params};

use super::Options;
use super::error::{Failure, Outcome};
use super::outcomes::{self, Entry};
use super::state::{State, row_number};
use super::writer::Work;
use crate::domain::{Status, WallTime};

const NEXT: &str = "SELECT position, settled_at, confirmed_bytes, entries FROM outcomes
    WHERE position > ?1 ORDER BY position LIMIT 1";
const REWRITE: &str = "UPDATE outcomes SET confirmed_bytes = 0, entries = ?2 WHERE position = ?1";
const DROP_CHUNK: &str = "DELETE FROM outcomes WHERE position = ?1";
const DROP_ROW: &str = "DELETE FROM settled WHERE row = ?1 AND position = ?2";
const ROW: &str = "SELECT kept_bytes, label FROM settled WHERE row = ?1 AND position = ?2";
const DROP_PAYLOAD: &str = "DELETE FROM payloads WHERE row = ?1";
const PAYLOAD_BYTES: &str = "SELECT length(payload) + ifnull(length(properties), 0) FROM payloads
    WHERE row = ?1 AND EXISTS (SELECT 1 FROM settled WHERE row = ?1 AND position = ?2)";

/// Bytes of an entry whose message was replayed since, a chunk of its own at worst: without them, one
/// message that is replayed over and over would fill the store with what is worth nothing.
pub(super) const STALE_BYTES: u64 = 32;

/// History that takes less of the budget than this share does not make way early: to forget it would
/// gain nothing, and whoever asks what became of the last messages would not be told.
const SMALL_SHARE: u64 = 64;

/// What is known of what is due, between two looks at the clock.
pub(super) struct Due {
    pub(super) now: WallTime,
    /// The pages in use have nearly used up the budget.
    pub(super) squeezed: bool,
    /// The last message found no room.
    pub(super) refused: bool,
    /// So many bytes can be written until the budget must be looked at again.
    pub(super) sure_bytes: u64,
    /// Something was settled before this time and must go.
    pub(super) aged_before: Option<WallTime>,
    /// Keys were used before this time and must go.
    pub(super) keys_aged_before: Option<WallTime>,
    /// There may be free pages to give back.
    pub(super) vacuum: bool,
}

impl Due {
    pub(super) fn new(now: WallTime) -> Self {
        Self {
            now,
            squeezed: false,
            refused: false,
            sure_bytes: 0,
            aged_before: None,
            keys_aged_before: None,
            vacuum: true,
        }
    }

    /// Takes `bytes` from what can be written without a look; `false` when that is not so much.
    pub(super) fn is_sure_of(&mut self, bytes: u64) -> bool {
        let left = self.sure_bytes.checked_sub(bytes);
        self.sure_bytes = left.unwrap_or(0);
        left.is_some()
    }
}

/// Why something is to go.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) history_bytes_max: u64,
    pub(super) aged_before: Option<WallTime>,
}

impl Limits {
    pub(super) fn new(options: &Options, due: &Due) -> Self {
        Self {
            history_bytes_max: if due.squeezed {
                let small = options.store_bytes_max / SMALL_SHARE;
                options.history_bytes_max.min(small)
            } else {
                options.history_bytes_max
            },
            aged_before: due.aged_before,
        }
    }

    /// Whether anything may have to go.
    pub(super) fn want(&self, state: &State) -> bool {
        state.history_bytes > self.history_bytes_max || self.aged_before.is_some()
    }
}

struct Chunk {
    position: u64,
    settled_at: WallTime,
    confirmed_bytes: u64,
    entries: Vec<Entry>,
}

fn next(connection: &Connection, behind: u64) -> Outcome<Option<Chunk>> {
    let mut statement = connection.prepare_cached(NEXT)?;
    let read = statement.query_row([behind.cast_signed()], |row| {
        let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
        let blob = row.get_ref(3)?.as_blob().map(outcomes::decode)?;
        Ok((count(0)?, count(1)?, count(2)?, blob))
    });
    let Some((position, settled_at, confirmed_bytes, entries)) = read.optional()? else {
        return Ok(None);
    };
    let entries = entries.map_err(|unreadable| {
        Failure::Damaged(format!(
            "the outcomes from position {position}: {unreadable}"
        ))
    })?;
    Ok(Some(Chunk {
        position,
        settled_at: WallTime::from_unix_ms(settled_at),
        confirmed_bytes,
        entries,
    }))
}

/// Whether something was settled before `time`.
pub(super) fn has_aged(connection: &Connection, state: &State, time: WallTime) -> Outcome<bool> {
    for behind in [state.confirmed_evicted_to, 0] {
        if next(connection, behind)?.is_some_and(|chunk| chunk.settled_at < time) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets about `most` messages, chunk by chunk. False when nothing is left to forget.
pub(super) fn some(work: &mut Work<'_>, limits: &Limits, most: usize) -> Outcome<bool> {
    let mut done = 0;
    while done < most {
        match one(work, limits)? {
            Some(messages) => done += messages.max(1),
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Forgets a chunk, if one has to go; answers its messages.
fn one(work: &mut Work<'_>, limits: &Limits) -> Outcome<Option<usize>> {
    let over = work.state.history_bytes > limits.history_bytes_max;
    let aged = |chunk: &Chunk| {
        limits
            .aged_before
            .is_some_and(|before| chunk.settled_at < before)
    };
    if !over && limits.aged_before.is_none() {
        return Ok(None);
    }
    if let Some(chunk) = next(work.connection, work.state.confirmed_evicted_to)?
        && (over || aged(&chunk))
    {
        return drop_confirmed(work, &chunk).map(Some);
    }
    let Some(oldest) = next(work.connection, 0)? else {
        return Ok(None);
    };
    if oldest.position > work.state.confirmed_evicted_to {
        return Ok(None);
    }
    if aged(&oldest) {
        return drop_rows(work, &oldest).map(Some);
    }
    if !over {
        return Ok(None);
    }
    match next(work.connection, work.state.payloads_evicted_to)? {
        Some(chunk) if chunk.position <= work.state.confirmed_evicted_to => {
            drop_payloads(work, &chunk)?;
            work.state.payloads_evicted_to = chunk.position;
            Ok(Some(chunk.entries.len()))
        }
        _ => drop_rows(work, &oldest).map(Some),
    }
}

/// What was confirmed is never settled again: each of its entries has its row.
fn drop_confirmed(work: &mut Work<'_>, chunk: &Chunk) -> Outcome<usize> {
    let (connection, state) = (work.connection, &mut *work.state);
    let mut left = Vec::new();
    let mut statement = connection.prepare_cached(DROP_ROW)?;
    for entry in &chunk.entries {
        if entry.status == Status::Confirmed {
            if entry.has_label
                && let Some((_, Some(label))) = row_of(connection, entry)?
            {
                work.groups.forgotten(label);
            }
            statement.execute(place(entry))?;
            state.horizon = state.horizon.max(Some(entry.row));
        } else {
            left.push(*entry);
        }
    }
    let dropped = chunk.entries.len() - left.len();
    state.confirmed = state.confirmed.saturating_sub(dropped as u64);
    state.history_bytes = state.history_bytes.saturating_sub(chunk.confirmed_bytes);
    state.confirmed_evicted_to = chunk.position;
    if left.is_empty() {
        connection
            .prepare_cached(DROP_CHUNK)?
            .execute([chunk.position.cast_signed()])?;
    } else if dropped > 0 {
        let blob = outcomes::encode(&left);
        connection
            .prepare_cached(REWRITE)?
            .execute(params![chunk.position.cast_signed(), blob])?;
    }
    Ok(dropped)
}

fn drop_payloads(work: &mut Work<'_>, chunk: &Chunk) -> Outcome<()> {
    let mut statement = work.connection.prepare_cached(PAYLOAD_BYTES)?;
    for entry in &chunk.entries {
        let bytes = statement.query_row(place(entry), |row| row.get::<_, i64>(0));
        if let Some(bytes) = bytes.optional()? {
            (work.connection.prepare_cached(DROP_PAYLOAD)?).execute([row_number(entry.row)])?;
            let history_bytes = &mut work.state.history_bytes;
            *history_bytes = history_bytes.saturating_sub(bytes.cast_unsigned());
        }
    }
    Ok(())
}

fn drop_rows(work: &mut Work<'_>, chunk: &Chunk) -> Outcome<usize> {
    drop_payloads(work, chunk)?;
    let (connection, state) = (work.connection, &mut *work.state);
    for entry in &chunk.entries {
        let bytes = if let Some((bytes, label)) = row_of(connection, entry)? {
            connection.prepare_cached(DROP_ROW)?.execute(place(entry))?;
            if let Some(label) = label {
                work.groups.forgotten(label);
            }
            let count = state.of(entry.status);
            *count = count.saturating_sub(1);
            state.horizon = state.horizon.max(Some(entry.row));
            bytes
        } else {
            // Its message was replayed since: it is not the last word on it.
            STALE_BYTES
        };
        state.history_bytes = state.history_bytes.saturating_sub(bytes);
    }
    connection
        .prepare_cached(DROP_CHUNK)?
        .execute([chunk.position.cast_signed()])?;
    Ok(chunk.entries.len())
}

/// The bytes of the row that an entry is about, and the number of its label; nothing when the entry
/// is not the last word on its message.
fn row_of(connection: &Connection, entry: &Entry) -> Outcome<Option<(u64, Option<i64>)>> {
    let mut statement = connection.prepare_cached(ROW)?;
    let row = statement.query_row(place(entry), |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
    });
    Ok(row.optional()?)
}

fn place(entry: &Entry) -> [i64; 2] {
    [row_number(entry.row), entry.position.cast_signed()]
}
