//! Whose messages are whose, and how many of each caller's were accepted, by what became of them.
//!
//! **A tally is kept in the transaction of what it counts**, so it is exact after whatever end. What
//! a commit changes is added up first and written as one update for each caller that it concerns.
//! Forgetting history changes no tally.
//!
//! Rows say by number whose they are. Callers are never taken out of their table, so a number that
//! was once committed means the same name for ever. There are as many of them as names were ever
//! configured, hence everything about callers is held in memory without a limit.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use rustc_hash::FxHashMap;

use super::error::{Failure, Outcome};
use super::groups;
use crate::domain::{Caller, Status};
use crate::store::Tally;

const NUMBER: &str = "SELECT id FROM callers WHERE name = ?1";

const ADD: &str = "INSERT INTO callers (name, pending, confirmed, returned, failed)
    VALUES (?1, 0, 0, 0, 0)";

const COUNT: &str = "UPDATE callers SET pending = pending + ?2, confirmed = confirmed + ?3,
    returned = returned + ?4, failed = failed + ?5, scheduled = scheduled + ?6 WHERE id = ?1";

const WITH_TURN: &str = "SELECT ifnull(sum(pending - scheduled), 0) FROM callers
    WHERE ?1 IS NULL OR name = ?1";

const TALLY: &str = "SELECT pending, confirmed, returned, failed FROM callers WHERE name = ?1";

const TALLY_OF_ALL: &str = "SELECT ifnull(sum(pending), 0), ifnull(sum(confirmed), 0),
    ifnull(sum(returned), 0), ifnull(sum(failed), 0) FROM callers";

/// The number of a caller, if anything of it was ever accepted.
pub(super) fn number(connection: &Connection, caller: &Caller) -> Outcome<Option<i64>> {
    let mut statement = connection.prepare_cached(NUMBER)?;
    let number = statement.query_row([caller.as_str()], |row| row.get(0));
    Ok(number.optional()?)
}

/// See [`crate::store::ReadStore::tally`].
pub(super) fn tally(connection: &Connection, caller: Option<&Caller>) -> Outcome<Tally> {
    let tally = match caller {
        Some(caller) => (connection.prepare_cached(TALLY)?).query_row([caller.as_str()], tally_of),
        None => (connection.prepare_cached(TALLY_OF_ALL)?).query_row([], tally_of),
    };
    Ok(tally.optional()?.unwrap_or_default())
}

/// Pending messages of a caller, or of everybody, that have a turn.
pub(super) fn with_turn(connection: &Connection, caller: Option<&Caller>) -> Outcome<u64> {
    let mut statement = connection.prepare_cached(WITH_TURN)?;
    let count = statement.query_row([caller.map(Caller::as_str)], |row| row.get::<_, i64>(0))?;
    Ok(count.cast_unsigned())
}

/// The tally of a row that starts with its four numbers.
pub(super) fn tally_of(row: &Row<'_>) -> rusqlite::Result<Tally> {
    let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
    Ok(Tally {
        pending: count(0)?,
        confirmed: count(1)?,
        returned: count(2)?,
        failed: count(3)?,
    })
}

/// What a commit adds to a tally.
#[derive(Clone, Copy, Default)]
pub(super) struct Change {
    pub(super) pending: i64,
    pub(super) confirmed: i64,
    pub(super) returned: i64,
    pub(super) failed: i64,
}

impl Change {
    /// A message is no longer `from`, and is `to` now.
    pub(super) fn moved(&mut self, from: Status, to: Status) {
        *self.of(from) -= 1;
        *self.of(to) += 1;
    }

    fn of(&mut self, status: Status) -> &mut i64 {
        match status {
            Status::Pending => &mut self.pending,
            Status::Confirmed => &mut self.confirmed,
            Status::Returned => &mut self.returned,
            Status::Failed => &mut self.failed,
        }
    }
}

/// What a commit adds to what is counted of a caller.
#[derive(Clone, Copy, Default)]
struct Counted {
    tally: Change,
    scheduled: i64,
}

/// The writer's side: numbers, and what the open transaction changes.
#[derive(Default)]
pub(super) struct Callers {
    numbers: FxHashMap<Caller, i64>,
    /// Callers whose numbers were learned in the open transaction: they may be its own, and go with
    /// it when it is rolled back.
    learned: Vec<Caller>,
    changes: FxHashMap<i64, Counted>,
}

