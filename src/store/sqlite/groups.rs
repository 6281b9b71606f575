//! The callers' labels: how many messages have each, by what became of them.
//!
//! Tallies are kept as those of callers are (`callers.rs`): in the transaction of what they count,
//! added up first and written once for each label that a commit concerns. A label goes with the last
//! message that is kept of it, so there are never more than messages.
//!
//! Names come from callers, as many as they like: the writer knows the numbers of some by heart and
//! looks up the others. A number is given anew once its label has gone, which nothing refers to then.

use rusqlite::{Connection, OptionalExtension, Row, params};
use rustc_hash::FxHashMap;

use super::callers::{self, Change, tally_of};
use super::error::{Failure, Outcome};
use crate::domain::{Caller, Status};
use crate::store::Tally;

/// Labels whose numbers the writer has in memory at most: about a megabyte.
const NUMBERS_MAX: usize = 4096;

const NUMBER: &str = "SELECT id FROM groups WHERE caller = ?1 AND name = ?2";

const ADD: &str = "INSERT INTO groups (caller, name, kept, pending, confirmed, returned, failed)
    VALUES (?1, ?2, 0, 0, 0, 0, 0)";

const COUNT: &str = "UPDATE groups SET kept = kept + ?2, pending = pending + ?3,
    confirmed = confirmed + ?4, returned = returned + ?5, failed = failed + ?6 WHERE id = ?1";

const DROP: &str = "DELETE FROM groups WHERE id = ?1 AND kept = 0";

const NAME: &str = "SELECT name FROM groups WHERE id = ?1";

const NAME_BYTES: &str = "SELECT octet_length(name) FROM groups WHERE id = ?1";

const TALLY: &str = "SELECT pending, confirmed, returned, failed FROM groups
    WHERE caller = ?1 AND name = ?2";

const TALLY_OF_ALL: &str =
    "SELECT sum(groups.pending), sum(groups.confirmed), sum(groups.returned),
    sum(groups.failed) FROM callers CROSS JOIN groups
    WHERE groups.caller = callers.id AND groups.name = ?1 HAVING count(*) > 0";

const NUMBERS_OF_ALL: &str = "SELECT groups.id FROM callers CROSS JOIN groups
    WHERE groups.caller = callers.id AND groups.name = ?1";

/// The name of a label.
pub(super) fn name(connection: &Connection, number: i64) -> Outcome<Box<str>> {
    let mut statement = connection.prepare_cached(NAME)?;
    let name = statement.query_row([number], |row| Ok(row.get_ref(0)?.as_str()?.into()));
    name.optional()?.ok_or_else(|| unknown(number))
}

/// The numbers of a label: of a caller, by number, or of all callers.
pub(super) fn numbers(
    connection: &Connection,
    caller: Option<i64>,
    label: &str,
) -> Outcome<Vec<i64>> {
    let read = |row: &Row<'_>| row.get(0);
    let numbers = match caller {
        Some(caller) => (connection.prepare_cached(NUMBER)?)
            .query_map(params![caller, label], read)?
            .collect::<Result<_, _>>(),
        None => (connection.prepare_cached(NUMBERS_OF_ALL)?)
            .query_map([label], read)?
            .collect(),
    };
    Ok(numbers?)
}

/// See [`crate::store::ReadStore::group`].
pub(super) fn tally(
    connection: &Connection,
    caller: Option<&Caller>,
    label: &str,
) -> Outcome<Option<Tally>> {
    let Some(caller) = caller else {
        let mut statement = connection.prepare_cached(TALLY_OF_ALL)?;
        return Ok(statement.query_row([label], tally_of).optional()?);
    };
    let Some(caller) = callers::number(connection, caller)? else {
        return Ok(None);
    };
    let mut statement = connection.prepare_cached(TALLY)?;
    let tally = statement.query_row(params![caller, label], tally_of);
    Ok(tally.optional()?)
}

