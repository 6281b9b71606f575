//! Answers, over a few read-only connections. They see what is committed and never make the writer
//! wait.

use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OptionalExtension};

use super::Options;
use super::connection;
use super::error::Outcome;
use super::messages::{self, pending_record, recovered};
use super::records::{self, settled_record};
use super::state::{PARTITIONS_MAX, State, key, keys, row_number, stored_row};
use crate::domain::{MessageId, RowId};
use crate::store::{Facts, Lookup, ReadStore, Record, Recovered, StoreError};

/// The reading side of a store.
pub struct SqliteReader {
    path: PathBuf,
    vfs: Option<String>,
    readers_max: usize,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    open: usize,
}

impl SqliteReader {
    /// With one connection that is open already: later there may be no descriptors left, and a
    /// message that cannot be read back is the end.
    pub(super) fn open(path: &Path, options: &Options) -> Outcome<Self> {
        let reader = Self {
            path: path.to_owned(),
            vfs: options.vfs.clone(),
            readers_max: options.readers_max.max(1),
            pool: Mutex::default(),
            returned: Condvar::new(),
        };
        let first = reader.another()?;
        *reader.pool.lock() = Pool {
            idle: vec![first],
            open: 1,
        };
        Ok(reader)
    }

    fn another(&self) -> Outcome<Connection> {
        connection::reading(&self.path, self.vfs.as_deref()).and_then(connection::touch)
    }

    /// Runs `read` in a transaction, so that all its questions are about the same moment.
    pub(super) fn ask<T>(
        &self,
        read: impl FnOnce(&Connection) -> Outcome<T>,
    ) -> Result<T, StoreError> {
        let connection = self.take()?;
        let answer = at_one_moment(&connection, read);
        let mut pool = self.pool.lock();
        if answer.is_ok() {
            pool.idle.push(connection);
        } else {
            // Whatever is wrong with it, the next question starts afresh.
            pool.open -= 1;
        }
        self.returned.notify_one();
        Ok(answer?)
    }

    /// A connection that nobody uses: an idle one, or one more. When there can be no more, whoever
    /// finds none waits.
    fn take(&self) -> Result<Connection, StoreError> {
        let mut pool = self.pool.lock();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Ok(connection);
            }
            if pool.open < self.readers_max {
                pool.open += 1;
                drop(pool);
                let failure = match self.another() {
                    Ok(connection) => return Ok(connection),
                    Err(failure) => failure,
                };
                pool = self.pool.lock();
                pool.open -= 1;
                if pool.open == 0 {
                    self.returned.notify_one();
                    return Err(failure.into());
                }
                if !pool.idle.is_empty() {
                    continue;
                }
            }
            self.returned.wait(&mut pool);
        }
    }
}

pub(super) fn at_one_moment<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Outcome<T>,
) -> Outcome<T> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let answer = read(connection)?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(answer)
}

impl ReadStore for SqliteReader {
    fn get(&self, id: MessageId) -> Result<Lookup, StoreError> {
        self.ask(|connection| get(connection, id))
    }

    fn get_many(&self, _: &[MessageId]) -> Result<Vec<Lookup>, StoreError> {
        Err(StoreError::Unavailable("not built".into()))
    }

    fn payload(&self, _: MessageId) -> Result<crate::store::PayloadLookup, StoreError> {
        Err(StoreError::Unavailable("not built".into()))
    }

    fn list(
        &self,
        _: &crate::store::Filter,
        _: Option<RowId>,
        _: crate::store::PageSize,
    ) -> Result<crate::store::Page, StoreError> {
        Err(StoreError::Unavailable("not built".into()))
    }

    fn tally(&self, _: Option<&crate::domain::Caller>) -> Result<crate::store::Tally, StoreError> {
        Err(StoreError::Unavailable("not built".into()))
    }

    fn oldest_pending(
        &self,
        _: Option<&crate::domain::Caller>,
        _: usize,
    ) -> Result<crate::store::Oldest, StoreError> {
        Err(StoreError::Unavailable("not built".into()))
    }

