//! The tables, and how older files get them.
//!
//! **The schema decides what a message costs.** A pending message is one row; settling it moves what
//! is worth keeping to one other row and drops the first. Nothing is indexed twice.
//!
//! - `pending`: everything needed to publish. The key is the partition in the upper four bits and the
//!   row id in the lower sixty, so that an integer key, the cheapest that there is, clusters by
//!   partition and keeps order within it. Tried against it, insert and settle of 256-byte messages
//!   in hundreds: `WITHOUT ROWID` with `(partition, row)` costs 10 to 30 % more CPU and log, a table
//!   for each partition 20 % more log. Pages of 8 and 16 KiB write 1.5 and 2.2 times as much log for
//!   the same messages.
//! - `settled`: what is told of a message once its end is known, keyed by the row id. Columns and not
//!   a blob, so that operators can ask with SQL.
//!   Lists of what was returned or has failed are asked for most and are a small part of it: only
//!   those are in an index, `settled_unconfirmed`. That a row has its row id as its key, and every
//!   index ends with it, is what makes newest first by status cost nothing more.
//! - `callers`: whose a message is, by number, so that a row has one byte for it; and the tallies, see
//!   `callers.rs`.
//! - `payloads`: of returned and failed messages, for a replay.
//! - `notes`: doubts about pending messages. A table of its own, since a doubt must not rewrite a
//!   payload of 16 MiB.
//! - `outcomes`: the settlements in their order, see `outcomes.rs`.
//! - `state`: one row with every counter and watermark, written with each commit.
//!
//! Row ids have 60 bits and partitions get the other four: 16 partitions at most.

use rusqlite::Connection;

use super::error::{Failure, Outcome};

/// Marks the file as ours (`PRAGMA application_id`, also seen by `file`): "amqp".
pub(super) const APPLICATION_ID: i64 = 0x616d_7170;

/// Each step leads from the version of its index to the next one. Steps are never changed once
/// released: files exist that were made by them.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// The version that this gateway writes (`PRAGMA user_version`).
pub(super) const VERSION: i64 = (MIGRATIONS.len() as u64).cast_signed();

