//! Sending again what was returned or has failed.
//!
//! Its row and its payload go back to `pending`. The doubt, if there was one, stays as a note. Its
//! entry in the record of outcomes stays too: the record is never rewritten for it, and an entry that
//! has not the position of a row is passed over.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::callers::Names;
use super::error::{Failure, Outcome};
use super::evict::STALE_BYTES;
use super::find;
use super::messages::{self, Going, SELECT_SETTLED, With, is_moved};
use super::outcomes::status_of;
use super::settle;
use super::state::{State, row_number};
use super::writer::Work;
use crate::domain::{Message, MessageId, ReasonCode, Status};
use crate::store::{Replayable, Replayed};

const END: &str = "SELECT random, status, reason, replays, duplicate_possible, caller, label,
    kept_bytes FROM settled WHERE row = ?1";

const DROP: &str = "DELETE FROM settled WHERE row = ?1";

const DROP_PAYLOAD: &str = "DELETE FROM payloads WHERE row = ?1
    RETURNING length(payload) + ifnull(length(properties), 0)";

/// How a message has ended.
struct End {
    random: u64,
    status: Status,
    is_cancelled: bool,
    replays: u32,
    duplicate_possible: bool,
    caller: i64,
    label: Option<i64>,
    kept_bytes: u64,
}

fn end(connection: &Connection, id: MessageId) -> Outcome<Option<End>> {
    let mut statement = connection.prepare_cached(END)?;
    let read = |row: &Row<'_>| {
        let reason = row.get_ref(2)?.as_str_or_null()?;
        let end = End {
            random: row.get::<_, i64>(0)?.cast_unsigned(),
            status: Status::Pending,
            is_cancelled: reason == Some(ReasonCode::Cancelled.as_str()),
            replays: row.get(3)?,
            duplicate_possible: row.get(4)?,
            caller: row.get(5)?,
            label: row.get(6)?,
            kept_bytes: row.get::<_, i64>(7)?.cast_unsigned(),
        };
        Ok((status_of(row.get(1)?), end))
    };
    let found = statement.query_row([row_number(id.row())], read);
    let Some((status, end)) = found.optional()? else {
        return Ok(None);
    };
    let status = status.ok_or_else(|| Failure::Damaged(format!("the status of message {id}")))?;
    Ok((end.random == id.random()).then_some(End { status, ..end }))
}

/// The whole message, if its payload is kept.
fn message(connection: &Connection, id: MessageId) -> Outcome<Option<Message>> {
    let sql = format!("{SELECT_SETTLED} settled.row = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([row_number(id.row())])?;
    let mut names = Names::new(connection)?;
    let found = rows.next()?;
    found
        .map(|row| messages::message(row, &mut names))
        .transpose()
}

impl End {
    fn may_be_replayed(&self) -> bool {
        self.status != Status::Confirmed && !self.is_cancelled
    }
}

/// See [`crate::store::WriteStore::replayable`].
pub(super) fn replayable(work: &Work<'_>, id: MessageId) -> Outcome<Replayable> {
    let Some(end) = end(work.connection, id)? else {
        return Ok(if find::is_pending(work, id)? {
            Replayable::No
        } else {
            Replayable::Unknown
        });
    };
    if !end.may_be_replayed() {
        return Ok(Replayable::No);
    }
    Ok(match message(work.connection, id)? {
        Some(message) => Replayable::Yes {
            message: Arc::new(message),
            replays: end.replays,
            duplicate_possible: end.duplicate_possible,
        },
        None => Replayable::PayloadGone,
    })
}

/// Makes pending what of `replayed` can be sent again.
pub(super) fn replay(work: &mut Work<'_>, replayed: &[Replayed]) -> Outcome<()> {
    for one in replayed {
        let end = end(work.connection, one.id)?;
        if let Some(end) = end.filter(End::may_be_replayed)
            && let Some(message) = message(work.connection, one.id)?
        {
            send_again(work, one, &end, &message)?;
        }
    }
    Ok(())
}

fn send_again(work: &mut Work<'_>, one: &Replayed, end: &End, message: &Message) -> Outcome<()> {
    let row = row_number(one.id.row());
    let connection = work.connection;
    let with = With {
        caller: end.caller,
        label: end.label,
        offset_ms: work.state.clock_offset_ms,
    };
    let going = Going {
        partition: one.partition,
        turn: one.turn,
        replays: end.replays + 1,
        give_up_at: message.give_up_at(one.at),
    };
    messages::insert(connection, message, &with, &going)?;
    connection.prepare_cached(DROP)?.execute(params![row])?;
    let mut dropper = connection.prepare_cached(DROP_PAYLOAD)?;
    let body_bytes: i64 = dropper.query_row([row], |row| row.get(0))?;
    if end.duplicate_possible {
        settle::keep_note(work, one.id.row(), 0)?;
    }
    left_history(work.state, end, body_bytes.cast_unsigned());
    work.callers.moved(end.caller, end.status, Status::Pending);
    if let Some(label) = end.label {
        work.groups.moved(label, end.status, Status::Pending);
    }
    let bytes = message.footprint_bytes() as u64;
    let is_moved = is_moved(one.id.row(), one.turn);
    work.state.has_turn(one.partition, is_moved, bytes);
    work.state.gave(one.turn.row());
    Ok(())
}

/// What is left of it in the history is its entry in the record of outcomes.
fn left_history(state: &mut State, end: &End, body_bytes: u64) {
    let count = state.of(end.status);
    *count = count.saturating_sub(1);
    let bytes = end.kept_bytes + body_bytes;
    state.history_bytes = state.history_bytes.saturating_sub(bytes) + STALE_BYTES;
}
