//! Lists: newest first, a page at a time, and the oldest that is pending.
//!
//! Everything here is a merge of a few scans in the order of rows, each over a key: a scan for each
//! partition of `pending`, and either one over `settled` or, for what did not end well, over the
//! index of just those. No scan sorts, and none reads more than is taken from it; so a page costs
//! what it looks at, and times, which are the upper bits of rows, cost nothing.
//!
//! A page ends before a row, and the next one starts there. A message has one row for ever: whatever
//! becomes of it meanwhile, no two pages have it.

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::{CachedStatement, Connection, Row, Rows};

use super::callers::{self, Names};
use super::error::Outcome;
use super::lookup::doubt;
use super::messages;
use super::outcomes::status_code;
use super::records::{self, REASON, STATUS, settled_record};
use super::state::{PARTITIONS_MAX, State, key, stored_row};
use crate::domain::{Caller, MessageId, RowId, Status, WallTime};
use crate::store::{Filter, Oldest, Page, PageSize, Record};

/// Behind the last row that there can be.
const ROWS_END: u64 = 1 << 60;

/// For what is pending from one key to another, the first one first.
pub(super) const OLDEST: &str =
    "SELECT key, random, caller FROM pending WHERE key BETWEEN ?1 AND ?2 ORDER BY key";

/// Rows from `first` on and before `end`.
#[derive(Clone, Copy)]
struct Range {
    first: u64,
    end: u64,
}

impl Range {
    fn of(filter: &Filter, before: Option<RowId>) -> Self {
        let at = |time: WallTime| RowId::first_at(time).map_or(ROWS_END, RowId::get);
        let until = filter.until.map_or(ROWS_END, at);
        Self {
            first: filter.since.map_or(0, at),
            end: before.map_or(until, |before| until.min(before.get())),
        }
    }

    fn last(self) -> RowId {
        RowId::from_stored(self.end.saturating_sub(1))
    }
}

/// What a scan goes over.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Pending(u8),
    Settled,
    /// Returned or failed.
    Unconfirmed(Status),
}

impl Source {
    /// All that can have what `filter` asks for.
    fn all(filter: &Filter, state: &State) -> Vec<Self> {
        let wanted = |status| filter.status.is_none_or(|wanted| wanted == status);
        let mut sources = Vec::new();
        if wanted(Status::Pending) {
            sources.extend(Self::partitions(state));
        }
        // What was confirmed has no reason.
        if wanted(Status::Confirmed) && filter.reason.is_none() {
            sources.push(Self::Settled);
        } else {
            let ends = [Status::Returned, Status::Failed].into_iter();
            sources.extend(ends.filter(|end| wanted(*end)).map(Self::Unconfirmed));
        }
        sources
    }

    fn partitions(state: &State) -> impl Iterator<Item = Self> {
        (0_u8..)
            .zip(&state.pending[..PARTITIONS_MAX])
            .filter(|(_, facts)| facts.messages > 0)
            .map(|(partition, _)| Self::Pending(partition))
    }

    /// Asks for the rows of a range, the last one first.
    pub(super) fn sql(self) -> String {
        let (columns, from) = match self {
            Self::Pending(_) => (messages::RECORD_COLUMNS, "pending WHERE key"),
            Self::Settled => (records::COLUMNS, "settled WHERE row"),
            // Only what says that it is not confirmed may use the index.
            Self::Unconfirmed(_) => (
                records::COLUMNS,
                "settled WHERE status <> 1 AND status = ?3 AND row",
            ),
        };
        let key = columns.split(',').next().unwrap_or_default();
        format!("SELECT {columns} FROM {from} BETWEEN ?1 AND ?2 ORDER BY {key} DESC")
    }

    fn query<'a>(self, statement: &'a mut CachedStatement<'_>, range: Range) -> Outcome<Rows<'a>> {
        let (first, last) = (RowId::from_stored(range.first), range.last());
        let partition = match self {
            Self::Pending(partition) => partition,
            Self::Settled | Self::Unconfirmed(_) => 0,
        };
        let (first, last) = (key(partition, first), key(partition, last));
        Ok(match self {
            Self::Unconfirmed(status) => statement.query([first, last, status_code(status)])?,
            Self::Pending(_) | Self::Settled => statement.query([first, last])?,
        })
    }
}

/// A scan, at one of its rows.
struct Scan<'a> {
    source: Source,
    rows: Rows<'a>,
    row: Option<RowId>,
}

impl Scan<'_> {
    fn step(&mut self) -> Outcome<()> {
        let row = self.rows.next()?.map(|row| row.get(0)).transpose()?;
        self.row = row.map(stored_row);
        Ok(())
    }
}

