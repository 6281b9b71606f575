//! Messages that wait for their time, and those whose time has run out.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, Rows, params};

use super::callers::Names;
use super::error::{Failure, Outcome};
use super::find;
use super::lookup::with_doubt;
use super::messages::{self, SELECT_SCHEDULED, is_moved};
use super::places::{self, Indexed};
use super::records::{self, due};
use super::state::{State, key, row_number, stored_row, turn_number};
use super::terms;
use super::times::stored_end;
use super::writer::Work;
use crate::domain::{Message, MessageId, Turn, WallTime};
use crate::store::{BecomesDue, DueMessages, Record};

/// Rows by their times, of those whose times move with the clock or of the others.
pub(super) const BY_TIME: &str =
    "SELECT row, due_at FROM scheduled WHERE moves = ?1 ORDER BY due_at, row";

const WHEN: &str = "SELECT moves, due_at, terms FROM scheduled WHERE row = ?1";

const GO: &str = "INSERT INTO pending (key, random, caller, checksum, footprint_bytes, accepted_at,
    mandatory, replays, row, give_up_at, label, terms, exchange, routing_key, ordering_key,
    message_id, properties, payload)
    SELECT ?2, random, caller, checksum, footprint_bytes, accepted_at, mandatory, 0, ?3, ?4, label,
    terms, exchange, routing_key, ordering_key, message_id, properties, payload
    FROM scheduled WHERE row = ?1";

const GONE: &str = "DELETE FROM scheduled WHERE row = ?1";

/// Those of one time, from behind a turn.
pub(super) const OVERDUE_AT: &str = "at = ?1 AND turn > ?2 ORDER BY turn LIMIT ?3";

/// Those from behind one time up to another.
pub(super) const OVERDUE_AFTER: &str = "at > ?1 AND at <= ?2 ORDER BY at, turn LIMIT ?3";

/// Gives turns to what of `due` is scheduled.
pub(super) fn becomes_due(work: &mut Work<'_>, due: &[BecomesDue]) -> Outcome<()> {
    for one in due {
        let Some(found) = find::scheduled(work, one.id)? else {
            continue;
        };
        let row = row_number(one.id.row());
        let give_up_at = give_up_at(work, row)?;
        let is_moved = is_moved(one.id.row(), one.turn);
        (work.connection.prepare_cached(GO)?).execute(params![
            row,
            key(one.partition, one.turn),
            is_moved.then_some(row),
            give_up_at,
        ])?;
        work.connection.prepare_cached(GONE)?.execute([row])?;
        let indexed = Indexed {
            row: one.id.row(),
            partition: one.partition,
            turn: one.turn,
            give_up_at,
        };
        places::keep(work.connection, &indexed)?;
        work.state.left_schedule(found.footprint_bytes);
        work.callers.scheduled(found.caller, -1);
        (work.state).has_turn(one.partition, is_moved, found.footprint_bytes);
        work.state.gave(one.turn.row());
    }
    Ok(())
}

/// When a scheduled message that is due is given up, as it is stored.
fn give_up_at(work: &Work<'_>, row: i64) -> Outcome<Option<i64>> {
    let offset_ms = work.state.clock_offset_ms;
    let mut statement = work.connection.prepare_cached(WHEN)?;
    statement
        .query_row([row], |row| {
            let from = due(row.get(0)?, row.get(1)?, offset_ms).at;
            let terms = row.get_ref(2)?.as_blob_or_null().map(terms::decode)?;
            Ok(terms.map(|terms| terms.give_up_after_ms.map(|ms| from.plus_ms(ms))))
        })?
        .map(|at| at.map(|at| stored_end(at, offset_ms)))
        .map_err(|unreadable| {
            Failure::Damaged(format!(
                "the terms of scheduled message {row}: {unreadable}"
            ))
        })
}

/// See [`crate::store::WriteStore::due`]. The index has the times of all, so that only what is due is
/// read whole.
pub(super) fn messages(
    connection: &Connection,
    state: &State,
    now: WallTime,
    messages_max: usize,
    bytes_max: usize,
) -> Outcome<DueMessages> {
    let mut found = DueMessages::default();
    if state.scheduled.messages == 0 {
        return Ok(found);
    }
    let mut statements = by_time(connection)?;
    let mut times = Times::start(&mut statements, state.clock_offset_ms)?;
    let mut bytes = 0;
    while let Some((at, row)) = times.first() {
        let many = found.messages.len() >= messages_max || bytes >= bytes_max;
        if at > now || (many && !found.messages.is_empty()) {
            found.next = Some(at);
            break;
        }
        let message = message(connection, row)?.ok_or_else(|| gone(row))?;
        bytes += message.footprint_bytes();
        if bytes > bytes_max && !found.messages.is_empty() {
            found.next = Some(at);
            break;
        }
        found.messages.push(Arc::new(message));
        times.step()?;
    }
    Ok(found)
}

