//! Idempotency keys: which message each was used for, for as long as keys are kept.
//!
//! A key is kept in the transaction of its message. Rows are in the order of acceptance, so what is
//! too old is at one end; whatever else makes way for new messages, a key that still counts does not.

use rusqlite::{Connection, OptionalExtension, params};

use super::callers;
use super::error::{Failure, Outcome};
use super::state::{row_number, stored_row};
use crate::domain::{Caller, Fingerprint, Message, MessageId, RowId, WallTime};
use crate::store::{KeyUse, UsedKey};

/// Keys that are forgotten in one slice.
const FORGOTTEN: i64 = 1024;

/// A key whose time is over may still be there; its row makes way.
const KEEP: &str = "INSERT OR REPLACE INTO idempotency_keys (row, random, caller, key, fingerprint)
    VALUES (?1, ?2, ?3, ?4, ?5)";

const FIND: &str = "SELECT row, random, fingerprint FROM idempotency_keys
    WHERE caller = ?1 AND key = ?2";

const FIRST: &str = "SELECT min(row) FROM idempotency_keys";

const FORGET: &str = "DELETE FROM idempotency_keys WHERE row IN
    (SELECT row FROM idempotency_keys WHERE row < ?1 ORDER BY row LIMIT ?2)";

/// Keeps what `message` of the caller of this number was accepted with.
pub(super) fn keep(
    connection: &Connection,
    message: &Message,
    caller: i64,
    used: &KeyUse,
) -> Outcome<()> {
    connection.prepare_cached(KEEP)?.execute(params![
        row_number(message.id.row()),
        message.id.random().cast_signed(),
        caller,
        used.key,
        &used.fingerprint.0[..],
    ])?;
    Ok(())
}

/// See [`crate::store::ReadStore::used_keys`].
pub(super) fn used(
    connection: &Connection,
    keys: &[(Caller, Box<str>)],
    since: WallTime,
) -> Outcome<Vec<Option<UsedKey>>> {
    let used = |(caller, key): &(Caller, Box<str>)| {
        let Some(caller) = callers::number(connection, caller)? else {
            return Ok(None);
        };
        let used = find(connection, caller, key)?;
        Ok(used.filter(|used| used.id.row().time() >= since))
    };
    keys.iter().map(used).collect()
}

fn find(connection: &Connection, caller: i64, key: &str) -> Outcome<Option<UsedKey>> {
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_row(params![caller, key], |row| {
        let random = row.get::<_, i64>(1)?.cast_unsigned();
        let id = MessageId::from_parts(stored_row(row.get(0)?), random);
        Ok((id, row.get_ref(2)?.as_blob()?.try_into()))
    });
    let Some((id, fingerprint)) = found.optional()? else {
        return Ok(None);
    };
    let damaged = |_| Failure::Damaged(format!("the idempotency key of message {id}"));
    let fingerprint = Fingerprint(fingerprint.map_err(damaged)?);
    Ok(Some(UsedKey { id, fingerprint }))
}

/// Whether some key was used before `time`.
pub(super) fn has_aged(connection: &Connection, time: WallTime) -> Outcome<bool> {
    let first: Option<i64> = (connection.prepare_cached(FIRST)?).query_row([], |row| row.get(0))?;
    Ok(first
        .is_some_and(|first| RowId::first_at(time).is_some_and(|from| stored_row(first) < from)))
}

/// Forgets some of the keys that were used before `time`. False when none are left.
pub(super) fn forget(connection: &Connection, time: WallTime) -> Outcome<bool> {
    let Some(before) = RowId::first_at(time) else {
        return Ok(false);
    };
    let forgotten = connection
        .prepare_cached(FORGET)?
        .execute(params![row_number(before), FORGOTTEN])?;
    Ok(i64::try_from(forgotten) == Ok(FORGOTTEN))
}