/// A scan for each source, at its first row. `statements` are theirs.
fn start<'a>(
    sources: Vec<Source>,
    statements: &'a mut [CachedStatement<'_>],
    range: Range,
) -> Outcome<Vec<Scan<'a>>> {
    let scan = |(source, statement): (Source, &'a mut _)| {
        let rows = source.query(statement, range)?;
        let row = None;
        let mut scan = Scan { source, rows, row };
        scan.step()?;
        Ok(scan)
    };
    sources.into_iter().zip(statements).map(scan).collect()
}

/// See [`crate::store::ReadStore::list`].
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    before: Option<RowId>,
    size: PageSize,
) -> Outcome<Page> {
    let mut page = Page::default();
    let range = Range::of(filter, before);
    let wanted = Wanted::new(connection, filter)?;
    let Some(wanted) = wanted.filter(|_| range.first < range.end) else {
        return Ok(page);
    };
    let state = State::load(connection)?;
    let mut names = Names::new(connection)?;
    let sources = Source::all(filter, &state);
    let statements = (sources.iter()).map(|source| connection.prepare_cached(&source.sql()));
    let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
    let mut scans = start(sources, &mut statements, range)?;
    let (mut examined, mut last) = (0, None);
    while let Some(scan) = scans.iter_mut().max_by_key(|scan| scan.row)
        && let Some(at) = scan.row
    {
        if page.records.len() >= size.records_max.max(1) || examined >= size.examined_max.max(1) {
            page.next = last;
            break;
        }
        let pending = matches!(scan.source, Source::Pending(_));
        if let Some(row) = scan.rows.get()
            && wanted.fits(row, pending)?
        {
            let record = if pending {
                let doubt = doubt(connection, &state, at)?;
                Record {
                    doubt,
                    ..messages::record(row, &mut names)?
                }
            } else {
                settled_record(row, &mut names)?
            };
            page.records.push(record);
        }
        examined += 1;
        last = Some(at);
        scan.step()?;
    }
    Ok(page)
}

/// What [`Filter::matches`] asks of a record, asked of a row, so that nothing is made of rows that
/// do not match. Times are in the range.
struct Wanted<'a> {
    filter: &'a Filter,
    caller: Option<i64>,
}

impl<'a> Wanted<'a> {
    /// `None` when nothing can match, since nothing was ever accepted from the caller.
    fn new(connection: &Connection, filter: &'a Filter) -> Outcome<Option<Self>> {
        let caller = match &filter.caller {
            None => None,
            Some(caller) => match callers::number(connection, caller)? {
                None => return Ok(None),
                number => number,
            },
        };
        Ok(Some(Self { filter, caller }))
    }

    fn fits(&self, row: &Row<'_>, pending: bool) -> Outcome<bool> {
        let is = |at, wanted: Option<i64>| -> Outcome<bool> {
            Ok(wanted.is_none() || wanted == Some(row.get(at)?))
        };
        let says = |at, wanted: Option<&str>| -> Outcome<bool> {
            let Some(wanted) = wanted else {
                return Ok(true);
            };
            let text = row.get_ref(at)?.as_str_or_null();
            Ok(text.map_err(rusqlite::Error::from)? == Some(wanted))
        };
        let filter = self.filter;
        let fits = is(2, self.caller)?
            && says(6, filter.exchange.as_deref())?
            && says(7, filter.routing_key.as_deref())?;
        Ok(fits
            && (pending
                || (is(STATUS, filter.status.map(status_code))?
                    && says(REASON, filter.reason.map(crate::domain::ReasonCode::as_str))?)))
    }
}

/// See [`crate::store::ReadStore::oldest_pending`].
pub(super) fn oldest_pending(
    connection: &Connection,
    caller: Option<&Caller>,
    examined_max: usize,
) -> Outcome<Oldest> {
    if callers::tally(connection, caller)?.pending == 0 {
        return Ok(Oldest::None);
    }
    let wanted = match caller {
        Some(caller) => callers::number(connection, caller)?,
        None => None,
    };
    let state = State::load(connection)?;
    let partitions: Vec<_> = Source::partitions(&state).collect();
    let statements = (partitions.iter()).map(|_| connection.prepare_cached(OLDEST));
    let mut statements = statements.collect::<Result<Vec<_>, _>>()?;
    let all = Range {
        first: 0,
        end: ROWS_END,
    };
    let mut scans = start(partitions, &mut statements, all)?;
    let (mut examined, mut last) = (0, None);
    loop {
        let open = scans.iter_mut().filter(|scan| scan.row.is_some());
        let Some(scan) = open.min_by_key(|scan| scan.row) else {
            return Ok(Oldest::None);
        };
        if let Some(last) = last.filter(|_| examined >= examined_max) {
            return Ok(Oldest::After(last));
        }
        if let (Some(at), Some(row)) = (scan.row, scan.rows.get()) {
            if wanted.is_none() || wanted == Some(row.get(2)?) {
                let random = row.get::<_, i64>(1)?.cast_unsigned();
                return Ok(Oldest::Message(MessageId::from_parts(at, random)));
            }
            last = Some(at);
        }
        examined += 1;
        scan.step()?;
    }
}
