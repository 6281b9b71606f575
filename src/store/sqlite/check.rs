//! What is wrong with a store: its structure, and everything that is kept twice held against each
//! other.

use rusqlite::Connection;

use super::callers::{self, Names};
use super::error::{Failure, Outcome};
use super::messages::{self, recovered};
use super::outcomes;
use super::state::{PARTITIONS_MAX, State, partition_of};
use crate::store::{PartitionFacts, Tally};

/// Problems that are told of one store at most.
const PROBLEMS_MAX: usize = 100;

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
    tallies(connection, &state, found)?;
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
    let mut names = Names::new(connection)?;
    while let Some(row) = rows.next()? {
        let facts = &mut counted[usize::from(partition_of(row.get(0)?))];
        match recovered(row, &mut names) {
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

/// What is pending is counted exactly; of what was settled, some may have been forgotten.
fn tallies(connection: &Connection, state: &State, found: &mut Vec<String>) -> Outcome<()> {
    let pending = "SELECT name, ifnull(rows, 0), pending, 'pending' FROM callers LEFT JOIN
            (SELECT caller, count(*) AS rows FROM pending GROUP BY caller) ON caller = id
        WHERE pending <> ifnull(rows, 0)";
    let settled = "SELECT ifnull(name, 'without a row, number ' || caller), rows,
            CASE status WHEN 1 THEN confirmed WHEN 2 THEN returned ELSE failed END AS tally,
            'settled with status ' || status
        FROM (SELECT caller, status, count(*) AS rows FROM settled GROUP BY caller, status)
            LEFT JOIN callers ON id = caller
        WHERE tally IS NULL OR rows > tally";
    for sql in [pending, settled] {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (caller, what): (String, String) = (row.get(0)?, row.get(3)?);
            let (rows, tally): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
            let tally = tally.unwrap_or(0);
            found.push(format!(
                "{what} of caller {caller:?}: the tally says {tally}, the rows say {rows}"
            ));
        }
    }
    let Tally {
        confirmed,
        returned,
        failed,
        ..
    } = callers::tally(connection, None)?;
    let settled = confirmed + returned + failed;
    if settled > state.last_position {
        found.push(format!(
            "the tallies say that {settled} messages were settled, and {} settlements were kept",
            state.last_position
        ));
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
