//! Settling: a message leaves `pending`, what is told of it goes to `settled`, and the record of
//! outcomes grows.

use std::collections::VecDeque;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Statement, params};

use super::error::Outcome;
use super::outcomes::{self, ENTRIES_MAX, Entry, status_code};
use super::state::{PARTITIONS_MAX, key, row_number};
use super::writer::Work;
use crate::domain::{MessageId, Reason, RowId, Status};
use crate::store::{Note, Settlement};

/// Bytes of a settled record beside its texts, as measured.
pub(super) const RECORD_BYTES: u64 = 96;

const FIND: &str = "SELECT random, footprint_bytes, octet_length(exchange) +
    octet_length(routing_key) + ifnull(octet_length(ordering_key), 0) +
    ifnull(octet_length(message_id), 0), length(payload) + ifnull(length(properties), 0),
    caller FROM pending WHERE key = ?1";

const MOVE: &str = "INSERT INTO settled (row, random, caller, position, status, revision, attempts,
    duplicate_possible, accepted_at, settled_at, mandatory, replays, size_bytes, kept_bytes,
    exchange, routing_key, ordering_key, message_id, reason, reply_code, reply_text, detail)
    SELECT ?2, random, caller, ?3, ?4, ?5, ?6, ?7, accepted_at, ?8, mandatory, replays, length(payload),
    ?9, exchange, routing_key, ordering_key, message_id, ?10, ?11, ?12, ?13
    FROM pending WHERE key = ?1";

const KEEP_PAYLOAD: &str = "INSERT INTO payloads (row, checksum, properties, payload)
    SELECT ?2, checksum, properties, payload FROM pending WHERE key = ?1";

const DROP: &str = "DELETE FROM pending WHERE key = ?1";

const DROP_NOTE: &str = "DELETE FROM notes WHERE row = ?1";

const NOTE: &str = "INSERT INTO notes (row, attempts) VALUES (?1, ?2)
    ON CONFLICT (row) DO UPDATE SET attempts = excluded.attempts";

const RECORD: &str = "INSERT INTO outcomes (position, settled_at, confirmed_bytes, entries)
    VALUES (?1, ?2, ?3, ?4)";

/// The partitions of the messages accepted last, so that most settlements find theirs at once. For
/// the others the partitions are tried in turn, the one of the last settlement first.
#[derive(Default)]
pub(super) struct Recent {
    partitions: VecDeque<(RowId, u8)>,
    last: u8,
}

impl Recent {
    const MESSAGES_MAX: usize = 1 << 16;

    /// Takes note of a message; its row is above all others.
    pub(super) fn push(&mut self, row: RowId, partition: u8) {
        if self.partitions.len() == Self::MESSAGES_MAX {
            self.partitions.pop_front();
        }
        self.partitions.push_back((row, partition));
    }

    fn guess(&self, row: RowId) -> u8 {
        match self.partitions.binary_search_by_key(&row, |(row, _)| *row) {
            Ok(at) => self
                .partitions
                .get(at)
                .map_or(self.last, |(_, partition)| *partition),
            Err(_) => self.last,
        }
    }
}

struct Found {
    partition: u8,
    caller: i64,
    footprint_bytes: u64,
    text_bytes: u64,
    body_bytes: u64,
}

/// The statements that every settlement needs, prepared once for a batch: looking them up for each
/// message was a twentieth of its cost.
struct Statements<'a> {
    find: CachedStatement<'a>,
    mover: CachedStatement<'a>,
    dropper: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn new(connection: &'a Connection) -> Outcome<Self> {
        Ok(Self {
            find: connection.prepare_cached(FIND)?,
            mover: connection.prepare_cached(MOVE)?,
            dropper: connection.prepare_cached(DROP)?,
        })
    }
}

fn find(statement: &mut Statement<'_>, work: &Work<'_>, id: MessageId) -> Outcome<Option<Found>> {
    let guess = work.recent.guess(id.row());
    let others = (0_u8..).zip(&work.state.pending[..PARTITIONS_MAX]);
    let others = others.filter(|(partition, facts)| *partition != guess && facts.messages > 0);
    for partition in std::iter::once(guess).chain(others.map(|(partition, _)| partition)) {
        let found = statement.query_row([key(partition, id.row())], |row| {
            let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
            let found = Found {
                partition,
                caller: row.get(4)?,
                footprint_bytes: count(1)?,
                text_bytes: count(2)?,
                body_bytes: count(3)?,
            };
            Ok((count(0)?, found))
        });
        if let Some((random, found)) = found.optional()? {
            return Ok((random == id.random()).then_some(found));
        }
    }
    Ok(None)
}

