//! Settled messages as rows of `settled`, and back.

use rusqlite::Row;

use super::error::{Failure, Outcome};
use super::messages::text;
use super::outcomes::status_of;
use super::state::stored_row;
use crate::domain::{MessageId, Reason, ReasonCode, WallTime};
use crate::store::{Record, Settlement};

/// The columns that [`settled_record`] reads, in their order.
pub(super) const COLUMNS: &str = "row, random, accepted_at, mandatory, replays, exchange,
    routing_key, ordering_key, message_id, size_bytes, status, revision, attempts,
    duplicate_possible, settled_at, reason, reply_code, reply_text, detail";

/// The record of a row of [`COLUMNS`].
pub(super) fn settled_record(row: &Row<'_>) -> Outcome<Record> {
    let random = row.get::<_, i64>(1)?.cast_unsigned();
    let id = MessageId::from_parts(stored_row(row.get(0)?), random);
    let status = status_of(row.get(10)?);
    let outcome = Settlement {
        id,
        status: status.ok_or_else(|| Failure::Damaged(format!("the status of message {id}")))?,
        reason: reason(row, id)?,
        attempts: row.get(12)?,
        duplicate_possible: row.get(13)?,
        revision: row.get(11)?,
        settled_at: WallTime::from_unix_ms(row.get::<_, i64>(14)?.cast_unsigned()),
    };
    Ok(Record {
        id,
        caller: crate::domain::Caller::default(),
        accepted_at: WallTime::from_unix_ms(row.get::<_, i64>(2)?.cast_unsigned()),
        mandatory: row.get(3)?,
        replays: row.get(4)?,
        exchange: text(row, 5)?.unwrap_or_default(),
        routing_key: text(row, 6)?.unwrap_or_default(),
        ordering_key: text(row, 7)?,
        message_id: text(row, 8)?,
        size_bytes: row.get::<_, i64>(9)?.cast_unsigned(),
        doubt: None,
        outcome: Some(outcome),
    })
}

fn reason(row: &Row<'_>, id: MessageId) -> Outcome<Option<Reason>> {
    let Some(word) = text(row, 15)? else {
        return Ok(None);
    };
    let code = ReasonCode::ALL
        .into_iter()
        .find(|code| *code.as_str() == *word);
    Ok(Some(Reason {
        code: code.ok_or_else(|| Failure::Damaged(format!("the reason of message {id}")))?,
        reply_code: row.get(16)?,
        reply_text: text(row, 17)?,
        detail: text(row, 18)?.unwrap_or_default(),
    }))
}
