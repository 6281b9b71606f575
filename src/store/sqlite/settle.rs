//! Settling: a message leaves `pending` or `scheduled`, what is told of it goes to `settled`, and the
//! record of outcomes grows.

mod run;

use rusqlite::{CachedStatement, Connection, params};

use super::callers::Names;
use super::error::{Failure, Outcome};
use super::find::{self, FIND, Found, Place, Rare};
use super::outcomes::{self, ENTRIES_MAX, Entry, status_code};
use super::places::{self, Indexed};
use super::records::{self, scheduled_record};
use super::state::{key, row_number};
use super::times::{stored_time, told_end};
use super::writer::Work;
use crate::domain::{Reason, RowId, Status};
use crate::store::{Note, Settlement};

/// Bytes of a settled record beside its texts, as measured.
pub(super) const RECORD_BYTES: u64 = 96;

const MOVE: &str = "INSERT INTO settled (row, random, caller, position, status, revision, attempts,
    duplicate_possible, accepted_at, settled_at, mandatory, replays, size_bytes, kept_bytes,
    exchange, routing_key, ordering_key, message_id, reason, reply_code, reply_text, detail)
    SELECT ?2, random, caller, ?3, ?4, ?5, ?6, ?7, accepted_at, ?8, mandatory, 0, length(payload),
    ?9, exchange, routing_key, ordering_key, message_id, ?10, ?11, ?12, ?13
    FROM pending WHERE key = ?1";

const MOVE_SCHEDULED: &str = "INSERT INTO settled (row, random, caller, position, status, revision,
    attempts, duplicate_possible, accepted_at, settled_at, mandatory, replays, size_bytes,
    kept_bytes, exchange, routing_key, ordering_key, message_id, reason, reply_code, reply_text,
    detail)
    SELECT ?2, random, caller, ?3, ?4, ?5, ?6, ?7, accepted_at, ?8, mandatory, 0, length(payload),
    ?9, exchange, routing_key, ordering_key, message_id, ?10, ?11, ?12, ?13
    FROM scheduled WHERE row = ?1";

/// What few messages have goes after the rest, so that the others do not pay for it.
const MOVE_RARE: &str = "UPDATE settled SET (replays, label, terms) =
    (SELECT replays, label, terms FROM pending WHERE key = ?1), give_up_at = ?3 WHERE row = ?2";

const MOVE_RARE_SCHEDULED: &str = "UPDATE settled SET (label, terms) =
    (SELECT label, terms FROM scheduled WHERE row = ?1), give_up_at = ?3 WHERE row = ?2";

const KEEP_PAYLOAD: &str = "INSERT INTO payloads (row, checksum, properties, payload)
    SELECT ?2, checksum, properties, payload FROM pending WHERE key = ?1";

const KEEP_PAYLOAD_SCHEDULED: &str = "INSERT INTO payloads (row, checksum, properties, payload)
    SELECT ?2, checksum, properties, payload FROM scheduled WHERE row = ?1";

const DROP: &str = "DELETE FROM pending WHERE key = ?1";

const DROP_SCHEDULED: &str = "DELETE FROM scheduled WHERE row = ?1";

const DROP_NOTE: &str = "DELETE FROM notes WHERE row = ?1";

const NOTE: &str = "INSERT INTO notes (row, attempts) VALUES (?1, ?2)
    ON CONFLICT (row) DO UPDATE SET attempts = excluded.attempts";

const RECORD: &str = "INSERT INTO outcomes (position, settled_at, confirmed_bytes, entries)
    VALUES (?1, ?2, ?3, ?4)";

/// The statements that every settlement needs, prepared once for a batch: looking them up for each
/// message was a twentieth of its cost.
struct Statements<'a> {
    run: run::Statements<'a>,
    find: CachedStatement<'a>,
    mover: CachedStatement<'a>,
    dropper: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    fn new(connection: &'a Connection) -> Outcome<Self> {
        Ok(Self {
            run: run::Statements::new(connection)?,
            find: connection.prepare_cached(FIND)?,
            mover: connection.prepare_cached(MOVE)?,
            dropper: connection.prepare_cached(DROP)?,
        })
    }
}

