//! How connections are set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::error::{Failure, Outcome};
use super::state::State;

/// An operator's `sqlite3` may hold the write lock for a moment. Whoever holds it longer stops the
/// gateway, since nothing can be kept meanwhile.
const BUSY: Duration = Duration::from_secs(10);
/// More than there are different ones.
const STATEMENTS: usize = 128;

/// Bytes of a page. See `schema.rs`.
pub(super) const PAGE_BYTES: u32 = 4096;
/// The log is cut back to this many bytes, or to a sixteenth of the store's budget.
const LOG_BYTES_KEPT: u64 = 32 << 20;

/// A connection for what is done before the first commit, whose transactions may be larger than memory.
pub(super) fn preparing(path: &Path, options: &Options) -> Outcome<Connection> {
    changing(path, options, options.vfs.as_deref())
}

/// A connection for the writer or its checkpoints.
pub(super) fn writing(path: &Path, options: &Options) -> Outcome<Connection> {
    // A commit's frames go to the log with one call of the system instead of two for each page.
    let vfs = log_vfs::over(options.vfs.as_deref())
        .map_err(|log_vfs::Unknown| Failure::Damaged("SQLite has lost its VFS".into()))?;
    let connection = changing(path, options, Some(&vfs))?;
    // As this VFS asks for. What a transaction changes is bounded by what is in flight, which is in memory anyway.
    connection.execute_batch("PRAGMA cache_spill = OFF")?;
    Ok(connection)
}

fn changing(path: &Path, options: &Options, vfs: Option<&str>) -> Outcome<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, vfs)?;
    let log_bytes_kept = log_bytes_kept(options);
    // Checkpoints are the business of `checkpoint.rs`. `secure_delete` off: a payload that was
    // dropped need not be overwritten. 8 MiB of cache hold the pages of what is in flight; with 32 MiB a
    // twentieth of all CPU went into walks through the table of cached pages, one for most commits.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = OFF; PRAGMA cache_size = -8192;
         PRAGMA journal_size_limit = {log_bytes_kept};"
    ))?;
    // For statements about many messages at once.
    rusqlite::vtab::array::load_module(&connection)?;
    Ok(connection)
}

/// Bytes that the log is cut back to when it starts anew.
pub(super) fn log_bytes_kept(options: &Options) -> u64 {
    LOG_BYTES_KEPT.min(options.store_bytes_max / 16)
}

/// A connection that only reads.
pub(super) fn reading(path: &Path, vfs: Option<&str>) -> Outcome<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, vfs)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

/// A file that does not exist yet, with the properties that only an empty one can be given.
pub(super) fn creating(path: &Path, vfs: Option<&str>) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = open(path, flags, vfs)?;
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA synchronous = FULL; PRAGMA application_id = {};",
        super::schema::APPLICATION_ID
    ))?;
    Ok(connection)
}

/// Reads something, so that every file that the connection needs is open from now on.
pub(super) fn touch(connection: Connection) -> Outcome<Connection> {
    State::load(&connection)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags, vfs: Option<&str>) -> Outcome<Connection> {
    // One thread at a time has a connection, which is what NO_MUTEX asks for.
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // After a failed write or sync, the copy of the log into the database that closing the last
    // connection means could make matters worse.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Runs `work`, which is told at once when somebody else is in the way.
pub(super) fn without_waiting<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    connection.busy_timeout(Duration::ZERO)?;
    let done = work(connection);
    connection.busy_timeout(BUSY)?;
    done
}

/// A number that a PRAGMA answers.
pub(super) fn pragma(connection: &Connection, name: &str) -> Outcome<u64> {
    let mut statement = connection.prepare_cached(name)?;
    let number: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(number.cast_unsigned())
}

/// Bytes of the database that hold something, its log apart.
pub(super) fn used_bytes(connection: &Connection) -> Outcome<u64> {
    let pages = pragma(connection, "PRAGMA page_count")?;
    let free = pragma(connection, "PRAGMA freelist_count")?;
    Ok(pages.saturating_sub(free) * u64::from(PAGE_BYTES))
}
