//! Spreading the pending messages anew when the number of partitions has changed. Scheduled ones get
//! theirs when they are due.
//!
//! Message by message, since the key is the place of the whole row. It goes in slices; when the
//! process ends in between, the next opening starts over and finds the moved ones at their place.
//! The number is kept last.

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, params};

use super::Options;
use super::callers::Names;
use super::checkpoint;
use super::error::{Failure, Outcome};
use super::messages::{SELECT_PENDING, recovered};
use super::places;
use super::state::{PARTITIONS_MAX, State, key, keys};
use super::transaction;
use crate::domain::Turn;

/// Messages in one transaction.
const SLICE: i64 = 1000;

/// Moves every pending message to its partition.
pub(super) fn spread(connection: &Connection, state: &mut State, options: &Options) -> Outcome<()> {
    for partition in (0_u8..).take(PARTITIONS_MAX) {
        let mut after = None;
        loop {
            let mut next = *state;
            let moved = transaction::run(connection, || {
                let last = slice(connection, &mut next, options, partition, after)?;
                next.save(connection)?;
                Ok(last)
            })?;
            *state = next;
            if moved.is_none() {
                break;
            }
            after = moved;
            checkpoint::copy(connection, CheckpointMode::PASSIVE)?;
        }
    }
    // The caller keeps it, with everything else that an opening changes.
    state.partitions = options.partitions;
    Ok(())
}

/// Moves what of the next messages does not belong here; answers the last one looked at.
fn slice(
    connection: &Connection,
    state: &mut State,
    options: &Options,
    partition: u8,
    after: Option<Turn>,
) -> Outcome<Option<Turn>> {
    let sql = format!("{SELECT_PENDING} key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3");
    let (first, last) = keys(partition, after);
    let mut moves = Vec::new();
    let mut looked_at = None;
    {
        let mut names = Names::new(connection)?;
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![first, last, SLICE])?;
        while let Some(row) = rows.next()? {
            let one = recovered(row, &mut names)?;
            let message = one.message;
            looked_at = Some(one.turn);
            let to = (options.partition_of)(&message);
            if to >= options.partitions {
                return Err(Failure::Damaged(format!(
                    "partition {to} was given to message {}, and there are {}",
                    message.id, options.partitions
                )));
            }
            if to != partition {
                moves.push((one.turn, to, message.footprint_bytes() as u64));
            }
        }
    }
    for (turn, to, bytes) in moves {
        places::move_to(connection, key(partition, turn), to)?;
        let from = &mut state.pending[usize::from(partition)];
        from.messages = from.messages.saturating_sub(1);
        from.bytes = from.bytes.saturating_sub(bytes);
        let to = &mut state.pending[usize::from(to)];
        to.messages += 1;
        to.bytes += bytes;
    }
    Ok(looked_at)
}