/// Settles what of `settled` is pending and was not replayed since.
pub(super) fn settle(work: &mut Work<'_>, settled: &[Settlement]) -> Outcome<()> {
    if settled.is_empty() {
        return Ok(());
    }
    let mut statements = Statements::new(work.connection)?;
    let mut kept = Vec::with_capacity(settled.len().min(ENTRIES_MAX));
    for chunk in settled.chunks(ENTRIES_MAX) {
        let mut record = Record::default();
        let (mut rest, mut singly) = (chunk, 0);
        while let Some(first) = rest.first() {
            if singly == 0 {
                let together = run::find(work, rest, &mut kept)?;
                if together > 0 && run::settle(work, &mut statements.run, rest, &kept, &mut record)?
                {
                    rest = &rest[together..];
                    continue;
                }
                singly = together.max(1);
            }
            settle_one(work, &mut statements, first, &mut record)?;
            rest = &rest[1..];
            singly -= 1;
        }
        record.keep(work)?;
    }
    Ok(())
}

/// A row of the record of outcomes in the making.
#[derive(Default)]
struct Record {
    entries: Vec<Entry>,
    confirmed_bytes: u64,
    settled_at: u64,
}

impl Record {
    fn keep(&self, work: &Work<'_>) -> Outcome<()> {
        let Some(first) = self.entries.first() else {
            return Ok(());
        };
        work.connection.prepare_cached(RECORD)?.execute(params![
            first.position.cast_signed(),
            self.settled_at.cast_signed(),
            self.confirmed_bytes.cast_signed(),
            outcomes::encode(&self.entries),
        ])?;
        Ok(())
    }
}

/// Settles a message, if it is pending and was not replayed since.
fn settle_one(
    work: &mut Work<'_>,
    statements: &mut Statements<'_>,
    settlement: &Settlement,
    record: &mut Record,
) -> Outcome<()> {
    let found = find::pending(&mut statements.find, work, settlement.id)?;
    let is_next = |found: &Found| settlement.revision == 2 * found.replays() + 2;
    let Some(found) = found.filter(is_next) else {
        return Ok(());
    };
    let position = work.state.last_position + 1;
    let kept_bytes = move_one(work, statements, settlement, &found, position)?;
    applied(work, settlement, &found)?;
    if settlement.status == Status::Confirmed {
        record.confirmed_bytes += kept_bytes;
    }
    record.settled_at = record.settled_at.max(settlement.settled_at.unix_ms());
    work.state.last_position = position;
    record.entries.push(Entry {
        position,
        row: settlement.id.row(),
        status: settlement.status,
        has_label: found.label().is_some(),
    });
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
    let connection = work.connection;
    let row = row_number(settlement.id.row());
    let reason = settlement.reason.as_ref();
    let label_bytes = match found.label() {
        Some(label) => work.groups.name_bytes(connection, label)?,
        None => 0,
    };
    let reason_bytes = reason.map_or(0, reason_bytes);
    let kept_bytes = RECORD_BYTES + found.text_bytes + label_bytes + reason_bytes;
    let from = match found.place {
        Place::Turn {
            partition, turn, ..
        } => key(partition, turn),
        Place::Scheduled => row,
    };
    let values = params![
        from,
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
    ];
    let keeps_payload = settlement.status != Status::Confirmed;
    if found.place == Place::Scheduled {
        connection.prepare_cached(MOVE_SCHEDULED)?.execute(values)?;
    } else {
        statements.mover.execute(values)?;
    }
    if let Some(rare) = &found.rare {
        move_rare(work, settlement.id.row(), found.place, rare)?;
    }
    if keeps_payload {
        let keep = match found.place {
            Place::Turn { .. } => KEEP_PAYLOAD,
            Place::Scheduled => KEEP_PAYLOAD_SCHEDULED,
        };
        connection.prepare_cached(keep)?.execute([from, row])?;
        work.state.history_bytes += found.body_bytes;
    }
    if found.place == Place::Scheduled {
        connection.prepare_cached(DROP_SCHEDULED)?.execute([from])?;
    } else {
        statements.dropper.execute([from])?;
    }
    work.state.history_bytes += kept_bytes;
    Ok(kept_bytes)
}

/// Moves what few messages have, and takes the message out of where it was looked for by that.
fn move_rare(work: &Work<'_>, row_id: RowId, place: Place, rare: &Rare) -> Outcome<()> {
    let connection = work.connection;
    let row = row_number(row_id);
    let offset_ms = work.state.clock_offset_ms;
    match place {
        Place::Turn {
            partition, turn, ..
        } => {
            let told = rare.give_up_at.map(|at| told_end(at, offset_ms));
            (connection.prepare_cached(MOVE_RARE)?).execute(params![
                key(partition, turn),
                row,
                told.map(stored_time)
            ])?;
            let indexed = Indexed {
                row: row_id,
                partition,
                turn,
                give_up_at: rare.give_up_at,
            };
            places::drop(connection, &indexed)
        }
        Place::Scheduled => {
            let give_up_at = scheduled_give_up_at(work, row)?;
            (connection.prepare_cached(MOVE_RARE_SCHEDULED)?)
                .execute(params![row, row, give_up_at])?;
            Ok(())
        }
    }
}

