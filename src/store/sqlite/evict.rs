//! Forgetting: history by age and by bytes, a chunk of the record of outcomes at a time.
//!
//! Three watermarks walk along the record, which is in the order of settlement: a message that waited
//! for days is not forgotten the moment it is settled. For bytes the order is: everything confirmed;
//! then payloads of returned and failed messages; then their rows. For age: each kind when its time
//! has come. Pending messages are not in the record, so nothing here can touch them.

use rusqlite::{Connection, OptionalExtension, params};

use super::Options;
use super::error::{Failure, Outcome};
use super::outcomes::{self, Entry};
use super::state::{State, row_number};
use crate::domain::{Status, WallTime};

const NEXT: &str = "SELECT position, settled_at, confirmed_bytes, entries FROM outcomes
    WHERE position > ?1 ORDER BY position LIMIT 1";
const REWRITE: &str = "UPDATE outcomes SET confirmed_bytes = 0, entries = ?2 WHERE position = ?1";
const DROP_CHUNK: &str = "DELETE FROM outcomes WHERE position = ?1";
const DROP_ROW: &str = "DELETE FROM settled WHERE row = ?1 AND position = ?2";
const ROW_BYTES: &str = "SELECT kept_bytes FROM settled WHERE row = ?1 AND position = ?2";
const DROP_PAYLOAD: &str = "DELETE FROM payloads WHERE row = ?1";
const PAYLOAD_BYTES: &str = "SELECT length(payload) + ifnull(length(properties), 0) FROM payloads
    WHERE row = ?1 AND EXISTS (SELECT 1 FROM settled WHERE row = ?1 AND position = ?2)";

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
            aged_before: None,
            keys_aged_before: None,
            vacuum: true,
        }
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
pub(super) fn some(
    connection: &Connection,
    state: &mut State,
    limits: &Limits,
    most: usize,
) -> Outcome<bool> {
    let mut done = 0;
    while done < most {
        match one(connection, state, limits)? {
            Some(messages) => done += messages.max(1),
            None => return Ok(false),
        }
    }
    Ok(true)
}

/// Forgets a chunk, if one has to go; answers its messages.
fn one(connection: &Connection, state: &mut State, limits: &Limits) -> Outcome<Option<usize>> {
    let over = state.history_bytes > limits.history_bytes_max;
    let aged = |chunk: &Chunk| {
        limits
            .aged_before
            .is_some_and(|before| chunk.settled_at < before)
    };
    if !over && limits.aged_before.is_none() {
        return Ok(None);
    }
    if let Some(chunk) = next(connection, state.confirmed_evicted_to)?
        && (over || aged(&chunk))
    {
        return drop_confirmed(connection, state, &chunk).map(Some);
    }
    let Some(oldest) = next(connection, 0)? else {
        return Ok(None);
    };
    if oldest.position > state.confirmed_evicted_to {
        return Ok(None);
    }
    if aged(&oldest) {
        return drop_rows(connection, state, &oldest).map(Some);
    }
    if !over {
        return Ok(None);
    }
    match next(connection, state.payloads_evicted_to)? {
        Some(chunk) if chunk.position <= state.confirmed_evicted_to => {
            drop_payloads(connection, state, &chunk)?;
            state.payloads_evicted_to = chunk.position;
            Ok(Some(chunk.entries.len()))
        }
        _ => drop_rows(connection, state, &oldest).map(Some),
    }
}

fn drop_confirmed(connection: &Connection, state: &mut State, chunk: &Chunk) -> Outcome<usize> {
    let mut left = Vec::new();
    let mut statement = connection.prepare_cached(DROP_ROW)?;
    for entry in &chunk.entries {
        if entry.status == Status::Confirmed {
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

fn drop_payloads(connection: &Connection, state: &mut State, chunk: &Chunk) -> Outcome<()> {
    for entry in &chunk.entries {
        if let Some(bytes) = bytes(connection, PAYLOAD_BYTES, entry)? {
            connection
                .prepare_cached(DROP_PAYLOAD)?
                .execute([row_number(entry.row)])?;
            state.history_bytes = state.history_bytes.saturating_sub(bytes);
        }
    }
    Ok(())
}

fn drop_rows(connection: &Connection, state: &mut State, chunk: &Chunk) -> Outcome<usize> {
    drop_payloads(connection, state, chunk)?;
    for entry in &chunk.entries {
        // An entry whose message was settled again later is not the last word on it.
        if let Some(bytes) = bytes(connection, ROW_BYTES, entry)? {
            connection.prepare_cached(DROP_ROW)?.execute(place(entry))?;
            state.history_bytes = state.history_bytes.saturating_sub(bytes);
            let count = state.of(entry.status);
            *count = count.saturating_sub(1);
            state.horizon = state.horizon.max(Some(entry.row));
        }
    }
    connection
        .prepare_cached(DROP_CHUNK)?
        .execute([chunk.position.cast_signed()])?;
    Ok(chunk.entries.len())
}

fn bytes(connection: &Connection, sql: &str, entry: &Entry) -> Outcome<Option<u64>> {
    let mut statement = connection.prepare_cached(sql)?;
    let bytes = statement.query_row(place(entry), |row| row.get::<_, i64>(0));
    Ok(bytes.optional()?.map(i64::cast_unsigned))
}

fn place(entry: &Entry) -> [i64; 2] {
    [row_number(entry.row), entry.position.cast_signed()]
}
