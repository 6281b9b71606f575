//! Tallies, held against the rows.

use rusqlite::Connection;

use super::super::callers;
use super::super::error::Outcome;
use super::super::state::State;
use crate::store::Tally;

/// What is pending is counted exactly; of what was settled, some may have been forgotten.
pub(super) fn of_callers(
    connection: &Connection,
    state: &State,
    found: &mut Vec<String>,
) -> Outcome<()> {
    let pending = "SELECT name, ifnull(rows, 0), pending, 'pending' FROM callers LEFT JOIN
            (SELECT caller, count(*) AS rows FROM
                (SELECT caller FROM pending UNION ALL SELECT caller FROM scheduled)
                GROUP BY caller) ON caller = id
        WHERE pending <> ifnull(rows, 0)";
    let scheduled = "SELECT name, ifnull(rows, 0), scheduled, 'scheduled' FROM callers LEFT JOIN
            (SELECT caller, count(*) AS rows FROM scheduled GROUP BY caller) ON caller = id
        WHERE scheduled <> ifnull(rows, 0)";
    let settled = "SELECT ifnull(name, 'without a row, number ' || caller), rows,
            CASE status WHEN 1 THEN confirmed WHEN 2 THEN returned ELSE failed END AS tally,
            'settled with status ' || status
        FROM (SELECT caller, status, count(*) AS rows FROM settled GROUP BY caller, status)
            LEFT JOIN callers ON id = caller
        WHERE tally IS NULL OR rows > tally";
    for sql in [pending, scheduled, settled] {
        differing(connection, sql, "caller", found)?;
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

/// As those of callers; and what is kept is counted exactly, since a label goes with the last of it.
pub(super) fn of_labels(connection: &Connection, found: &mut Vec<String>) -> Outcome<()> {
    let pending = "SELECT name, ifnull(rows, 0), pending, 'pending' FROM groups LEFT JOIN
            (SELECT label, count(*) AS rows FROM
                (SELECT label FROM pending UNION ALL SELECT label FROM scheduled)
                WHERE label IS NOT NULL GROUP BY label) ON label = id
        WHERE pending <> ifnull(rows, 0)";
    let kept =
        "SELECT ifnull(name, 'without a row, number ' || label), ifnull(rows, 0), kept, 'kept'
        FROM groups FULL JOIN
            (SELECT label, count(*) AS rows FROM
                (SELECT label FROM pending UNION ALL SELECT label FROM scheduled
                    UNION ALL SELECT label FROM settled)
                WHERE label IS NOT NULL GROUP BY label) ON label = id
        WHERE kept IS NOT rows";
    let settled = "SELECT name, rows,
            CASE status WHEN 1 THEN confirmed WHEN 2 THEN returned ELSE failed END AS tally,
            'settled with status ' || status
        FROM (SELECT label, status, count(*) AS rows FROM settled WHERE label IS NOT NULL
            GROUP BY label, status) JOIN groups ON id = label
        WHERE rows > tally";
    for sql in [pending, kept, settled] {
        differing(connection, sql, "label", found)?;
    }
    let strangers = "SELECT groups.name, count(*), 0, 'of another caller' FROM
            (SELECT caller, label FROM pending UNION ALL SELECT caller, label FROM scheduled
                UNION ALL SELECT caller, label FROM settled) AS kept
            JOIN groups ON groups.id = kept.label
        WHERE groups.caller <> kept.caller GROUP BY groups.id";
    differing(connection, strangers, "label", found)
}

/// Tells of each row of `sql`: whose, what the rows say, what the tally says, and of what.
fn differing(
    connection: &Connection,
    sql: &str,
    whose: &str,
    found: &mut Vec<String>,
) -> Outcome<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, what): (String, String) = (row.get(0)?, row.get(3)?);
        let (rows, tally): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
        let tally = tally.unwrap_or(0);
        found.push(format!(
            "{what} of {whose} {name:?}: the tally says {tally}, the rows say {rows}"
        ));
    }
    Ok(())
}