/// What a commit adds to what is counted of a label.
#[derive(Clone, Copy, Default)]
struct Counted {
    tally: Change,
    kept: i64,
    /// Some of its messages were forgotten, perhaps the last.
    forgotten: bool,
    /// Of its name, once somebody wanted to know.
    name_bytes: Option<u64>,
}

/// The writer's side: numbers, and what the open transaction changes.
#[derive(Default)]
pub(super) struct Groups {
    /// By caller and name.
    numbers: FxHashMap<i64, FxHashMap<Box<str>, i64>>,
    known: usize,
    changes: FxHashMap<i64, Counted>,
}

impl Groups {
    /// A message with this label was accepted from the caller of this number; answers the label's
    /// number.
    pub(super) fn accepted(
        &mut self,
        connection: &Connection,
        caller: i64,
        label: &str,
    ) -> Outcome<i64> {
        let known = (self.numbers.get(&caller)).and_then(|theirs| theirs.get(label));
        let number = match known {
            Some(number) => *number,
            None => self.learn(connection, caller, label)?,
        };
        let changed = self.changes.entry(number).or_default();
        changed.tally.pending += 1;
        changed.kept += 1;
        Ok(number)
    }

    fn learn(&mut self, connection: &Connection, caller: i64, label: &str) -> Outcome<i64> {
        let mut statement = connection.prepare_cached(NUMBER)?;
        let number = statement.query_row(params![caller, label], |row| row.get(0));
        let number = if let Some(number) = number.optional()? {
            number
        } else {
            (connection.prepare_cached(ADD)?).execute(params![caller, label])?;
            connection.last_insert_rowid()
        };
        if self.known >= NUMBERS_MAX {
            self.forget_numbers();
        }
        self.known += 1;
        let theirs = self.numbers.entry(caller).or_default();
        theirs.insert(label.into(), number);
        Ok(number)
    }

    fn forget_numbers(&mut self) {
        self.numbers.clear();
        self.known = 0;
    }

    /// A message with the label of this number is no longer `from`, and is `to` now.
    pub(super) fn moved(&mut self, number: i64, from: Status, to: Status) {
        let changed = self.changes.entry(number).or_default();
        changed.tally.moved(from, to);
    }

    /// A settled message with the label of this number is no longer kept.
    pub(super) fn forgotten(&mut self, number: i64) {
        let changed = self.changes.entry(number).or_default();
        changed.kept -= 1;
        changed.forgotten = true;
    }

    /// Bytes of the name of a label.
    pub(super) fn name_bytes(&mut self, connection: &Connection, number: i64) -> Outcome<u64> {
        let changed = self.changes.entry(number).or_default();
        if let Some(bytes) = changed.name_bytes {
            return Ok(bytes);
        }
        let mut statement = connection.prepare_cached(NAME_BYTES)?;
        let bytes = statement.query_row([number], |row| row.get::<_, i64>(0));
        let bytes = (bytes.optional()?).ok_or_else(|| unknown(number))?;
        changed.name_bytes = Some(bytes.cast_unsigned());
        Ok(bytes.cast_unsigned())
    }

    /// Stores what has changed, within the transaction that is open.
    pub(super) fn save(&mut self, connection: &Connection) -> Outcome<()> {
        let mut dropped = false;
        for (
            number,
            Counted {
                tally,
                kept,
                forgotten,
                ..
            },
        ) in &self.changes
        {
            let saved = connection.prepare_cached(COUNT)?.execute(params![
                number,
                kept,
                tally.pending,
                tally.confirmed,
                tally.returned,
                tally.failed
            ])?;
            if saved != 1 {
                return Err(unknown(*number));
            }
            if *forgotten {
                dropped |= connection.prepare_cached(DROP)?.execute([number])? > 0;
            }
        }
        if dropped {
            self.forget_numbers();
        }
        Ok(())
    }

    /// The transaction has ended. When it was rolled back, numbers that it gave are nobody's.
    pub(super) fn ended(&mut self, committed: bool) {
        if !committed {
            self.forget_numbers();
        }
        self.changes.clear();
    }
}

fn unknown(number: i64) -> Failure {
    Failure::Damaged(format!("there is no label with the number {number}"))
}
