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
use crate::domain::{Caller, Status};
use crate::store::Tally;

const NUMBER: &str = "SELECT id FROM callers WHERE name = ?1";

const ADD: &str = "INSERT INTO callers (name, pending, confirmed, returned, failed)
    VALUES (?1, 0, 0, 0, 0)";

const COUNT: &str = "UPDATE callers SET pending = pending + ?2, confirmed = confirmed + ?3,
    returned = returned + ?4, failed = failed + ?5 WHERE id = ?1";

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
    let read = |row: &Row<'_>| {
        let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
        Ok(Tally {
            pending: count(0)?,
            confirmed: count(1)?,
            returned: count(2)?,
            failed: count(3)?,
        })
    };
    let tally = match caller {
        Some(caller) => (connection.prepare_cached(TALLY)?).query_row([caller.as_str()], read),
        None => (connection.prepare_cached(TALLY_OF_ALL)?).query_row([], read),
    };
    Ok(tally.optional()?.unwrap_or_default())
}

/// What a commit adds to the tally of a caller.
#[derive(Clone, Copy, Default)]
struct Change {
    pending: i64,
    confirmed: i64,
    returned: i64,
    failed: i64,
}

/// The writer's side: numbers, and what the open transaction changes.
#[derive(Default)]
pub(super) struct Callers {
    numbers: FxHashMap<Caller, i64>,
    /// Callers whose numbers were learned in the open transaction: they may be its own, and go with
    /// it when it is rolled back.
    learned: Vec<Caller>,
    changes: FxHashMap<i64, Change>,
}

impl Callers {
    /// A message of `caller` was accepted; answers the caller's number.
    pub(super) fn accepted(&mut self, connection: &Connection, caller: &Caller) -> Outcome<i64> {
        let number = match self.numbers.get(caller) {
            Some(number) => *number,
            None => self.learn(connection, caller)?,
        };
        self.changes.entry(number).or_default().pending += 1;
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

    /// A pending message of the caller of this number was settled.
    pub(super) fn settled(&mut self, number: i64, status: Status) {
        let change = self.changes.entry(number).or_default();
        change.pending -= 1;
        match status {
            Status::Confirmed => change.confirmed += 1,
            Status::Returned => change.returned += 1,
            Status::Failed | Status::Pending => change.failed += 1,
        }
    }

    /// Stores what has changed, within the transaction that is open.
    pub(super) fn save(&self, connection: &Connection) -> Outcome<()> {
        for (number, change) in &self.changes {
            let saved = connection.prepare_cached(COUNT)?.execute(params![
                number,
                change.pending,
                change.confirmed,
                change.returned,
                change.failed
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
    statement: CachedStatement<'a>,
    known: FxHashMap<i64, Caller>,
}

impl<'a> Names<'a> {
    pub(super) fn new(connection: &'a Connection) -> Outcome<Self> {
        let name = "SELECT name FROM callers WHERE id = ?1";
        Ok(Self {
            statement: connection.prepare_cached(name)?,
            known: FxHashMap::default(),
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
}
