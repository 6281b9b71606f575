//! Confirming many messages with two statements.
//!
//! Nearly all messages are plain ones that are confirmed after their first try, and they end in the order
//! of their turns. A statement for each costs three times what its row costs, so those that follow each
//! other are moved together. Which messages these are is remembered from their acceptance
//! (`recent.rs`); how many rows were moved tells whether that was right, and when it was not, all is taken
//! back and they are settled one by one.

use std::rc::Rc;

use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, params};

use super::super::error::{Failure, Outcome};
use super::super::outcomes::Entry;
use super::super::recent::Kept;
use super::super::state::{key, row_number};
use super::super::writer::Work;
use super::{RECORD_BYTES, Record};
use crate::domain::Status;
use crate::store::Settlement;

/// What is not named is missing. A row that is there already is left alone, and then missing in the count.
const MOVE: &str = "INSERT OR IGNORE INTO settled (row, random, caller, position, status, revision,
    attempts, duplicate_possible, accepted_at, settled_at, mandatory, replays, size_bytes, kept_bytes,
    exchange, routing_key, ordering_key, message_id)
    SELECT key & 0xfffffffffffffff, random, caller, ?2 + keys.rowid, 1, 2, 1, 0, accepted_at, ?3,
    mandatory, 0, length(payload), ?4 + octet_length(exchange) + octet_length(routing_key) +
    ifnull(octet_length(ordering_key), 0) + ifnull(octet_length(message_id), 0),
    exchange, routing_key, ordering_key, message_id
    FROM rarray(?1) AS keys CROSS JOIN pending ON pending.key = keys.value WHERE replays IS NULL";

const DROP: &str = "DELETE FROM pending WHERE key IN (SELECT value FROM rarray(?1))";

const TAKE_BACK: &str = "DELETE FROM settled WHERE row = ?1 AND position > ?2";

/// The statements, prepared once for a batch.
pub(super) struct Statements<'a> {
    mover: CachedStatement<'a>,
    dropper: CachedStatement<'a>,
}

impl<'a> Statements<'a> {
    pub(super) fn new(connection: &'a Connection) -> Outcome<Self> {
        Ok(Self {
            mover: connection.prepare_cached(MOVE)?,
            dropper: connection.prepare_cached(DROP)?,
        })
    }
}

/// How many settlements from the first on can be kept together: plain confirmations that were learned at
/// the same moment. `kept` gets what is remembered of their messages.
pub(super) fn find(
    work: &mut Work<'_>,
    settled: &[Settlement],
    kept: &mut Vec<Kept>,
) -> Outcome<usize> {
    kept.clear();
    // A doubt must be dropped with its message.
    if work.state.notes > 0 {
        return Ok(0);
    }
    let mut told: Option<(i64, bool)> = None;
    for settlement in settled {
        let is_plain = settlement.status == Status::Confirmed
            && settlement.revision == 2
            && settlement.attempts == 1
            && !settlement.duplicate_possible
            && settlement.reason.is_none()
            && settlement.settled_at == settled[0].settled_at;
        let found = work.recent.get(settlement.id).copied();
        let Some(found) = found.filter(|found| is_plain && found.is_plain) else {
            break;
        };
        // Whoever has webhooks is told message by message.
        let is_told = match told {
            Some((caller, is_told)) if caller == found.caller => is_told,
            // What is plain has no label.
            _ => (work.outbox).concerns(work.connection, found.caller, Status::Confirmed, false)?,
        };
        told = Some((found.caller, is_told));
        if is_told {
            break;
        }
        kept.push(found);
    }
    Ok(kept.len())
}

/// Settles the messages of `kept`, in their order; `false` when that cannot be done, and then nothing
/// has changed.
pub(super) fn settle(
    work: &mut Work<'_>,
    statements: &mut Statements<'_>,
    settled: &[Settlement],
    kept: &[Kept],
    record: &mut Record,
) -> Outcome<bool> {
    let keys = kept
        .iter()
        .map(|one| key(one.partition, one.id.row().into()));
    let keys = Rc::new(keys.map(Value::from).collect::<Vec<_>>());
    let before = work.state.last_position;
    let settled_at = settled[0].settled_at.unix_ms().cast_signed();
    let moved = statements.mover.execute(params![
        keys,
        before.cast_signed(),
        settled_at,
        RECORD_BYTES.cast_signed(),
    ])?;
    if moved != kept.len() {
        take_back(work, kept, before)?;
        return Ok(false);
    }
    if statements.dropper.execute([keys])? != kept.len() {
        return Err(Failure::Damaged(
            "messages have gone while they were moved".into(),
        ));
    }
    for one in kept {
        work.state.last_position += 1;
        work.state.confirmed += 1;
        work.state.history_bytes += RECORD_BYTES + one.text_bytes;
        record.confirmed_bytes += RECORD_BYTES + one.text_bytes;
        work.state
            .left_turn(one.partition, false, one.footprint_bytes);
        work.callers
            .moved(one.caller, Status::Pending, Status::Confirmed);
        work.recent.settled(one.partition);
        record.entries.push(Entry {
            position: work.state.last_position,
            row: one.id.row(),
            status: Status::Confirmed,
            has_label: false,
        });
    }
    record.settled_at = record.settled_at.max(settled[0].settled_at.unix_ms());
    Ok(true)
}

fn take_back(work: &Work<'_>, kept: &[Kept], before: u64) -> Outcome<()> {
    let mut statement = work.connection.prepare_cached(TAKE_BACK)?;
    for one in kept {
        let row = row_number(one.id.row());
        statement.execute([row, before.cast_signed()])?;
    }
    Ok(())
}
