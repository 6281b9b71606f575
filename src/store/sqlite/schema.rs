//! The tables, and how older files get them.
//!
//! **The schema decides what a message costs.** A pending message is one row; settling it moves what
//! is worth keeping to one other row and drops the first. Nothing is indexed twice.
//!
//! - `pending`: everything needed to publish. The key is the partition in the upper four bits and the
//!   turn in the lower sixty, so that an integer key, the cheapest that there is, clusters by
//!   partition and keeps order within it. Nearly always the turn is the row id; where it is not, `row`
//!   has that. Most messages have nothing of `row`, `give_up_at`, `label` and `terms`, and were never
//!   replayed: then `replays` is missing too, so that one look tells. Tried against it, insert and settle of 256-byte messages
//!   in hundreds: `WITHOUT ROWID` with `(partition, row)` costs 10 to 30 % more CPU and log, a table
//!   for each partition 20 % more log. Pages of 8 and 16 KiB write 1.5 and 2.2 times as much log for
//!   the same messages.
//! - `later_turns`: where in `pending` those are whose turn is not their row, by row.
//! - `time_limits`: where in `pending` those are that are given up at a time, by that. Both are tables
//!   of their own and not partial indexes: those cost a message that is in neither 7 % more of its
//!   instructions, for `SQLite` opens every index of a table that it writes to.
//! - `scheduled`: what waits for its time, by row id, with its content as in `pending`, where it goes
//!   when it is due.
//! - `settled`: what is told of a message once its end is known, keyed by the row id. Columns and not
//!   a blob, so that operators can ask with SQL.
//!   Lists of what was returned or has failed are asked for most and are a small part of it: only
//!   those are in an index, `settled_unconfirmed`. That a row has its row id as its key, and every
//!   index ends with it, is what makes newest first by status cost nothing more.
//! - `callers`: whose a message is, by number, so that a row has one byte for it; and the tallies, see
//!   `callers.rs`.
//! - `groups`: the callers' labels, by number, with their tallies, see `groups.rs`.
//! - `bulk_replays`: what is or was sent again by a filter, and how far that has come.
//! - `endpoints`, `webhooks`, `deliveries`, `leaving`: see `outbox/tables.rs`.
//! - `payloads`: of returned and failed messages, for a replay.
//! - `notes`: doubts about pending messages. A table of its own, since a doubt must not rewrite a
//!   payload of 16 MiB.
//! - `outcomes`: the settlements in their order, see `outcomes.rs`.
//! - `state`: one row with every counter and watermark, written with each commit.
//!
//! Row ids and turns have 60 bits and partitions get the other four: 16 partitions at most.

use rusqlite::Connection;

use super::error::{Failure, Outcome};
use super::migrations::MIGRATIONS;

/// Marks the file as ours (`PRAGMA application_id`, also seen by `file`): "amqp".
pub(super) const APPLICATION_ID: i64 = 0x616d_7170;

/// The version that this gateway writes (`PRAGMA user_version`).
pub(super) const VERSION: i64 = (MIGRATIONS.len() as u64).cast_signed();

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
    use super::super::migrations::{VERSION_1, VERSION_2, VERSION_3, VERSION_5};
    use super::super::outbox::VERSION_4;
    use super::*;

    #[test]
    fn a_file_is_brought_forward_step_by_step() {
        let connection = Connection::open_in_memory().expect("open");
        migrate(&connection).expect("migrate");
        let steps = [
            VERSION_1,
            VERSION_2,
            VERSION_3,
            VERSION_4,
            VERSION_5,
            "ALTER TABLE notes ADD COLUMN why TEXT",
            "CREATE TABLE more (x)",
        ];
        migrate_by(&connection, &steps).expect("migrate");
        assert_eq!(version(&connection).expect("version"), 7);
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
