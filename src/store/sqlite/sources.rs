//! What lists are read from: scans in the order of rows, each over a key or an index.
//!
//! No scan sorts, and none reads more than is taken from it. Times are the upper bits of rows, so a
//! range of times is a range of rows and costs nothing.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::{CachedStatement, Connection, Row, Rows};

use super::error::Outcome;
use super::outcomes::status_code;
use super::records::{self, MOVED_ROW};
use super::state::{PARTITIONS_MAX, State, key, row_number, stored_row};
use crate::domain::{RowId, Status, WallTime};
use crate::store::Filter;

/// Behind the last row that there can be.
const ROWS_END: u64 = 1 << 60;

/// Rows from `first` on and before `end`.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) first: u64,
    pub(super) end: u64,
}

impl Range {
    /// Every row.
    pub(super) const ALL: Self = Self {
        first: 0,
        end: ROWS_END,
    };

    /// What a filter leaves by time.
    pub(super) fn of(filter: &Filter) -> Self {
        let at = |time: WallTime| RowId::first_at(time).map_or(ROWS_END, RowId::get);
        Self {
            first: filter.since.map_or(0, at),
            end: filter.until.map_or(ROWS_END, at),
        }
    }

    pub(super) fn before(self, row: Option<RowId>) -> Self {
        let end = row.map_or(self.end, |row| self.end.min(row.get()));
        Self { end, ..self }
    }

    pub(super) fn after(self, row: Option<RowId>) -> Self {
        let first = row.map_or(self.first, |row| self.first.max(row.get() + 1));
        Self { first, ..self }
    }

    pub(super) fn is_empty(self) -> bool {
        self.first >= self.end
    }

    fn last(self) -> RowId {
        RowId::from_stored(self.end.saturating_sub(1))
    }
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Oldest,
    Newest,
}

/// What a scan goes over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The pending messages of a partition by their turns, which are their rows; those of which it
    /// is not so are met too and passed over.
    Pending(u8),
    /// The pending messages whose turn is not their row.
    Moved,
    Scheduled,
    Settled,
    /// Returned or failed.
    Unconfirmed(Status),
}

impl Source {
    /// Everything that can have what `filter` asks for.
    pub(super) fn all(filter: &Filter, state: &State) -> Vec<Self> {
        let wanted = |status| filter.status.is_none_or(|wanted| wanted == status);
        let mut sources = Vec::new();
        if wanted(Status::Pending) {
            sources.extend(Self::with_turn(state));
            if state.scheduled.messages > 0 {
                sources.push(Self::Scheduled);
            }
        }
        // What was confirmed has no reason.
        if wanted(Status::Confirmed) && filter.reason.is_none() {
            sources.push(Self::Settled);
        } else {
            sources.extend(Self::unconfirmed(filter));
        }
        sources
    }

    /// Everything that can have what `filter` asks for of the returned and failed messages.
    pub(super) fn unconfirmed(filter: &Filter) -> impl Iterator<Item = Self> {
        let ends = [Status::Returned, Status::Failed].into_iter();
        let wanted = filter.status;
        ends.filter(move |end| wanted.is_none_or(|wanted| wanted == *end))
            .map(Self::Unconfirmed)
    }

    /// Everything pending that has a turn.
    pub(super) fn with_turn(state: &State) -> impl Iterator<Item = Self> {
        (0_u8..)
            .zip(&state.pending[..PARTITIONS_MAX])
            .filter(|(_, facts)| facts.messages > 0)
            .map(|(partition, _)| Self::Pending(partition))
            .chain((state.moved > 0).then_some(Self::Moved))
    }

    /// Asks for the rows of a range.
    pub(super) fn sql(self, order: Order) -> String {
        let (columns, from, by) = match self {
            Self::Pending(_) => (records::PENDING, "pending WHERE key", "key"),
            Self::Moved => (
                records::PENDING,
                "later_turns CROSS JOIN pending ON key = place WHERE message",
                "message",
            ),
            Self::Scheduled => (records::SCHEDULED, "scheduled WHERE row", "row"),
            Self::Settled => (records::SETTLED, "settled WHERE row", "row"),
            // Only what says that it is not confirmed may use the index.
            Self::Unconfirmed(_) => (
                records::SETTLED,
                "settled WHERE status <> 1 AND status = ?3 AND row",
                "row",
            ),
        };
        let order = match order {
            Order::Oldest => "ASC",
            Order::Newest => "DESC",
        };
        format!("SELECT {columns} FROM {from} BETWEEN ?1 AND ?2 ORDER BY {by} {order}")
    }

    fn query<'a>(self, statement: &'a mut CachedStatement<'_>, range: Range) -> Outcome<Rows<'a>> {
        let (first, last) = (RowId::from_stored(range.first), range.last());
        Ok(match self {
            Self::Pending(partition) => {
                statement.query([key(partition, first.into()), key(partition, last.into())])?
            }
            Self::Unconfirmed(status) => {
                statement.query([row_number(first), row_number(last), status_code(status)])?
            }
            Self::Moved | Self::Scheduled | Self::Settled => {
                statement.query([row_number(first), row_number(last)])?
            }
        })
    }
}

/// A scan, at one of its rows.
pub(super) struct Scan<'a> {
    pub(super) source: Source,
    rows: Rows<'a>,
    /// Where it is, in the order of rows; nowhere once it is at its end.
    pub(super) at: Option<RowId>,
}

impl Scan<'_> {
    /// The row that it is at.
    pub(super) fn row(&self) -> Option<&Row<'_>> {
        self.rows.get()
    }

    /// Whether its row is one that another scan has at its own place.
    pub(super) fn is_elsewhere(&self) -> Outcome<bool> {
        match (self.source, self.row()) {
            (Source::Pending(_), Some(row)) => Ok(row.get::<_, Option<i64>>(MOVED_ROW)?.is_some()),
            _ => Ok(false),
        }
    }

    pub(super) fn step(&mut self) -> Outcome<()> {
        let at = if matches!(self.source, Source::Moved) {
            MOVED_ROW
        } else {
            0
        };
        let row = self.rows.next()?.map(|row| row.get(at)).transpose()?;
        self.at = row.map(stored_row);
        Ok(())
    }
}

/// The statements of scans.
pub(super) fn prepare<'a>(
    connection: &'a Connection,
    sources: &[Source],
    order: Order,
) -> Outcome<Vec<CachedStatement<'a>>> {
    let statements = (sources.iter()).map(|source| connection.prepare_cached(&source.sql(order)));
    Ok(statements.collect::<Result<_, _>>()?)
}

/// A scan for each source, at its first row. `statements` are theirs.
pub(super) fn start<'a>(
    sources: Vec<Source>,
    statements: &'a mut [CachedStatement<'_>],
    range: Range,
) -> Outcome<Vec<Scan<'a>>> {
    let scan = |(source, statement): (Source, &'a mut _)| {
        let rows = source.query(statement, range)?;
        let mut scan = Scan {
            source,
            rows,
            at: None,
        };
        scan.step()?;
        Ok(scan)
    };
    sources.into_iter().zip(statements).map(scan).collect()
}

/// The scan whose row comes next.
pub(super) fn next<'s, 'a>(scans: &'s mut [Scan<'a>], order: Order) -> Option<&'s mut Scan<'a>> {
    let open = scans.iter_mut().filter(|scan| scan.at.is_some());
    match order {
        Order::Oldest => open.min_by_key(|scan| scan.at),
        Order::Newest => open.max_by_key(|scan| scan.at),
    }
}
