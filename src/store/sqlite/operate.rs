//! What operators ask of a store, with the gateway running or not: nothing here takes the lock file
//! or writes to the store.
//!
//! One limit: a store whose gateway has crashed and that nobody has opened since may have to be
//! recovered first, for which the file must be writable.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::connection;
use super::error::{Failure, OpenError, Outcome};
use super::lock::{beside, one_name};
use super::log;
use super::messages::{self, recovered};
use super::outcomes;
use super::reader::{at_one_moment, facts, pending};
use super::schema;
use super::state::{PARTITIONS_MAX, State, partition_of};
use crate::domain::RowId;
use crate::store::{Facts, PartitionFacts, Recovered};

/// Problems that are told of one store at most.
const PROBLEMS_MAX: usize = 100;

/// What a store is.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its schema version.
    pub schema_version: i64,
    /// The state at this moment.
    pub facts: Facts,
    /// Whether the last gateway closed it; false too while one is running.
    pub closed: bool,
    /// Pending messages up to here were possibly handed over before a crash.
    pub doubtful_to: Option<RowId>,
}

fn reading<T>(path: &Path, ask: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T, OpenError> {
    let ask = |connection: &Connection| {
        if connection::pragma(connection, "PRAGMA application_id")?.cast_signed()
            != schema::APPLICATION_ID
        {
            return Ok(Err(OpenError::Foreign {
                path: path.to_owned(),
                detail: "it is a SQLite database of another application".into(),
            }));
        }
        let (path, found) = (path.to_owned(), schema::version(connection)?);
        match found.cmp(&schema::VERSION) {
            Ordering::Less => Ok(Err(OpenError::TooOld {
                path,
                found,
                wanted: schema::VERSION,
            })),
            Ordering::Equal => ask(connection).map(Ok),
            Ordering::Greater => Ok(Err(OpenError::TooNew {
                path,
                found,
                known: schema::VERSION,
            })),
        }
    };
    connection::reading(path, None)
        .and_then(|connection| at_one_moment(&connection, ask))
        .unwrap_or_else(|failure| Err(failure.into_open(path)))
}

/// Tells what a store is.
///
/// # Errors
/// It cannot be read.
pub fn info(path: &Path) -> Result<Info, OpenError> {
    reading(path, |connection| {
        let state = State::load(connection)?;
        Ok(Info {
            schema_version: schema::version(connection)?,
            facts: facts(connection)?,
            closed: state.clean,
            doubtful_to: state.doubtful_to,
        })
    })
}

/// Reads all of a store and tells what is wrong with it, 100 problems at most; none means that it is
/// whole.
///
/// # Errors
/// It cannot be read at all.
pub fn check(path: &Path) -> Result<Vec<String>, OpenError> {
    let mut found = reading(path, problems)?;
    let log = one_name(path).and_then(|path| log::is_damaged(&beside(&path, "-wal")));
    if log.is_ok_and(|damaged| damaged) {
        found.push("the log (-wal) has lost commits in its middle".into());
    }
    Ok(found)
}

/// The pending messages of a partition behind `after`, oldest first, at most `messages_max`.
///
/// # Errors
/// It cannot be read.
pub fn list_pending(
    path: &Path,
    partition: u8,
    after: Option<RowId>,
    messages_max: usize,
) -> Result<Vec<Recovered>, OpenError> {
    if usize::from(partition) >= PARTITIONS_MAX {
        return Ok(Vec::new());
    }
    reading(path, |connection| {
        pending(connection, partition, after, messages_max, usize::MAX)
    })
}

/// Writes a copy of the store as it is at this moment to `to`, which must not exist. All in one read
/// transaction: the gateway goes on, and only its log cannot start anew meanwhile.
///
/// # Errors
/// It cannot be read, or the copy cannot be written; nothing is left of the copy then.
pub fn backup(path: &Path, to: &Path) -> Result<(), OpenError> {
    let written = |source| OpenError::Io {
        path: to.to_owned(),
        source,
    };
    std::fs::File::create_new(to).map_err(written)?;
    let copied = copy(path, to).and_then(|()| {
        std::fs::File::open(to)
            .and_then(|file| file.sync_all())
            .map_err(written)
    });
    if copied.is_err() {
        // Half a copy is of no use to anybody, and would be in the way of the next one.
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn copy(path: &Path, to: &Path) -> Result<(), OpenError> {
    reading(path, |connection| {
        // The read transaction is open once something was read; the copy is of that moment.
        schema::version(connection)?;
        let mut copy = Connection::open(to)?;
        copy.execute_batch("PRAGMA synchronous = FULL")?;
        Backup::new(connection, &mut copy)?.step(-1)?;
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    })
}

/// What is wrong with the store that `connection` is reading.
pub(super) fn problems(connection: &Connection) -> Outcome<Vec<String>> {
    let mut found = structure(connection)?;
    if found.is_empty() {
        content(connection, &mut found)?;
    }
    found.truncate(PROBLEMS_MAX);
    Ok(found)
}

fn structure(connection: &Connection) -> Outcome<Vec<String>> {
    let check = format!("PRAGMA integrity_check({PROBLEMS_MAX})");
    let mut statement = connection.prepare(&check)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    let told = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(told.into_iter().filter(|line| line != "ok").collect())
}

fn content(connection: &Connection, found: &mut Vec<String>) -> Outcome<()> {
    let state = State::load(connection)?;
    pending_messages(connection, &state, found)?;
    let count = |sql: &str| -> Outcome<u64> {
        Ok(connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))?
            .cast_unsigned())
    };
    let counted = [
        (
            "confirmed",
            state.confirmed,
            "SELECT count(*) FROM settled WHERE status = 1",
        ),
        (
            "returned",
            state.returned,
            "SELECT count(*) FROM settled WHERE status = 2",
        ),
        (
            "failed",
            state.failed,
            "SELECT count(*) FROM settled WHERE status = 3",
        ),
        ("noted", state.notes, "SELECT count(*) FROM notes"),
        (
            "bytes of history",
            state.history_bytes,
            "SELECT ifnull((SELECT sum(kept_bytes) FROM settled), 0) + ifnull((SELECT
                sum(length(payload) + ifnull(length(properties), 0)) FROM payloads), 0)",
        ),
    ];
    for (what, counter, sql) in counted {
        let rows = count(sql)?;
        if rows != counter {
            found.push(format!(
                "{what}: the counter says {counter}, the rows say {rows}"
            ));
        }
    }
    let never = [
        (
            "messages that are pending and settled",
            "SELECT count(*) FROM pending JOIN settled ON settled.row = key & 0xfffffffffffffff",
        ),
        (
            "payloads without a returned or failed message",
            "SELECT count(*) FROM payloads LEFT JOIN settled USING (row)
                WHERE status IS NULL OR status = 1",
        ),
        (
            "notes about messages that are not pending",
            "SELECT count(*) FROM notes WHERE row NOT IN
                (SELECT key & 0xfffffffffffffff FROM pending)",
        ),
        (
            "messages with a status that there is not",
            "SELECT count(*) FROM settled WHERE status NOT BETWEEN 1 AND 3",
        ),
    ];
    for (what, sql) in never {
        let rows = count(sql)?;
        if rows > 0 {
            found.push(format!("{rows} {what}"));
        }
    }
    recorded(connection, &state, found)
}