impl Callers {
    /// The caller's number, also of one that is not known yet.
    pub(super) fn number(&mut self, connection: &Connection, caller: &Caller) -> Outcome<i64> {
        match self.numbers.get(caller) {
            Some(number) => Ok(*number),
            None => self.learn(connection, caller),
        }
    }

    /// A message of `caller` was accepted; answers the caller's number.
    pub(super) fn accepted(&mut self, connection: &Connection, caller: &Caller) -> Outcome<i64> {
        let number = self.number(connection, caller)?;
        self.changes.entry(number).or_default().tally.pending += 1;
        Ok(number)
    }

    fn learn(&mut self, connection: &Connection, caller: &Caller) -> Outcome<i64> {
        let number = if let Some(number) = number(connection, caller)? {
            number
        } else {
            connection.prepare_cached(ADD)?.execute([caller.as_str()])?;
            connection.last_insert_rowid()
        };
        self.numbers.insert(caller.clone(), number);
        self.learned.push(caller.clone());
        Ok(number)
    }

    /// A message of the caller of this number is no longer `from`, and is `to` now.
    pub(super) fn moved(&mut self, number: i64, from: Status, to: Status) {
        let changed = self.changes.entry(number).or_default();
        changed.tally.moved(from, to);
    }

    /// So many more messages of the caller of this number are scheduled.
    pub(super) fn scheduled(&mut self, number: i64, more: i64) {
        self.changes.entry(number).or_default().scheduled += more;
    }

    /// Stores what has changed, within the transaction that is open.
    pub(super) fn save(&self, connection: &Connection) -> Outcome<()> {
        for (number, Counted { tally, scheduled }) in &self.changes {
            let saved = connection.prepare_cached(COUNT)?.execute(params![
                number,
                tally.pending,
                tally.confirmed,
                tally.returned,
                tally.failed,
                scheduled,
            ])?;
            if saved != 1 {
                return Err(unknown(*number));
            }
        }
        Ok(())
    }

    /// The transaction has ended.
    pub(super) fn ended(&mut self, committed: bool) {
        for caller in self.learned.drain(..) {
            if !committed {
                self.numbers.remove(&caller);
            }
        }
        self.changes.clear();
    }
}

fn unknown(number: i64) -> Failure {
    Failure::Damaged(format!("there is no caller with the number {number}"))
}

/// The reading side: names by number, each read once for a question.
pub(super) struct Names<'a> {
    connection: &'a Connection,
    statement: CachedStatement<'a>,
    known: FxHashMap<i64, Caller>,
    /// As many as whoever asks meets, and never more than [`LABELS_MAX`].
    labels: FxHashMap<i64, Box<str>>,
}

/// Labels that are held in memory while a question is answered.
const LABELS_MAX: usize = 4096;

impl<'a> Names<'a> {
    pub(super) fn new(connection: &'a Connection) -> Outcome<Self> {
        let name = "SELECT name FROM callers WHERE id = ?1";
        Ok(Self {
            connection,
            statement: connection.prepare_cached(name)?,
            known: FxHashMap::default(),
            labels: FxHashMap::default(),
        })
    }

    /// The caller of this number.
    pub(super) fn of(&mut self, number: i64) -> Outcome<Caller> {
        if let Some(caller) = self.known.get(&number) {
            return Ok(caller.clone());
        }
        let read = |row: &Row<'_>| Ok(Caller::from_stored(row.get_ref(0)?.as_str()?));
        let caller = self.statement.query_row([number], read).optional()?;
        let caller = caller.ok_or_else(|| unknown(number))?;
        self.known.insert(number, caller.clone());
        Ok(caller)
    }

    /// The label of this number.
    pub(super) fn label(&mut self, number: i64) -> Outcome<Box<str>> {
        if let Some(label) = self.labels.get(&number) {
            return Ok(label.clone());
        }
        let label = groups::name(self.connection, number)?;
        if self.labels.len() >= LABELS_MAX {
            self.labels.clear();
        }
        self.labels.insert(number, label.clone());
        Ok(label)
    }
}
