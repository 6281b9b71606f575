//! What is told of a message, from rows of `pending`, `scheduled` and `settled`.

use rusqlite::Row;

use super::callers::Names;
use super::error::{Failure, Outcome};
use super::messages::text;
use super::outcomes::status_of;
use super::state::{stored_row, turn_of};
use super::terms;
use super::times::{told_end, told_time};
use crate::domain::{Due, MessageId, Reason, ReasonCode, RowId, Terms, WallTime};
use crate::store::{Record, Settlement, Standing};

/// The columns that [`pending_record`] reads, in their order. Those of the other kinds start with the
/// same.
pub(super) const PENDING: &str = "key, random, caller, accepted_at, mandatory, ifnull(replays, 0),
    exchange, routing_key, ordering_key, message_id, length(payload), label, terms, give_up_at, row,
    footprint_bytes";

/// The columns that [`scheduled_record`] reads, in their order.
pub(super) const SCHEDULED: &str = "row, random, caller, accepted_at, mandatory, 0, exchange,
    routing_key, ordering_key, message_id, length(payload), label, terms, NULL, moves, due_at";

/// The columns that [`settled_record`] reads, in their order.
pub(super) const SETTLED: &str = "row, random, caller, accepted_at, mandatory, replays, exchange,
    routing_key, ordering_key, message_id, size_bytes, label, terms, give_up_at, status, revision,
    attempts, duplicate_possible, settled_at, reason, reply_code, reply_text, detail, position";

/// Where the number of the caller is in all of them.
pub(super) const CALLER: usize = 2;
/// Where the exchange is in all of them.
pub(super) const EXCHANGE: usize = 6;
/// Where the routing key is in all of them.
pub(super) const ROUTING_KEY: usize = 7;
/// Where the number of the label is in all of them.
pub(super) const LABEL: usize = 11;
/// Where the row of a message whose turn is another is in [`PENDING`].
pub(super) const MOVED_ROW: usize = 14;
/// Where `status` is in [`SETTLED`].
pub(super) const STATUS: usize = 14;
/// Where `reason` is in [`SETTLED`].
pub(super) const REASON: usize = 19;
/// Where `position` is in [`SETTLED`].
pub(super) const POSITION: usize = 23;

/// The record of a row of [`PENDING`], without what is doubtful of it. `offset_ms` is what the steps
/// of the clock come to.
pub(super) fn pending_record(
    row: &Row<'_>,
    names: &mut Names<'_>,
    offset_ms: i64,
) -> Outcome<Record> {
    let turn = turn_of(row.get(0)?);
    let moved: Option<i64> = row.get(MOVED_ROW)?;
    let (record, _) = record(row, moved.map_or(turn.row(), stored_row), names)?;
    Ok(Record {
        give_up_at: (row.get::<_, Option<i64>>(13)?).map(|at| told_end(at, offset_ms)),
        standing: Some(Standing {
            turn,
            footprint_bytes: row.get::<_, i64>(15)?.cast_unsigned(),
        }),
        ..record
    })
}

/// The record of a row of [`SCHEDULED`].
pub(super) fn scheduled_record(
    row: &Row<'_>,
    names: &mut Names<'_>,
    offset_ms: i64,
) -> Outcome<Record> {
    let (record, terms) = record(row, stored_row(row.get(0)?), names)?;
    let due = due(row.get(14)?, row.get(15)?, offset_ms);
    Ok(Record {
        deliver_at: Some(due.at),
        give_up_at: terms.give_up_after_ms.map(|ms| due.at.plus_ms(ms)),
        ..record
    })
}

/// When a scheduled message is due, as `moves` and `due_at` say.
pub(super) fn due(moves: bool, due_at: i64, offset_ms: i64) -> Due {
    let at = if moves {
        told_end(due_at, offset_ms)
    } else {
        told_time(due_at)
    };
    Due { at, moves }
}

/// The record of a row of [`SETTLED`].
pub(super) fn settled_record(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Record> {
    let (record, _) = record(row, stored_row(row.get(0)?), names)?;
    let id = record.id;
    let status = status_of(row.get(STATUS)?);
    let outcome = Settlement {
        id,
        status: status.ok_or_else(|| Failure::Damaged(format!("the status of message {id}")))?,
        reason: reason(row, id)?,
        attempts: row.get(16)?,
        duplicate_possible: row.get(17)?,
        revision: row.get(15)?,
        settled_at: WallTime::from_unix_ms(row.get::<_, i64>(18)?.cast_unsigned()),
    };
    Ok(Record {
        give_up_at: row.get::<_, Option<i64>>(13)?.map(told_time),
        outcome: Some(outcome),
        ..record
    })
}

/// What all kinds of rows have in common, and the terms without the label.
fn record(row: &Row<'_>, row_id: RowId, names: &mut Names<'_>) -> Outcome<(Record, Terms)> {
    let id = MessageId::from_parts(row_id, row.get::<_, i64>(1)?.cast_unsigned());
    let accepted_at = WallTime::from_unix_ms(row.get::<_, i64>(3)?.cast_unsigned());
    let damaged = |_| Failure::Damaged(format!("the terms of message {id}"));
    let blob = row.get_ref(12)?.as_blob_or_null().map_err(damaged)?;
    let damaged = |_| Failure::Damaged(format!("the terms of message {id}"));
    let terms = terms::decode(blob).map_err(damaged)?;
    let label: Option<i64> = row.get(LABEL)?;
    let record = Record {
        id,
        caller: names.of(row.get(CALLER)?)?,
        accepted_at,
        mandatory: row.get(4)?,
        replays: row.get(5)?,
        exchange: text(row, EXCHANGE)?.unwrap_or_default(),
        routing_key: text(row, ROUTING_KEY)?.unwrap_or_default(),
        ordering_key: text(row, 8)?,
        message_id: text(row, 9)?,
        size_bytes: row.get::<_, i64>(10)?.cast_unsigned(),
        group: label.map(|label| names.label(label)).transpose()?,
        deliver_at: terms.due(accepted_at).map(|due| due.at),
        give_up_at: None,
        trace: terms.trace.clone().map(Box::new),
        standing: None,
        doubt: None,
        outcome: None,
    };
    Ok((record, terms))
}

fn reason(row: &Row<'_>, id: MessageId) -> Outcome<Option<Reason>> {
    let Some(word) = text(row, REASON)? else {
        return Ok(None);
    };
    let code = ReasonCode::ALL
        .into_iter()
        .find(|code| *code.as_str() == *word);
    Ok(Some(Reason {
        code: code.ok_or_else(|| Failure::Damaged(format!("the reason of message {id}")))?,
        reply_code: row.get(20)?,
        reply_text: text(row, 21)?,
        detail: text(row, 22)?.unwrap_or_default(),
    }))
}

/// The `callback_url` of a message of [`SETTLED`].
pub(super) fn callback_url(row: &Row<'_>) -> Outcome<Option<Box<str>>> {
    let blob = row.get_ref(12)?.as_blob_or_null();
    let terms = terms::decode(blob.map_err(rusqlite::Error::from)?);
    let damaged = |_| Failure::Damaged("the terms of a settled message".into());
    Ok(terms.map_err(damaged)?.callback_url)
}
