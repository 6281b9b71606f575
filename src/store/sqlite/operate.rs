//! What operators ask of a store, with the gateway running or not: nothing here takes the lock file
//! or writes to the store.
//!
//! One limit: a store whose gateway has crashed and that nobody has opened since may have to be
//! recovered first, for which the file must be writable.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::error::{OpenError, Outcome};
use super::lock::{beside, one_name};
use super::log;
use super::lookup::Lookups;
use super::reader::{at_one_moment, facts, pending};
use super::schema;
use super::state::{PARTITIONS_MAX, State};
use super::{check, connection, schedule};
use crate::domain::Turn;
use crate::store::{Facts, Lookup, Pending, Record};

/// What a store is.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its schema version.
    pub schema_version: i64,
    /// The state at this moment.
    pub facts: Facts,
    /// Whether the last gateway closed it; false too while one is running.
    pub closed: bool,
    /// Pending messages with turns up to this one were possibly handed over before a crash.
    pub doubtful_to: Option<Turn>,
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
    let mut found = reading(path, check::problems)?;
    let log = one_name(path).and_then(|path| log::is_damaged(&beside(&path, "-wal")));
    if log.is_ok_and(|damaged| damaged) {
        found.push("the log (-wal) has lost commits in its middle".into());
    }
    Ok(found)
}

/// The pending messages of a partition behind `after`, in the order of their turns, at most
/// `messages_max`.
///
/// # Errors
/// It cannot be read.
pub fn list_pending(
    path: &Path,
    partition: u8,
    after: Option<Turn>,
    messages_max: usize,
) -> Result<Vec<Pending>, OpenError> {
    if usize::from(partition) >= PARTITIONS_MAX {
        return Ok(Vec::new());
    }
    reading(path, |connection| {
        pending(connection, partition, after, messages_max, usize::MAX)
    })
}

/// The scheduled messages that are due first, in that order, at most `messages_max`.
///
/// # Errors
/// It cannot be read.
pub fn list_scheduled(path: &Path, messages_max: usize) -> Result<Vec<Record>, OpenError> {
    reading(path, |connection| {
        let state = State::load(connection)?;
        let ids = schedule::first(connection, &state, messages_max)?;
        let found = Lookups::new(connection)?.get_many(&ids)?;
        let record = |found| match found {
            Lookup::Found(record) => Some(*record),
            Lookup::NotFound | Lookup::Expired => None,
        };
        Ok(found.into_iter().filter_map(record).collect())
    })
}

/// What has a turn now may be handed over from the original at any time after, of which its copy does not hear.
const HANDED_OVER_SINCE: &str = "UPDATE state SET clean = 0, handed_to = last_row";

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
        copy.execute_batch(HANDED_OVER_SINCE)?;
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    })
}
