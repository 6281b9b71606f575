//! What is kept of single messages: by id, one or many, and their payloads.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::callers::Names;
use super::error::Outcome;
use super::messages::{self, SELECT_PENDING, SELECT_SCHEDULED, SELECT_SETTLED};
use super::records::{self, pending_record, scheduled_record, settled_record};
use super::state::{PARTITIONS_MAX, State, key, row_number};
use crate::domain::{Message, MessageId, RowId, Status, Turn};
use crate::store::{Lookup, Payload, PayloadLookup, Record};

/// Where a message was found.
enum Place {
    Settled,
    Pending { key: i64 },
    Scheduled,
}

/// Statements and counters for many look-ups within one transaction.
pub(super) struct Lookups<'a> {
    connection: &'a Connection,
    state: State,
    settled: CachedStatement<'a>,
    pending: CachedStatement<'a>,
    names: Names<'a>,
}

impl<'a> Lookups<'a> {
    pub(super) fn new(connection: &'a Connection) -> Outcome<Self> {
        let settled = format!("SELECT {} FROM settled WHERE row = ?1", records::SETTLED);
        let pending = format!(
            "SELECT {} FROM pending WHERE key = ?1 AND row IS NULL",
            records::PENDING
        );
        Ok(Self {
            connection,
            state: State::load(connection)?,
            settled: connection.prepare_cached(&settled)?,
            pending: connection.prepare_cached(&pending)?,
            names: Names::new(connection)?,
        })
    }

    /// See [`crate::store::ReadStore::get`].
    pub(super) fn get(&mut self, id: MessageId) -> Outcome<Lookup> {
        Ok(match self.find(id.row())? {
            Some((record, _)) if record.id == id => Lookup::Found(Box::new(record)),
            None if self.is_forgotten(id.row()) => Lookup::Expired,
            Some(_) | None => Lookup::NotFound,
        })
    }

    /// See [`crate::store::ReadStore::get_many`]. In the order of rows most of them are on a page
    /// that was read for the one before, or beside it.
    pub(super) fn get_many(&mut self, ids: &[MessageId]) -> Outcome<Vec<Lookup>> {
        let mut by_row: Vec<_> = ids.iter().copied().enumerate().collect();
        by_row.sort_unstable_by_key(|(_, id)| id.row());
        let mut found = vec![Lookup::NotFound; ids.len()];
        for (at, id) in by_row {
            if let Some(place) = found.get_mut(at) {
                *place = self.get(id)?;
            }
        }
        Ok(found)
    }

    /// See [`crate::store::ReadStore::payload`].
    pub(super) fn payload(&mut self, id: MessageId) -> Outcome<PayloadLookup> {
        let (record, place) = match self.find(id.row())? {
            Some((record, place)) if record.id == id => (record, place),
            None if self.is_forgotten(id.row()) => return Ok(PayloadLookup::Expired),
            Some(_) | None => return Ok(PayloadLookup::NotFound),
        };
        let row = row_number(id.row());
        let message = match place {
            Place::Pending { key } => self.whole(&format!("{SELECT_PENDING} key = ?1"), key)?,
            Place::Scheduled => self.whole(&format!("{SELECT_SCHEDULED} row = ?1"), row)?,
            Place::Settled if is_confirmed(&record) => None,
            Place::Settled => self.whole(&format!("{SELECT_SETTLED} settled.row = ?1"), row)?,
        };
        let mut payload = Payload {
            caller: record.caller,
            content_type: None,
            content_encoding: None,
            bytes: None,
        };
        if let Some(draft) = message.map(|message| message.draft) {
            payload.content_type = draft.properties.content_type;
            payload.content_encoding = draft.properties.content_encoding;
            payload.bytes = Some(draft.payload);
        }
        Ok(PayloadLookup::Found(Box::new(payload)))
    }

    fn is_forgotten(&self, row: RowId) -> bool {
        self.state.horizon.is_some_and(|horizon| row <= horizon)
    }

    fn find(&mut self, row: RowId) -> Outcome<Option<(Record, Place)>> {
        let mut rows = self.settled.query([row_number(row)])?;
        if let Some(found) = rows.next()? {
            let record = settled_record(found, &mut self.names)?;
            return Ok(Some((record, Place::Settled)));
        }
        let (connection, state) = (self.connection, &self.state);
        // The partition is not known, so each that has something is asked: what that costs is less
        // than an index would cost every message.
        let partitions = (0_u8..).zip(&state.pending[..PARTITIONS_MAX]);
        for (partition, _) in partitions.filter(|(_, facts)| facts.messages > 0) {
            let key = key(partition, row.into());
            let mut rows = self.pending.query([key])?;
            if let Some(found) = rows.next()? {
                let record = with_doubt(connection, state, found, &mut self.names)?;
                return Ok(Some((record, Place::Pending { key })));
            }
        }
        if state.moved > 0 {
            let sql = format!(
                "SELECT {} FROM later_turns CROSS JOIN pending ON key = place WHERE message = ?1",
                records::PENDING
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([row_number(row)])?;
            if let Some(found) = rows.next()? {
                let record = with_doubt(connection, state, found, &mut self.names)?;
                let key = found.get(0)?;
                return Ok(Some((record, Place::Pending { key })));
            }
        }
        if state.scheduled.messages > 0 {
            let sql = format!(
                "SELECT {} FROM scheduled WHERE row = ?1",
                records::SCHEDULED
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([row_number(row)])?;
            if let Some(found) = rows.next()? {
                let record = scheduled_record(found, &mut self.names, state.clock_offset_ms)?;
                return Ok(Some((record, Place::Scheduled)));
            }
        }
        Ok(None)
    }

    /// The message that `sql` asks for by `key`, if all of it is kept.
    fn whole(&mut self, sql: &str, key: i64) -> Outcome<Option<Message>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([key])?;
        let found = rows.next()?;
        let message = found.map(|row| messages::message(row, &mut self.names));
        message.transpose()
    }
}

fn is_confirmed(record: &Record) -> bool {
    (record.outcome.as_ref()).is_some_and(|outcome| outcome.status == Status::Confirmed)
}

/// The record of a row of [`records::PENDING`].
pub(super) fn with_doubt(
    connection: &Connection,
    state: &State,
    row: &Row<'_>,
    names: &mut Names<'_>,
) -> Outcome<Record> {
    let record = pending_record(row, names, state.clock_offset_ms)?;
    let turn = record.standing.map(|standing| standing.turn);
    let doubt = match turn {
        Some(turn) => doubt(connection, state, turn, record.id.row())?,
        None => None,
    };
    Ok(Record { doubt, ..record })
}

/// Hand-overs as last noted of a pending message that is doubtful; 0 when only the crash is known.
pub(super) fn doubt(
    connection: &Connection,
    state: &State,
    turn: Turn,
    row: RowId,
) -> Outcome<Option<u32>> {
    let crashed = state.doubtful_to.is_some_and(|to| turn <= to).then_some(0);
    if state.notes == 0 {
        return Ok(crashed);
    }
    let note = "SELECT attempts FROM notes WHERE row = ?1";
    let noted = connection
        .prepare_cached(note)?
        .query_row([row_number(row)], |row| row.get(0));
    Ok(noted.optional()?.or(crashed))
}
