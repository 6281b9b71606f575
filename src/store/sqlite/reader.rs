//! Answers, over a few read-only connections. They see what is committed and never make the writer
//! wait.

use std::path::{Path, PathBuf};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::callers::{self, Names};
use super::connection;
use super::error::Outcome;
use super::lookup::{Lookups, doubt};
use super::messages::{SELECT_PENDING, recovered};
use super::state::{PARTITIONS_MAX, State, keys, stored_row, turn_of};
use super::{Options, bulk, groups, keys, list, outbox, outcomes_page};
use crate::domain::{Caller, MessageId, RowId, Turn, WallTime};
use crate::store::{
    BulkReplay, Delivery, DeliveryId, EndpointId, Facts, Filter, LoggedDelivery, Lookup, Oldest,
    OutboxStore, OutcomesPage, Page, PageSize, PayloadLookup, Pending, ReadStore, StoreError,
    Tally, UsedKey, Webhook,
};

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
        self.ask(|connection| Lookups::new(connection)?.get(id))
    }

    fn get_many(&self, ids: &[MessageId]) -> Result<Vec<Lookup>, StoreError> {
        self.ask(|connection| Lookups::new(connection)?.get_many(ids))
    }

    fn used_keys(
        &self,
        keys: &[(Caller, Box<str>)],
        since: WallTime,
    ) -> Result<Vec<Option<UsedKey>>, StoreError> {
        self.ask(|connection| keys::used(connection, keys, since))
    }

    fn payload(&self, id: MessageId) -> Result<PayloadLookup, StoreError> {
        self.ask(|connection| Lookups::new(connection)?.payload(id))
    }

    fn list(
        &self,
        filter: &Filter,
        before: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError> {
        self.ask(|connection| list::list(connection, filter, before, size))
    }

    fn tally(&self, caller: Option<&Caller>) -> Result<Tally, StoreError> {
        self.ask(|connection| callers::tally(connection, caller))
    }

    fn oldest_pending(
        &self,
        caller: Option<&Caller>,
        examined_max: usize,
    ) -> Result<Oldest, StoreError> {
        self.ask(|connection| list::oldest_pending(connection, caller, examined_max))
    }

    fn pending(
        &self,
        partition: u8,
        after: Option<Turn>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        if usize::from(partition) >= PARTITIONS_MAX {
            return Ok(Vec::new());
        }
        self.ask(|connection| pending(connection, partition, after, messages_max, bytes_max))
    }

    fn unconfirmed(
        &self,
        filter: &Filter,
        after: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError> {
        self.ask(|connection| list::unconfirmed(connection, filter, after, size))
    }

    fn group(&self, caller: Option<&Caller>, group: &str) -> Result<Option<Tally>, StoreError> {
        self.ask(|connection| groups::tally(connection, caller, group))
    }

    fn bulk_replay(&self, id: MessageId) -> Result<Option<BulkReplay>, StoreError> {
        self.ask(|connection| bulk::of(connection, id))
    }

    fn bulk_replays_under_way(&self) -> Result<Vec<BulkReplay>, StoreError> {
        self.ask(bulk::under_way)
    }

    fn outcomes(&self, after: u64, entries_max: usize) -> Result<OutcomesPage, StoreError> {
        self.ask(|connection| outcomes_page::read(connection, after, entries_max))
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        self.ask(facts)
    }
}

impl OutboxStore for SqliteReader {
    fn waiting_endpoints(&self, max: usize) -> Result<Vec<(EndpointId, WallTime)>, StoreError> {
        self.ask(|connection| outbox::waiting_endpoints(connection, max))
    }

    fn due_deliveries(
        &self,
        endpoint: EndpointId,
        now: WallTime,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.ask(|connection| outbox::due_deliveries(connection, endpoint, now, max))
    }

    fn waiting_deliveries(&self, max: usize) -> Result<usize, StoreError> {
        self.ask(|connection| outbox::waiting_deliveries(connection, max))
    }

    fn webhooks(&self, caller: Option<&Caller>) -> Result<Vec<Webhook>, StoreError> {
        self.ask(|connection| outbox::webhooks(connection, caller))
    }

    fn deliveries(
        &self,
        webhook: MessageId,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Result<Vec<LoggedDelivery>, StoreError> {
        self.ask(|connection| outbox::log(connection, webhook, before, max))
    }
}

/// See [`ReadStore::pending`].
pub(super) fn pending(
    connection: &Connection,
    partition: u8,
    after: Option<Turn>,
    messages_max: usize,
    bytes_max: usize,
) -> Outcome<Vec<Pending>> {
    let state = State::load(connection)?;
    let sql = format!("{SELECT_PENDING} key BETWEEN ?1 AND ?2 ORDER BY key");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(<[i64; 2]>::from(keys(partition, after)))?;
    let mut names = Names::new(connection)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let mut one = recovered(row, &mut names)?;
        bytes += one.message.footprint_bytes();
        if bytes > bytes_max && !found.is_empty() {
            break;
        }
        let doubt = doubt(connection, &state, one.turn, one.message.id.row())?;
        one.duplicate_possible = doubt.is_some();
        one.attempts = doubt.unwrap_or(0);
        found.push(one);
        if found.len() >= messages_max {
            break;
        }
    }
    Ok(found)
}

/// See [`ReadStore::facts`].
pub(super) fn facts(connection: &Connection) -> Outcome<Facts> {
    let state = State::load(connection)?;
    let path = connection.path().filter(|path| !path.is_empty());
    let log = path.map(|path| super::lock::beside(Path::new(path), "-wal"));
    let log = log.and_then(|log| std::fs::metadata(log).ok());
    Ok(Facts {
        oldest_pending: oldest(connection, &state)?,
        file_bytes: connection::used_bytes(connection)? + log.map_or(0, |log| log.len()),
        ..state.facts()
    })
}

/// The first row that has a turn. Where the first turn of a partition is not its message's row, that
/// row is before it, and is found among those of its kind: so such turns may be taken for rows here.
fn oldest(connection: &Connection, state: &State) -> Outcome<Option<RowId>> {
    let mut rows = Vec::new();
    for (partition, facts) in (0_u8..).zip(&state.pending) {
        if facts.messages > 0 {
            let first = "SELECT min(key) FROM pending WHERE key BETWEEN ?1 AND ?2";
            let first: Option<i64> = connection
                .prepare_cached(first)?
                .query_row(<[i64; 2]>::from(keys(partition, None)), |row| row.get(0))?;
            rows.extend(first.map(|key| turn_of(key).row()));
        }
    }
    if state.moved > 0 {
        let first = "SELECT min(message) FROM later_turns";
        let first: Option<i64> =
            (connection.prepare_cached(first)?).query_row([], |row| row.get(0))?;
        rows.extend(first.map(stored_row));
    }
    Ok(rows.into_iter().min())
}
