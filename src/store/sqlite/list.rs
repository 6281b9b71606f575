//! Lists: a page at a time, newest or oldest first, and the oldest that is pending.
//!
//! Everything here is a merge of a few scans (`sources.rs`); so a page costs what it looks at.
//!
//! A page ends before a row, and the next one starts there. A message has one row for ever: whatever
//! becomes of it meanwhile, no two pages have it.

use rusqlite::{Connection, Row};

use super::callers::{self, Names};
use super::error::Outcome;
use super::groups;
use super::lookup::with_doubt;
use super::outcomes::status_code;
use super::records::{
    CALLER, EXCHANGE, LABEL, POSITION, REASON, ROUTING_KEY, STATUS, scheduled_record,
    settled_record,
};
use super::sources::{Order, Range, Scan, Source, next, prepare, start};
use super::state::State;
use crate::domain::{Caller, MessageId, ReasonCode, RowId};
use crate::store::{Filter, Oldest, Page, PageSize, Record};

/// See [`crate::store::ReadStore::list`].
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    before: Option<RowId>,
    size: PageSize,
) -> Outcome<Page> {
    let range = Range::of(filter).before(before);
    let all = |state: &State| Source::all(filter, state);
    page(connection, filter, range, size, Order::Newest, all)
}

/// See [`crate::store::ReadStore::unconfirmed`].
pub(super) fn unconfirmed(
    connection: &Connection,
    filter: &Filter,
    after: Option<RowId>,
    size: PageSize,
) -> Outcome<Page> {
    let range = Range::of(filter).after(after);
    let ends = |_: &State| Source::unconfirmed(filter).collect();
    page(connection, filter, range, size, Order::Oldest, ends)
}

fn page(
    connection: &Connection,
    filter: &Filter,
    range: Range,
    size: PageSize,
    order: Order,
    sources: impl FnOnce(&State) -> Vec<Source>,
) -> Outcome<Page> {
    let mut page = Page::default();
    let wanted = Wanted::new(connection, filter)?;
    let Some(wanted) = wanted.filter(|_| !range.is_empty()) else {
        return Ok(page);
    };
    let state = State::load(connection)?;
    let mut names = Names::new(connection)?;
    let sources = sources(&state);
    let mut statements = prepare(connection, &sources, order)?;
    let mut scans = start(sources, &mut statements, range)?;
    let (mut examined, mut last) = (0, None);
    while let Some(scan) = next(&mut scans, order) {
        if page.records.len() >= size.records_max.max(1) || examined >= size.examined_max.max(1) {
            page.next = last;
            break;
        }
        if !scan.is_elsewhere()? && wanted.fits(scan)? {
            (page.records).extend(record(connection, &state, scan, &mut names)?);
        }
        examined += 1;
        last = scan.at;
        scan.step()?;
    }
    Ok(page)
}

fn record(
    connection: &Connection,
    state: &State,
    scan: &Scan<'_>,
    names: &mut Names<'_>,
) -> Outcome<Option<Record>> {
    let Some(row) = scan.row() else {
        return Ok(None);
    };
    let record = match scan.source {
        Source::Pending(_) | Source::Moved => with_doubt(connection, state, row, names)?,
        Source::Scheduled => scheduled_record(row, names, state.clock_offset_ms)?,
        Source::Settled | Source::Unconfirmed(_) => settled_record(row, names)?,
    };
    Ok(Some(record))
}

/// What [`Filter::matches`] asks of a record, asked of a row, so that nothing is made of rows that
/// do not match. Times are in the range.
struct Wanted<'a> {
    filter: &'a Filter,
    caller: Option<i64>,
    /// Numbers of the label, one for each caller that has it.
    labels: Option<Vec<i64>>,
}

impl<'a> Wanted<'a> {
    /// `None` when nothing can match, since nothing was ever accepted from the caller, or nothing is
    /// kept with the label.
    fn new(connection: &Connection, filter: &'a Filter) -> Outcome<Option<Self>> {
        let caller = match &filter.caller {
            None => None,
            Some(caller) => match callers::number(connection, caller)? {
                None => return Ok(None),
                number => number,
            },
        };
        let labels = match &filter.group {
            None => None,
            Some(label) => Some(groups::numbers(connection, caller, label)?),
        };
        if labels.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        Ok(Some(Self {
            filter,
            caller,
            labels,
        }))
    }

    fn fits(&self, scan: &Scan<'_>) -> Outcome<bool> {
        let Some(row) = scan.row() else {
            return Ok(false);
        };
        let filter = self.filter;
        let fits = is(row, CALLER, self.caller)?
            && says(row, EXCHANGE, filter.exchange.as_deref())?
            && says(row, ROUTING_KEY, filter.routing_key.as_deref())?;
        if !fits {
            return Ok(false);
        }
        if let Some(labels) = &self.labels {
            let label: Option<i64> = row.get(LABEL)?;
            if !label.is_some_and(|label| labels.contains(&label)) {
                return Ok(false);
            }
        }
        match scan.source {
            Source::Pending(_) | Source::Moved | Source::Scheduled => Ok(true),
            Source::Settled | Source::Unconfirmed(_) => {
                let position = row.get::<_, i64>(POSITION)?.cast_unsigned();
                Ok(is(row, STATUS, filter.status.map(status_code))?
                    && says(row, REASON, filter.reason.map(ReasonCode::as_str))?
                    && filter.settled_to.is_none_or(|to| position <= to))
            }
        }
    }
}

fn is(row: &Row<'_>, at: usize, wanted: Option<i64>) -> Outcome<bool> {
    Ok(wanted.is_none() || wanted == Some(row.get(at)?))
}

fn says(row: &Row<'_>, at: usize, wanted: Option<&str>) -> Outcome<bool> {
    let Some(wanted) = wanted else {
        return Ok(true);
    };
    let text = row.get_ref(at)?.as_str_or_null();
    Ok(text.map_err(rusqlite::Error::from)? == Some(wanted))
}

/// See [`crate::store::ReadStore::oldest_pending`]. A message whose turn is not its row is met a second
/// time at its turn, which is later: it was counted before.
pub(super) fn oldest_pending(
    connection: &Connection,
    caller: Option<&Caller>,
    examined_max: usize,
) -> Outcome<Oldest> {
    if callers::with_turn(connection, caller)? == 0 {
        return Ok(Oldest::None);
    }
    let wanted = match caller {
        Some(caller) => callers::number(connection, caller)?,
        None => None,
    };
    let state = State::load(connection)?;
    let sources: Vec<_> = Source::with_turn(&state).collect();
    let mut statements = prepare(connection, &sources, Order::Oldest)?;
    let mut scans = start(sources, &mut statements, Range::ALL)?;
    let (mut examined, mut last) = (0, None);
    while let Some(scan) = next(&mut scans, Order::Oldest) {
        if scan.is_elsewhere()? {
            scan.step()?;
            continue;
        }
        if let Some(last) = last.filter(|_| examined >= examined_max) {
            return Ok(Oldest::After(last));
        }
        if let (Some(at), Some(row)) = (scan.at, scan.row()) {
            if is(row, CALLER, wanted)? {
                let random = row.get::<_, i64>(1)?.cast_unsigned();
                return Ok(Oldest::Message(MessageId::from_parts(at, random)));
            }
            last = Some(at);
        }
        examined += 1;
        scan.step()?;
    }
    Ok(Oldest::None)
}