/// When a scheduled message would have been given up, as it is stored of a settled one.
fn scheduled_give_up_at(work: &Work<'_>, row: i64) -> Outcome<Option<i64>> {
    let sql = format!(
        "SELECT {} FROM scheduled WHERE row = ?1",
        records::SCHEDULED
    );
    let mut statement = work.connection.prepare_cached(&sql)?;
    let mut rows = statement.query([row])?;
    let gone = || Failure::Damaged(format!("scheduled message {row} has gone"));
    let mut names = Names::new(work.connection)?;
    let record = scheduled_record(
        rows.next()?.ok_or_else(gone)?,
        &mut names,
        work.state.clock_offset_ms,
    )?;
    Ok(record.give_up_at.map(stored_time))
}

/// Everything that a settlement means beside its row, which is there already: the one place for
/// whatever else is to be kept with it.
fn applied(work: &mut Work<'_>, settlement: &Settlement, found: &Found) -> Outcome<()> {
    let status = settlement.status;
    *work.state.of(status) += 1;
    work.callers.moved(found.caller, Status::Pending, status);
    if let Some(label) = found.label() {
        work.groups.moved(label, Status::Pending, status);
    }
    match found.place {
        Place::Turn {
            partition,
            is_moved,
            ..
        } => {
            work.recent.settled(partition);
            (work.state).left_turn(partition, is_moved, found.footprint_bytes);
            drop_note(work, settlement.id.row())?;
        }
        Place::Scheduled => {
            work.state.left_schedule(found.footprint_bytes);
            work.callers.scheduled(found.caller, -1);
        }
    }
    let has_terms = found.rare.is_some_and(|rare| rare.has_terms);
    let has_label = found.label().is_some();
    let outbox = &mut *work.outbox;
    if has_terms || outbox.concerns(work.connection, found.caller, status, has_label)? {
        tell(work, settlement.id.row())?;
    }
    Ok(())
}

/// Keeps a delivery for everybody who wants to be told of this outcome.
fn tell(work: &mut Work<'_>, row: RowId) -> Outcome<()> {
    let sql = format!("SELECT {} FROM settled WHERE row = ?1", records::SETTLED);
    let mut statement = work.connection.prepare_cached(&sql)?;
    let mut rows = statement.query([row_number(row)])?;
    if let Some(row) = rows.next()? {
        let record = records::settled_record(row, &mut Names::new(work.connection)?)?;
        let callback_url = records::callback_url(row)?;
        let (url, offset_ms) = (callback_url.as_deref(), work.state.clock_offset_ms);
        (work.outbox).settled(work.connection, &record, url, offset_ms)?;
    }
    Ok(())
}

fn reason_bytes(reason: &Reason) -> u64 {
    let text = reason.reply_text.as_deref().map_or(0, str::len);
    (reason.code.as_str().len() + text + reason.detail.len()) as u64
}

fn drop_note(work: &mut Work<'_>, row: RowId) -> Outcome<()> {
    if work.state.notes > 0 {
        let mut statement = work.connection.prepare_cached(DROP_NOTE)?;
        let dropped = statement.execute([row_number(row)])?;
        work.state.notes = work.state.notes.saturating_sub(dropped as u64);
    }
    Ok(())
}

/// Keeps doubts about messages that are pending and have a turn.
pub(super) fn note(work: &mut Work<'_>, noted: &[Note]) -> Outcome<()> {
    for note in noted {
        if find::has_turn(work, note.id)? {
            keep_note(work, note.id.row(), note.attempts)?;
        }
    }
    Ok(())
}

/// Keeps a doubt about a message that is pending and has a turn.
pub(super) fn keep_note(work: &mut Work<'_>, row: RowId, attempts: u32) -> Outcome<()> {
    let row = row_number(row);
    let known = "SELECT count(*) FROM notes WHERE row = ?1";
    let known: u64 = (work.connection.prepare_cached(known)?)
        .query_row([row], |row| row.get::<_, i64>(0))?
        .cast_unsigned();
    (work.connection.prepare_cached(NOTE)?).execute(params![row, attempts])?;
    work.state.notes += 1 - known.min(1);
    Ok(())
}
