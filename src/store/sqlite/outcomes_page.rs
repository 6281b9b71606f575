//! Outcomes in the order of settlement, read from the record of them; see [`crate::store::OutcomesPage`].
//!
//! An entry is of use as long as its message is settled at its position: the message of an older one
//! was settled again, was replayed, or is forgotten. So a page costs one look at a row for each entry.

use rusqlite::{Connection, OptionalExtension as _};

use super::callers::{self, Names};
use super::error::{Failure, Outcome};
use super::outcomes;
use super::records::{self, settled_record};
use super::state::{State, row_number};
use crate::store::{KeptSince, OutcomesPage};

/// The rows of the record from the one on that has this position. Rows are named by their first entry.
const CHUNKS: &str = "SELECT entries FROM outcomes WHERE position >=
        (SELECT ifnull(max(position), 0) FROM outcomes WHERE position <= ?1)
    ORDER BY position";

/// The first row behind one.
const FIRST: &str = "SELECT position FROM outcomes WHERE position > ?1 ORDER BY position LIMIT 1";

/// See [`crate::store::ReadStore::outcomes`].
pub(super) fn read(
    connection: &Connection,
    after: u64,
    entries_max: usize,
) -> Outcome<OutcomesPage> {
    let state = State::load(connection)?;
    let mut page = OutcomesPage {
        outcomes: Vec::new(),
        reached: state.last_position,
        last: state.last_position,
        kept: kept(connection, &state)?,
    };
    if after >= state.last_position {
        return Ok(page);
    }
    let settled = format!(
        "SELECT {} FROM settled WHERE row = ?1 AND position = ?2",
        records::SETTLED
    );
    let mut settled = connection.prepare_cached(&settled)?;
    let mut names = Names::new(connection)?;
    let mut chunks = connection.prepare_cached(CHUNKS)?;
    let mut chunks = chunks.query([(after + 1).cast_signed()])?;
    let (mut examined, mut last) = (0, after);
    while let Some(chunk) = chunks.next()? {
        let blob = chunk.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let entries = outcomes::decode(blob).map_err(|unreadable| {
            Failure::Damaged(format!("the outcomes behind position {last}: {unreadable}"))
        })?;
        for entry in entries.into_iter().filter(|entry| entry.position > after) {
            if examined >= entries_max.max(1) {
                page.reached = last;
                return Ok(page);
            }
            let mut rows = settled.query([row_number(entry.row), entry.position.cast_signed()])?;
            if let Some(row) = rows.next()? {
                let record = settled_record(row, &mut names)?;
                page.outcomes.push((entry.position, record));
            }
            examined += 1;
            last = entry.position;
        }
    }
    Ok(page)
}

/// Confirmed messages have gone from the rows of the record up to a watermark, and from none behind it.
/// For the others there is no watermark. As long as all that there ever were are kept, none has gone;
/// then, those before the first row may have.
fn kept(connection: &Connection, state: &State) -> Outcome<KeptSince> {
    let mut first = connection.prepare_cached(FIRST)?;
    let mut before_first = |behind: u64| -> Outcome<u64> {
        let first = first.query_row([behind.cast_signed()], |row| row.get::<_, i64>(0));
        let first = first.optional()?.map(i64::cast_unsigned);
        Ok(first.map_or(state.last_position, |first| first.saturating_sub(1)))
    };
    let ever = callers::tally(connection, None)?;
    let all_are_kept = ever.returned + ever.failed == state.returned + state.failed;
    Ok(KeptSince {
        all: before_first(state.confirmed_evicted_to)?,
        unconfirmed: if all_are_kept { 0 } else { before_first(0)? },
    })
}
