//! The record of outcomes, held against what is settled.

use rusqlite::{CachedStatement, Connection};

use super::super::error::Outcome;
use super::super::outcomes::{self, Entry, status_code};
use super::super::state::{State, row_number};
use crate::domain::Status;

/// Every settled message is in the record at its position. What else is there are earlier ends of
/// messages that were replayed since: settled later, pending again, or forgotten. Answers how many of
/// those there are.
pub(super) fn recorded(
    connection: &Connection,
    state: &State,
    found: &mut Vec<String>,
) -> Outcome<u64> {
    let mut of = Of::new(connection, state)?;
    let (mut last_words, mut earlier_ends, mut before) = (0_u64, 0, 0);
    let mut chunks = connection.prepare("SELECT entries FROM outcomes ORDER BY position")?;
    let mut rows = chunks.query([])?;
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let chunk = match outcomes::decode(blob) {
            Ok(chunk) => chunk,
            Err(unreadable) => {
                found.push(format!(
                    "the outcomes after position {before}: {unreadable}"
                ));
                continue;
            }
        };
        for entry in chunk {
            if entry.position > before && of.is_last_word(&entry)? {
                last_words += 1;
            } else if entry.position > before && of.was_replayed(&entry)? {
                earlier_ends += 1;
            } else {
                found.push(format!(
                    "the outcome at position {} is of no message",
                    entry.position
                ));
            }
            before = entry.position;
        }
    }
    let settled = state.confirmed + state.returned + state.failed;
    if last_words != settled {
        found.push(format!(
            "{settled} messages are settled, and {last_words} outcomes recorded"
        ));
    }
    if before > state.last_position {
        found.push(format!("position {before} is behind the last one"));
    }
    Ok(earlier_ends)
}

/// What messages entries are about.
struct Of<'a> {
    state: &'a State,
    at: CachedStatement<'a>,
    settled: CachedStatement<'a>,
    pending: CachedStatement<'a>,
}

impl<'a> Of<'a> {
    fn new(connection: &'a Connection, state: &'a State) -> Outcome<Self> {
        let at = "SELECT 1 FROM settled WHERE row = ?1 AND position = ?2 AND status = ?3
            AND (label IS NOT NULL) = ?4";
        let settled = "SELECT position FROM settled WHERE row = ?1";
        let pending = "SELECT 1 FROM later_turns JOIN pending ON key = place
            WHERE message = ?1 AND replays > 0";
        Ok(Self {
            state,
            at: connection.prepare_cached(at)?,
            settled: connection.prepare_cached(settled)?,
            pending: connection.prepare_cached(pending)?,
        })
    }

    fn is_last_word(&mut self, entry: &Entry) -> Outcome<bool> {
        let row = row_number(entry.row);
        let (position, status) = (entry.position.cast_signed(), status_code(entry.status));
        let label = i64::from(entry.has_label);
        Ok(self.at.exists([row, position, status, label])?)
    }

    fn was_replayed(&mut self, entry: &Entry) -> Outcome<bool> {
        if entry.status == Status::Confirmed {
            return Ok(false);
        }
        let row = row_number(entry.row);
        let mut rows = self.settled.query([row])?;
        if let Some(row) = rows.next()? {
            let position: i64 = row.get(0)?;
            return Ok(position > entry.position.cast_signed());
        }
        let is_forgotten = self.state.horizon.is_some_and(|to| entry.row <= to);
        Ok(is_forgotten || self.pending.exists([row])?)
    }
}