/// The ids of scheduled messages in the order of their times, at most `max`.
pub(super) fn first(connection: &Connection, state: &State, max: usize) -> Outcome<Vec<MessageId>> {
    let mut statements = by_time(connection)?;
    let mut times = Times::start(&mut statements, state.clock_offset_ms)?;
    let random = "SELECT random FROM scheduled WHERE row = ?1";
    let mut random = connection.prepare_cached(random)?;
    let mut found = Vec::new();
    while found.len() < max
        && let Some((_, row)) = times.first()
    {
        let random: i64 = random.query_row([row], |row| row.get(0))?;
        found.push(MessageId::from_parts(
            stored_row(row),
            random.cast_unsigned(),
        ));
        times.step()?;
    }
    Ok(found)
}

fn by_time(connection: &Connection) -> Outcome<[CachedStatement<'_>; 2]> {
    Ok([
        connection.prepare_cached(BY_TIME)?,
        connection.prepare_cached(BY_TIME)?,
    ])
}

/// Scheduled messages in the order of their times and rows, those whose times move with the clock
/// and the others together.
struct Times<'a> {
    scans: [(bool, Rows<'a>); 2],
    heads: [Option<(WallTime, i64)>; 2],
    offset_ms: i64,
}

impl<'a> Times<'a> {
    fn start(statements: &'a mut [CachedStatement<'_>; 2], offset_ms: i64) -> Outcome<Self> {
        let [fixed, moving] = statements;
        let mut times = Self {
            scans: [
                (false, fixed.query([false])?),
                (true, moving.query([true])?),
            ],
            heads: [None; 2],
            offset_ms,
        };
        for which in 0..times.heads.len() {
            times.read(which)?;
        }
        Ok(times)
    }

    fn read(&mut self, which: usize) -> Outcome<()> {
        let (moves, rows) = &mut self.scans[which];
        self.heads[which] = match rows.next()? {
            Some(row) => {
                let due = due(*moves, row.get(1)?, self.offset_ms);
                Some((due.at, row.get(0)?))
            }
            None => None,
        };
        Ok(())
    }

    fn which(&self) -> Option<usize> {
        let there = |which: &usize| self.heads[*which].is_some();
        let all = (0..self.heads.len()).filter(there);
        all.min_by_key(|which| self.heads[*which])
    }

    /// The time and the row of the message that comes first of those that are left.
    fn first(&self) -> Option<(WallTime, i64)> {
        self.which().and_then(|which| self.heads[which])
    }

    fn step(&mut self) -> Outcome<()> {
        match self.which() {
            Some(which) => self.read(which),
            None => Ok(()),
        }
    }
}

fn gone(row: i64) -> Failure {
    Failure::Damaged(format!("scheduled message {row} is in the index alone"))
}

/// See [`crate::store::WriteStore::scheduled`].
pub(super) fn scheduled(connection: &Connection, id: MessageId) -> Outcome<Option<Message>> {
    let found = message(connection, row_number(id.row()))?;
    Ok(found.filter(|message| message.id == id))
}

fn message(connection: &Connection, row: i64) -> Outcome<Option<Message>> {
    let sql = format!("{SELECT_SCHEDULED} row = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([row])?;
    let mut names = Names::new(connection)?;
    let found = rows.next()?;
    found
        .map(|row| messages::message(row, &mut names))
        .transpose()
}

/// See [`crate::store::WriteStore::overdue`].
pub(super) fn overdue(
    connection: &Connection,
    state: &State,
    now: WallTime,
    after: Option<(WallTime, Turn)>,
    max: usize,
) -> Outcome<Vec<Record>> {
    let stored = |time| stored_end(time, state.clock_offset_ms);
    let mut found = Vec::new();
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let from = match after {
        Some((at, turn)) => {
            let values = [stored(at), turn_number(turn), max];
            read(connection, state, OVERDUE_AT, values, &mut found)?;
            stored(at)
        }
        None => i64::MIN,
    };
    let left = max - i64::try_from(found.len()).unwrap_or(max);
    if left > 0 {
        let values = [from, stored(now), left];
        read(connection, state, OVERDUE_AFTER, values, &mut found)?;
    }
    Ok(found)
}

/// Asks for the records of either kind.
pub(super) fn overdue_sql(which: &str) -> String {
    let columns = records::PENDING;
    format!("SELECT {columns} FROM time_limits CROSS JOIN pending ON key = place WHERE {which}")
}

fn read(
    connection: &Connection,
    state: &State,
    which: &str,
    values: [i64; 3],
    found: &mut Vec<Record>,
) -> Outcome<()> {
    let mut statement = connection.prepare_cached(&overdue_sql(which))?;
    let mut rows = statement.query(values)?;
    let mut names = Names::new(connection)?;
    while let Some(row) = rows.next()? {
        found.push(with_doubt(connection, state, row, &mut names)?);
    }
    Ok(())
}
