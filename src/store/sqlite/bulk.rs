//! Requests to send again whatever matches, and how far they have come.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Failure, Outcome};
use super::outcomes::{status_code, status_of};
use super::state::{row_number, stored_row};
use super::writer::Work;
use crate::domain::{Caller, MessageId, ReasonCode, Status, WallTime};
use crate::store::{BulkReplay, Filter};

/// Those that are kept after they are done.
const DONE_MAX: i64 = 1000;

const KEEP: &str = "INSERT OR REPLACE INTO bulk_replays (row, random, done, through, matched,
    replayed, skipped, caller, status, reason, exchange, routing_key, since, until, label,
    settled_to)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const FORGET: &str = "DELETE FROM bulk_replays WHERE row IN
    (SELECT row FROM bulk_replays WHERE done ORDER BY row DESC LIMIT -1 OFFSET ?1)";

const SELECT: &str =
    "SELECT row, random, done, through, matched, replayed, skipped, caller, status,
    reason, exchange, routing_key, since, until, label, settled_to FROM bulk_replays WHERE";

/// Keeps what is told of a bulk replay.
pub(super) fn keep(work: &mut Work<'_>, bulk: &BulkReplay) -> Outcome<()> {
    let filter = &bulk.filter;
    let time = |time: WallTime| time.unix_ms().cast_signed();
    (work.connection.prepare_cached(KEEP)?).execute(params![
        row_number(bulk.id.row()),
        bulk.id.random().cast_signed(),
        bulk.done,
        bulk.through.map(row_number),
        bulk.matched.cast_signed(),
        bulk.replayed.cast_signed(),
        bulk.skipped.cast_signed(),
        filter.caller.as_ref().map(Caller::as_str),
        filter.status.map(status_code),
        filter.reason.map(ReasonCode::as_str),
        filter.exchange,
        filter.routing_key,
        filter.since.map(time),
        filter.until.map(time),
        filter.group,
        filter.settled_to.map(u64::cast_signed),
    ])?;
    if bulk.done {
        (work.connection.prepare_cached(FORGET)?).execute([DONE_MAX])?;
    }
    work.state.gave(bulk.id.row());
    Ok(())
}

/// See [`crate::store::ReadStore::bulk_replay`].
pub(super) fn of(connection: &Connection, id: MessageId) -> Outcome<Option<BulkReplay>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} row = ?1"))?;
    let found = statement.query_row([row_number(id.row())], |row| Ok(read(row)));
    let found = found.optional()?.transpose()?;
    Ok(found.filter(|bulk| bulk.id == id))
}

/// See [`crate::store::ReadStore::bulk_replays_under_way`].
pub(super) fn under_way(connection: &Connection) -> Outcome<Vec<BulkReplay>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} NOT done ORDER BY row"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Outcome<BulkReplay> {
    let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
    let number =
        |at| -> Outcome<Option<u64>> { Ok(row.get::<_, Option<i64>>(at)?.map(i64::cast_unsigned)) };
    let text = |at| super::messages::text(row, at);
    let id = MessageId::from_parts(stored_row(row.get(0)?), count(1)?);
    let damaged = |what: &str| Failure::Damaged(format!("the {what} of bulk replay {id}"));
    let status = row.get::<_, Option<i64>>(8)?;
    let reason = text(9)?;
    Ok(BulkReplay {
        id,
        filter: Filter {
            caller: text(7)?.map(|name| Caller::from_stored(&name)),
            status: status
                .map(|code| any_status(code).ok_or_else(|| damaged("status")))
                .transpose()?,
            reason: reason
                .map(|word| any_reason(&word).ok_or_else(|| damaged("reason")))
                .transpose()?,
            exchange: text(10)?,
            routing_key: text(11)?,
            since: number(12)?.map(WallTime::from_unix_ms),
            until: number(13)?.map(WallTime::from_unix_ms),
            group: text(14)?,
            settled_to: number(15)?,
        },
        through: row.get::<_, Option<i64>>(3)?.map(stored_row),
        matched: count(4)?,
        replayed: count(5)?,
        skipped: count(6)?,
        done: row.get(2)?,
    })
}

fn any_status(code: i64) -> Option<Status> {
    if code == status_code(Status::Pending) {
        return Some(Status::Pending);
    }
    status_of(code)
}

fn any_reason(word: &str) -> Option<ReasonCode> {
    let is_it = |code: &ReasonCode| code.as_str() == word;
    ReasonCode::ALL.into_iter().find(is_it)
}