/// Whether a message is pending.
pub(super) fn is_pending(work: &Work<'_>, id: MessageId) -> Outcome<bool> {
    let mut statement = work.connection.prepare_cached(FIND)?;
    Ok(find(&mut statement, work, id)?.is_some())
}

/// Settles what of `settled` is pending.
pub(super) fn settle(work: &mut Work<'_>, settled: &[Settlement]) -> Outcome<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let mut statements = Statements::new(work.connection)?;
    for chunk in settled.chunks(ENTRIES_MAX) {
        let mut entries = Vec::with_capacity(chunk.len());
        let mut confirmed_bytes = 0;
        let mut settled_at = 0;
        for settlement in chunk {
            let Some(found) = find(&mut statements.find, work, settlement.id)? else {
                continue;
            };
            work.recent.last = found.partition;
            let position = work.state.last_position + 1;
            let kept_bytes = move_one(work, &mut statements, settlement, &found, position)?;
            if settlement.status == Status::Confirmed {
                confirmed_bytes += kept_bytes;
            }
            settled_at = settled_at.max(settlement.settled_at.unix_ms());
            work.state.last_position = position;
            entries.push(Entry {
                position,
                row: settlement.id.row(),
                status: settlement.status,
            });
        }
        if let Some(first) = entries.first() {
            work.connection.prepare_cached(RECORD)?.execute(params![
                first.position.cast_signed(),
                settled_at.cast_signed(),
                confirmed_bytes.cast_signed(),
                outcomes::encode(&entries),
            ])?;
        }
    }
    Ok(())
}

/// Moves a message and answers the bytes that its record is accounted with.
fn move_one(
    work: &mut Work<'_>,
    statements: &mut Statements<'_>,
    settlement: &Settlement,
    found: &Found,
    position: u64,
) -> Outcome<u64> {
    let (connection, state) = (work.connection, &mut *work.state);
    let row = row_number(settlement.id.row());
    let key = key(found.partition, settlement.id.row());
    let reason = settlement.reason.as_ref();
    let kept_bytes = RECORD_BYTES + found.text_bytes + reason.map_or(0, reason_bytes);
    statements.mover.execute(params![
        key,
        row,
        position.cast_signed(),
        status_code(settlement.status),
        settlement.revision,
        settlement.attempts,
        settlement.duplicate_possible,
        settlement.settled_at.unix_ms().cast_signed(),
        kept_bytes.cast_signed(),
        reason.map(|reason| reason.code.as_str()),
        reason.and_then(|reason| reason.reply_code),
        reason.and_then(|reason| reason.reply_text.as_deref()),
        reason.map(|reason| &*reason.detail),
    ])?;
    state.history_bytes += kept_bytes;
    if settlement.status != Status::Confirmed {
        connection
            .prepare_cached(KEEP_PAYLOAD)?
            .execute([key, row])?;
        state.history_bytes += found.body_bytes;
    }
    statements.dropper.execute([key])?;
    if state.notes > 0 {
        let dropped = connection.prepare_cached(DROP_NOTE)?.execute([row])?;
        state.notes = state.notes.saturating_sub(dropped as u64);
    }
    *state.of(settlement.status) += 1;
    work.callers.settled(found.caller, settlement.status);
    let facts = &mut state.pending[usize::from(found.partition)];
    facts.messages = facts.messages.saturating_sub(1);
    facts.bytes = facts.bytes.saturating_sub(found.footprint_bytes);
    Ok(kept_bytes)
}

fn reason_bytes(reason: &Reason) -> u64 {
    let text = reason.reply_text.as_deref().map_or(0, str::len);
    (reason.code.as_str().len() + text + reason.detail.len()) as u64
}

/// Keeps doubts about messages that are pending.
pub(super) fn note(work: &mut Work<'_>, noted: &[Note]) -> Outcome<()> {
    let connection = work.connection;
    for note in noted {
        if !is_pending(work, note.id)? {
            continue;
        }
        let row = row_number(note.id.row());
        let known = "SELECT count(*) FROM notes WHERE row = ?1";
        let known: u64 = connection
            .prepare_cached(known)?
            .query_row([row], |row| row.get::<_, i64>(0))?
            .cast_unsigned();
        connection
            .prepare_cached(NOTE)?
            .execute(params![row, note.attempts])?;
        work.state.notes += 1 - known.min(1);
    }
    Ok(())
}
