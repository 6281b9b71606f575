//! All or nothing, and what is known when it fails.

use rusqlite::Connection;

use super::error::{Failure, Outcome};

/// Runs `work` in a write transaction. When this fails and [`Failure::is_full`], nothing was kept and
/// the connection can go on; after any other failure nobody knows, not even whether it was kept.
pub(super) fn run<T>(connection: &Connection, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = work().and_then(|value| {
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(value)
    });
    if done.is_err() && !connection.is_autocommit() {
        // When even this fails, the first failure must not pass for a full disk, which is harmless.
        let undone = connection.execute_batch("ROLLBACK");
        undone.map_err(|error| Failure::Damaged(format!("a rollback failed: {error}")))?;
    }
    done
}
