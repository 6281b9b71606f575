//! What is wrong with a store: its structure, and everything that is kept twice held against each
//! other.

mod outcomes;
mod tallies;

use rusqlite::Connection;

use super::callers::Names;
use super::error::{Failure, Outcome};
use super::evict::STALE_BYTES;
use super::messages::{self, SELECT_PENDING, SELECT_SCHEDULED, recovered};
use super::outbox;
use super::state::{PARTITIONS_MAX, State, partition_of};
use crate::domain::Message;
use crate::store::PartitionFacts;

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
    scheduled_messages(connection, &state, found)?;
    let mut unrecorded = Vec::new();
    let earlier_ends = outcomes::recorded(connection, &state, &mut unrecorded)?;
    counters(connection, &state, earlier_ends, found)?;
    for (what, sql) in NEVER {
        let rows = count(connection, sql)?;
        if rows > 0 {
            found.push(format!("{rows} {what}"));
        }
    }
    tallies::of_callers(connection, &state, found)?;
    tallies::of_labels(connection, found)?;
    found.append(&mut unrecorded);
    outbox::problems(connection, found)
}

fn count(connection: &Connection, sql: &str) -> Outcome<u64> {
    let rows: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(rows.cast_unsigned())
}

const NEVER: [(&str, &str); 10] = [
    (
        "messages that are pending and settled",
        "SELECT count(*) FROM pending JOIN settled
            ON settled.row = ifnull(pending.row, key & 0xfffffffffffffff)",
    ),
    (
        "messages that are scheduled and settled",
        "SELECT count(*) FROM scheduled JOIN settled USING (row)",
    ),
    (
        "messages that are scheduled and have a turn",
        "SELECT count(*) FROM pending JOIN scheduled
            ON scheduled.row = ifnull(pending.row, key & 0xfffffffffffffff)",
    ),
    (
        "payloads without a returned or failed message",
        "SELECT count(*) FROM payloads LEFT JOIN settled USING (row)
            WHERE status IS NULL OR status = 1",
    ),
    (
        "notes about messages that are not pending",
        "SELECT count(*) FROM notes WHERE row NOT IN
            (SELECT ifnull(row, key & 0xfffffffffffffff) FROM pending)",
    ),
    (
        "messages with a status that there is not",
        "SELECT count(*) FROM settled WHERE status NOT BETWEEN 1 AND 3",
    ),
    (
        "messages whose turn is not behind their row",
        "SELECT count(*) FROM pending WHERE row >= key & 0xfffffffffffffff",
    ),
    (
        "messages that have what they say that they have not",
        "SELECT count(*) FROM pending
            WHERE replays IS NULL AND coalesce(row, give_up_at, label, terms) IS NOT NULL",
    ),
    (
        "messages that are not found by their rows",
        "SELECT count(*) FROM (SELECT row, key FROM pending WHERE row IS NOT NULL) AS there
            FULL JOIN later_turns ON message = row WHERE place IS NOT key",
    ),
    (
        "messages that are not found by the time that they are given",
        "SELECT count(*) FROM
            (SELECT give_up_at, key FROM pending WHERE give_up_at IS NOT NULL) AS there
            FULL JOIN time_limits ON at = give_up_at AND turn = key & 0xfffffffffffffff
            WHERE place IS NOT key",
    ),
];

fn counters(
    connection: &Connection,
    state: &State,
    earlier_ends: u64,
    found: &mut Vec<String>,
) -> Outcome<()> {
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
            "with a later turn",
            state.moved,
            "SELECT count(*) FROM pending WHERE row IS NOT NULL",
        ),
        (
            "bytes of history",
            state
                .history_bytes
                .saturating_sub(earlier_ends * STALE_BYTES),
            "SELECT ifnull((SELECT sum(kept_bytes) FROM settled), 0) + ifnull((SELECT
                sum(length(payload) + ifnull(length(properties), 0)) FROM payloads), 0)",
        ),
    ];
    for (what, counter, sql) in counted {
        let rows = count(connection, sql)?;
        if rows != counter {
            found.push(format!(
                "{what}: the counter says {counter}, the rows say {rows}"
            ));
        }
    }
    Ok(())
}

/// Every pending message can be read, and is counted where it is.
fn pending_messages(
    connection: &Connection,
    state: &State,
    found: &mut Vec<String>,
) -> Outcome<()> {
    let mut counted = [PartitionFacts::default(); PARTITIONS_MAX];
    let mut statement = connection.prepare(&format!("{SELECT_PENDING} TRUE"))?;
    let mut rows = statement.query([])?;
    let mut names = Names::new(connection)?;
    while let Some(row) = rows.next()? {
        let facts = &mut counted[usize::from(partition_of(row.get(0)?))];
        match recovered(row, &mut names) {
            Ok(one) => {
                add(facts, &one.message);
                if state.last_row.is_none_or(|last| one.turn.row() > last) {
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

/// Every scheduled message can be read, and is counted.
fn scheduled_messages(
    connection: &Connection,
    state: &State,
    found: &mut Vec<String>,
) -> Outcome<()> {
    let mut there = PartitionFacts::default();
    let mut statement = connection.prepare(&format!("{SELECT_SCHEDULED} TRUE"))?;
    let mut rows = statement.query([])?;
    let mut names = Names::new(connection)?;
    while let Some(row) = rows.next()? {
        match messages::message(row, &mut names) {
            Ok(message) => {
                add(&mut there, &message);
                if state.last_row.is_none_or(|last| message.id.row() > last) {
                    found.push(format!("message {} is behind the last one", message.id));
                }
            }
            Err(Failure::Damaged(problem)) => found.push(problem),
            Err(failure) => return Err(failure),
        }
    }
    if there != state.scheduled {
        let counter = state.scheduled;
        found.push(format!(
            "scheduled: the counters say {counter:?}, the rows {there:?}"
        ));
    }
    Ok(())
}

fn add(facts: &mut PartitionFacts, message: &Message) {
    facts.messages += 1;
    facts.bytes += message.footprint_bytes() as u64;
}
