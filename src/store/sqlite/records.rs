//! Settled messages as rows of `settled`, and back.

use rusqlite::Row;

use super::callers::Names;
use super::error::{Failure, Outcome};
use super::messages::{self, text};
use super::outcomes::status_of;
use crate::domain::{MessageId, Reason, ReasonCode, WallTime};
use crate::store::{Record, Settlement};

/// The columns that [`settled_record`] reads, in their order; [`messages::record`] reads the first.
pub(super) const COLUMNS: &str = "row, random, caller, accepted_at, mandatory, replays, exchange,
    routing_key, ordering_key, message_id, size_bytes, status, revision, attempts,
    duplicate_possible, settled_at, reason, reply_code, reply_text, detail";

/// The record of a row of [`COLUMNS`].
pub(super) fn settled_record(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Record> {
    let record = messages::record(row, names)?;
    let id = record.id;
    let status = status_of(row.get(STATUS)?);
    let outcome = Settlement {
        id,
        status: status.ok_or_else(|| Failure::Damaged(format!("the status of message {id}")))?,
        reason: reason(row, id)?,
        attempts: row.get(13)?,
        duplicate_possible: row.get(14)?,
        revision: row.get(12)?,
        settled_at: WallTime::from_unix_ms(row.get::<_, i64>(15)?.cast_unsigned()),
    };
    Ok(Record {
        outcome: Some(outcome),
        ..record
    })
}

/// Where `status` is in [`COLUMNS`].
pub(super) const STATUS: usize = 11;
/// Where `reason` is in [`COLUMNS`].
pub(super) const REASON: usize = 16;

fn reason(row: &Row<'_>, id: MessageId) -> Outcome<Option<Reason>> {
    let Some(word) = text(row, REASON)? else {
        return Ok(None);
    };
    let code = ReasonCode::ALL
        .into_iter()
        .find(|code| *code.as_str() == *word);
    Ok(Some(Reason {
        code: code.ok_or_else(|| Failure::Damaged(format!("the reason of message {id}")))?,
        reply_code: row.get(17)?,
        reply_text: text(row, 18)?,
        detail: text(row, 19)?.unwrap_or_default(),
    }))
}