/// For tests, which make files as the first gateways did.
pub(super) const VERSION_1: &str = "
CREATE TABLE pending (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    footprint_bytes INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE settled (
    row INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    position INTEGER NOT NULL,
    status INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    duplicate_possible INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    kept_bytes INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    reason TEXT,
    reply_code INTEGER,
    reply_text TEXT,
    detail TEXT
) STRICT;
CREATE TABLE payloads (
    row INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE notes (
    row INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE outcomes (
    position INTEGER PRIMARY KEY,
    settled_at INTEGER NOT NULL,
    confirmed_bytes INTEGER NOT NULL,
    entries BLOB NOT NULL
) STRICT;
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    partitions INTEGER NOT NULL,
    clean INTEGER NOT NULL,
    last_row INTEGER,
    handed_to INTEGER,
    doubtful_to INTEGER,
    horizon INTEGER,
    last_position INTEGER NOT NULL,
    confirmed_evicted_to INTEGER NOT NULL,
    payloads_evicted_to INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL,
    notes INTEGER NOT NULL,
    pending BLOB NOT NULL
) STRICT;
INSERT INTO state VALUES
    (1, 0, 1, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, zeroblob(0));
CREATE VIEW pending_messages AS
    SELECT key & 0xfffffffffffffff AS row, key >> 60 & 15 AS partition,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        exchange, routing_key, ordering_key, message_id, length(payload) AS size_bytes
    FROM pending;
CREATE VIEW settled_messages AS
    SELECT row, CASE status WHEN 1 THEN 'confirmed' WHEN 2 THEN 'returned' ELSE 'failed' END
            AS status, attempts, duplicate_possible,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled,
        exchange, routing_key, ordering_key, message_id, size_bytes,
        reason, reply_code, reply_text, detail
    FROM settled;
";

/// Whose each message is. What an earlier version took had no name to it: all of it becomes the
/// nameless caller's, whose tally is what is pending and what is still kept as settled. What was
/// forgotten before is not in it, since nobody knows any more what became of it.
///
/// `pending` is copied, for a column behind the payload would be reached through all of its pages.
const VERSION_2: &str = "
CREATE TABLE callers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    pending INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT;
INSERT INTO callers SELECT 1, '', (SELECT count(*) FROM pending), confirmed, returned, failed
    FROM state;
DROP VIEW pending_messages;
DROP VIEW settled_messages;
CREATE TABLE idempotency_keys (
    row INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    UNIQUE (caller, key)
) STRICT;
ALTER TABLE pending RENAME TO pending_of_version_1;
CREATE TABLE pending (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    footprint_bytes INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
INSERT INTO pending
    SELECT key, random, 1, checksum, footprint_bytes, accepted_at, mandatory, replays, exchange,
        routing_key, ordering_key, message_id, properties, payload
    FROM pending_of_version_1 ORDER BY key;
DROP TABLE pending_of_version_1;
ALTER TABLE settled ADD COLUMN caller INTEGER NOT NULL DEFAULT 1;
CREATE INDEX settled_unconfirmed ON settled (status) WHERE status <> 1;
CREATE VIEW pending_messages AS
    SELECT key & 0xfffffffffffffff AS row, key >> 60 & 15 AS partition,
        (SELECT name FROM callers WHERE id = caller) AS caller,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        exchange, routing_key, ordering_key, message_id, length(payload) AS size_bytes
    FROM pending;
CREATE VIEW settled_messages AS
    SELECT row, CASE status WHEN 1 THEN 'confirmed' WHEN 2 THEN 'returned' ELSE 'failed' END
            AS status, (SELECT name FROM callers WHERE id = caller) AS caller,
        attempts, duplicate_possible,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled,
        exchange, routing_key, ordering_key, message_id, size_bytes,
        reason, reply_code, reply_text, detail
    FROM settled;
";

/// The version of a file.
pub(super) fn version(connection: &Connection) -> Outcome<i64> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Brings the tables to [`VERSION`], each step in a transaction of its own.
pub(super) fn migrate(connection: &Connection) -> Outcome<()> {
    migrate_by(connection, MIGRATIONS)
}

fn migrate_by(connection: &Connection, steps: &[&str]) -> Outcome<()> {
    let mut from = version(connection)?;
    while let Some(step) = usize::try_from(from).ok().and_then(|from| steps.get(from)) {
        from += 1;
        let step = format!("BEGIN IMMEDIATE; {step}; PRAGMA user_version = {from}; COMMIT");
        if let Err(error) = connection.execute_batch(&step) {
            // What fails here was reported; the rollback only leaves the connection usable.
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error.into());
        }
    }
    Ok(())
}

/// Fails unless the tables are exactly those of [`VERSION`].
pub(super) fn verify(connection: &Connection) -> Outcome<()> {
    let expected = Connection::open_in_memory()?;
    migrate(&expected)?;
    if definitions(connection)? == definitions(&expected)? {
        Ok(())
    } else {
        Err(Failure::Damaged(
            "its tables are not the ones of its schema version".into(),
        ))
    }
}

fn definitions(connection: &Connection) -> Outcome<Vec<(String, String)>> {
    // ANALYZE, which an operator may have run, leaves tables of its own.
    let sql = "SELECT name, sql FROM sqlite_schema
        WHERE name NOT LIKE 'sqlite_%' AND sql IS NOT NULL ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_brought_forward_step_by_step() {
        let connection = Connection::open_in_memory().expect("open");
        migrate(&connection).expect("migrate");
        let steps = [
            VERSION_1,
            VERSION_2,
            "ALTER TABLE notes ADD COLUMN why TEXT",
            "CREATE TABLE more (x)",
        ];
        migrate_by(&connection, &steps).expect("migrate");
        assert_eq!(version(&connection).expect("version"), 4);
        connection
            .execute_batch("SELECT why FROM notes; SELECT x FROM more")
            .expect("columns");
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let connection = Connection::open_in_memory().expect("open");
        let steps = [VERSION_1, "CREATE TABLE more (x); CREATE TABLE more (x)"];
        assert!(migrate_by(&connection, &steps).is_err());
        assert_eq!(version(&connection).expect("version"), 1);
        assert!(connection.execute_batch("SELECT x FROM more").is_err());
    }

    #[test]
    fn a_missing_table_is_noticed() {
        let connection = Connection::open_in_memory().expect("open");
        migrate(&connection).expect("migrate");
        verify(&connection).expect("as made");
        connection.execute_batch("DROP TABLE notes").expect("drop");
        assert!(verify(&connection).is_err());
    }
}
