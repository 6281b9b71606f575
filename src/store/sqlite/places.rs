//! Where those pending messages are that are looked for by something else than their key.

use rusqlite::{Connection, params};

use super::error::Outcome;
use super::messages::is_moved;
use super::state::{key, partition_of, row_number, turn_number, turn_of};
use super::times::stored_end;
use crate::domain::{RowId, Turn, WallTime};

const KEEP_LATER: &str = "INSERT INTO later_turns (message, place) VALUES (?1, ?2)";

const KEEP_LIMIT: &str = "INSERT INTO time_limits (at, turn, place) VALUES (?1, ?2, ?3)";

const DROP_LATER: &str = "DELETE FROM later_turns WHERE message = ?1";

const DROP_LIMIT: &str = "DELETE FROM time_limits WHERE at = ?1 AND turn = ?2";

const MOVE_LATER: &str = "UPDATE later_turns SET place = ?2 WHERE message =
    (SELECT row FROM pending WHERE key = ?1)";

const MOVE_LIMIT: &str = "UPDATE time_limits SET place = ?2 WHERE turn = ?3 AND at =
    (SELECT give_up_at FROM pending WHERE key = ?1)";

const MOVE: &str = "UPDATE pending SET key = ?2 WHERE key = ?1";

/// What decides where a pending message is looked for.
pub(super) struct Indexed {
    pub(super) row: RowId,
    pub(super) partition: u8,
    pub(super) turn: Turn,
    /// As stored; see `times.rs`.
    pub(super) give_up_at: Option<i64>,
}

/// The time that a message is given, as it is stored.
pub(super) fn stored_limit(give_up_at: Option<WallTime>, offset_ms: i64) -> Option<i64> {
    give_up_at.map(|at| stored_end(at, offset_ms))
}

/// A message is pending.
pub(super) fn keep(connection: &Connection, one: &Indexed) -> Outcome<()> {
    let place = key(one.partition, one.turn);
    if is_moved(one.row, one.turn) {
        (connection.prepare_cached(KEEP_LATER)?).execute([row_number(one.row), place])?;
    }
    if let Some(at) = one.give_up_at {
        let turn = turn_number(one.turn);
        (connection.prepare_cached(KEEP_LIMIT)?).execute([at, turn, place])?;
    }
    Ok(())
}

/// A message is no longer pending.
pub(super) fn drop(connection: &Connection, one: &Indexed) -> Outcome<()> {
    if is_moved(one.row, one.turn) {
        (connection.prepare_cached(DROP_LATER)?).execute([row_number(one.row)])?;
    }
    if let Some(at) = one.give_up_at {
        (connection.prepare_cached(DROP_LIMIT)?).execute([at, turn_number(one.turn)])?;
    }
    Ok(())
}

/// A pending message goes from one partition to another.
pub(super) fn move_to(connection: &Connection, from: i64, partition: u8) -> Outcome<()> {
    let turn = turn_of(from);
    let to = key(partition, turn);
    debug_assert_ne!(partition_of(from), partition);
    (connection.prepare_cached(MOVE_LATER)?).execute([from, to])?;
    (connection.prepare_cached(MOVE_LIMIT)?).execute(params![from, to, turn_number(turn)])?;
    (connection.prepare_cached(MOVE)?).execute([from, to])?;
    Ok(())
}