    fn pending(
        &self,
        partition: u8,
        after: Option<RowId>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Recovered>, StoreError> {
        if usize::from(partition) >= PARTITIONS_MAX {
            return Ok(Vec::new());
        }
        self.ask(|connection| pending(connection, partition, after, messages_max, bytes_max))
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        self.ask(facts)
    }
}

fn get(connection: &Connection, id: MessageId) -> Outcome<Lookup> {
    let found = match settled(connection, id.row())? {
        Some(record) => Some(record),
        None => awaiting(connection, id.row())?,
    };
    if let Some(record) = found {
        let same = record.id == id;
        return Ok(if same {
            Lookup::Found(Box::new(record))
        } else {
            Lookup::NotFound
        });
    }
    let horizon = State::load(connection)?.horizon;
    let gone = horizon.is_some_and(|horizon| id.row() <= horizon);
    Ok(if gone {
        Lookup::Expired
    } else {
        Lookup::NotFound
    })
}

fn settled(connection: &Connection, row: RowId) -> Outcome<Option<Record>> {
    let sql = format!("SELECT {} FROM settled WHERE row = ?1", records::COLUMNS);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([row_number(row)])?;
    rows.next()?.map(settled_record).transpose()
}

/// A pending message's record. Its partition is not known, so each is asked: what that costs is
/// less than an index would cost every message.
fn awaiting(connection: &Connection, row: RowId) -> Outcome<Option<Record>> {
    let sql = format!(
        "SELECT {} FROM pending WHERE key = ?1",
        messages::RECORD_COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    for partition in (0_u8..).take(PARTITIONS_MAX) {
        let mut rows = statement.query([key(partition, row)])?;
        if let Some(found) = rows.next()? {
            let mut record = pending_record(found)?;
            record.doubt = doubt(connection, &State::load(connection)?, row)?;
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// See [`ReadStore::pending`].
pub(super) fn pending(
    connection: &Connection,
    partition: u8,
    after: Option<RowId>,
    messages_max: usize,
    bytes_max: usize,
) -> Outcome<Vec<Recovered>> {
    let state = State::load(connection)?;
    let sql = format!(
        "SELECT {} FROM pending WHERE key BETWEEN ?1 AND ?2 ORDER BY key",
        messages::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(<[i64; 2]>::from(keys(partition, after)))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let mut one = recovered(row)?;
        bytes += one.message.footprint_bytes();
        if bytes > bytes_max && !found.is_empty() {
            break;
        }
        let doubt = doubt(connection, &state, one.message.id.row())?;
        one.duplicate_possible = doubt.is_some();
        one.attempts = doubt.unwrap_or(0);
        found.push(one);
        if found.len() >= messages_max {
            break;
        }
    }
    Ok(found)
}

/// Hand-overs as last noted of a pending message that is doubtful; 0 when only the crash is known.
fn doubt(connection: &Connection, state: &State, row: RowId) -> Outcome<Option<u32>> {
    let crashed = state.doubtful_to.is_some_and(|to| row <= to).then_some(0);
    if state.notes == 0 {
        return Ok(crashed);
    }
    let note = "SELECT attempts FROM notes WHERE row = ?1";
    let noted = connection
        .prepare_cached(note)?
        .query_row([row_number(row)], |row| row.get(0));
    Ok(noted.optional()?.or(crashed))
}

/// See [`ReadStore::facts`].
pub(super) fn facts(connection: &Connection) -> Outcome<Facts> {
    let state = State::load(connection)?;
    let mut oldest = None;
    for (partition, facts) in (0_u8..).zip(&state.pending) {
        if facts.messages > 0 {
            let first = "SELECT min(key) FROM pending WHERE key BETWEEN ?1 AND ?2";
            let first: Option<i64> = connection
                .prepare_cached(first)?
                .query_row(<[i64; 2]>::from(keys(partition, None)), |row| row.get(0))?;
            let first = first.map(stored_row);
            oldest = match (oldest, first) {
                (Some(one), Some(other)) => Some(std::cmp::min::<RowId>(one, other)),
                (one, other) => one.or(other),
            };
        }
    }
    let path = connection.path().filter(|path| !path.is_empty());
    let log = path.map(|path| super::lock::beside(Path::new(path), "-wal"));
    let log = log.and_then(|log| std::fs::metadata(log).ok());
    Ok(Facts {
        oldest_pending: oldest,
        file_bytes: connection::used_bytes(connection)? + log.map_or(0, |log| log.len()),
        ..state.facts()
    })
}