fn pending_messages(
    connection: &Connection,
    state: &State,
    found: &mut Vec<String>,
) -> Outcome<()> {
    let mut counted = [PartitionFacts::default(); PARTITIONS_MAX];
    let sql = format!("SELECT {} FROM pending", messages::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let facts = &mut counted[usize::from(partition_of(row.get(0)?))];
        match recovered(row) {
            Ok(one) => {
                facts.messages += 1;
                facts.bytes += one.message.footprint_bytes() as u64;
                if state
                    .last_row
                    .is_none_or(|last| one.message.id.row() > last)
                {
                    found.push(format!("message {} is behind the last one", one.message.id));
                }
            }
            Err(Failure::Damaged(problem)) => found.push(problem),
            Err(failure) => return Err(failure),
        }
    }
    for (partition, (rows, counter)) in counted.iter().zip(&state.pending).enumerate() {
        if rows != counter {
            found.push(format!(
                "pending in partition {partition}: the counters say {counter:?}, the rows {rows:?}"
            ));
        }
    }
    Ok(())
}

/// Every settled message is in the record of outcomes at its position, and nothing else is.
fn recorded(connection: &Connection, state: &State, found: &mut Vec<String>) -> Outcome<()> {
    let (mut entries, mut before) = (0_u64, 0);
    let mut chunks = connection.prepare("SELECT entries FROM outcomes ORDER BY position")?;
    let place = "SELECT 1 FROM settled WHERE row = ?1 AND position = ?2 AND status = ?3";
    let mut place = connection.prepare(place)?;
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
            entries += 1;
            let at = [
                super::state::row_number(entry.row),
                entry.position.cast_signed(),
                outcomes::status_code(entry.status),
            ];
            if entry.position <= before || !place.exists(at)? {
                found.push(format!(
                    "the outcome at position {} is of no message",
                    entry.position
                ));
            }
            before = entry.position;
        }
    }
    let settled = state.confirmed + state.returned + state.failed;
    if entries != settled {
        found.push(format!(
            "{settled} messages are settled, and {entries} outcomes recorded"
        ));
    }
    if before > state.last_position {
        found.push(format!("position {before} is behind the last one"));
    }
    Ok(())
}
