//! Where a pending message is.
//!
//! The key of a pending message has its partition and its turn, and whoever settles it knows neither.
//! There is no index for it that every message would pay for: its turn is nearly always its row, and
//! the writer remembers the partitions of the messages accepted last.

use rusqlite::{OptionalExtension, Statement};

use super::error::Outcome;
use super::state::{PARTITIONS_MAX, key, partition_of, row_number, turn_of};
use super::writer::Work;
use crate::domain::{MessageId, Turn};

/// What [`pending`] runs first. Of a message that has nothing of what few have, `replays` is missing.
pub(super) const FIND: &str = "SELECT random, caller, footprint_bytes,
    octet_length(exchange) + octet_length(routing_key) + ifnull(octet_length(ordering_key), 0) +
    ifnull(octet_length(message_id), 0), length(payload) + ifnull(length(properties), 0),
    replays FROM pending WHERE key = ?1";

const FIND_RARE: &str = "SELECT label, give_up_at, octet_length(terms), row
    FROM pending WHERE key = ?1";

const FIND_LATER: &str = "SELECT place FROM later_turns WHERE message = ?1";

const FIND_SCHEDULED: &str = "SELECT random, caller, footprint_bytes,
    octet_length(exchange) + octet_length(routing_key) + ifnull(octet_length(ordering_key), 0) +
    ifnull(octet_length(message_id), 0), length(payload) + ifnull(length(properties), 0), 0
    FROM scheduled WHERE row = ?1";

const FIND_RARE_SCHEDULED: &str = "SELECT label, NULL, octet_length(terms), NULL
    FROM scheduled WHERE row = ?1";

/// The place of a pending message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Turn {
        partition: u8,
        turn: Turn,
        /// The turn is not the row.
        is_moved: bool,
    },
    Scheduled,
}

/// A pending message, as far as one must know it to settle it.
pub(super) struct Found {
    pub(super) place: Place,
    /// The number of its caller.
    pub(super) caller: i64,
    pub(super) footprint_bytes: u64,
    /// Bytes of what is kept of it when it has ended.
    pub(super) text_bytes: u64,
    /// Bytes of its payload and properties.
    pub(super) body_bytes: u64,
    /// What few messages have; `None` for one that has nothing of it.
    pub(super) rare: Option<Rare>,
}

/// What few messages have.
#[derive(Clone, Copy, Default)]
pub(super) struct Rare {
    pub(super) replays: u32,
    /// The number of its label.
    pub(super) label: Option<i64>,
    /// As stored; see `times.rs`. Not known of scheduled ones.
    pub(super) give_up_at: Option<i64>,
    /// Whether it has terms beside a label.
    pub(super) has_terms: bool,
}

impl Found {
    pub(super) fn replays(&self) -> u32 {
        self.rare.map_or(0, |rare| rare.replays)
    }

    /// The number of its label.
    pub(super) fn label(&self) -> Option<i64> {
        self.rare?.label
    }
}

/// The pending message of this id. `statement` is [`FIND`].
pub(super) fn pending(
    statement: &mut Statement<'_>,
    work: &Work<'_>,
    id: MessageId,
) -> Outcome<Option<Found>> {
    let guess = work.recent.guess(id);
    if let Some(found) = at_its_row(statement, work, guess, id)? {
        return Ok(if_it_is(found, id));
    }
    if work.state.moved > 0 {
        let mut later = work.connection.prepare_cached(FIND_LATER)?;
        let place = later.query_row([row_number(id.row())], |row| row.get(0));
        if let Some(key) = place.optional()? {
            let place = Place::Turn {
                partition: partition_of(key),
                turn: turn_of(key),
                is_moved: true,
            };
            let found = at(statement, work, FIND_RARE, key, place)?;
            return Ok(found.and_then(|(found, _)| if_it_is(found, id)));
        }
    }
    let others = (0_u8..).zip(&work.state.pending[..PARTITIONS_MAX]);
    let others = others.filter(|(partition, facts)| *partition != guess && facts.messages > 0);
    for (partition, _) in others {
        if let Some(found) = at_its_row(statement, work, partition, id)? {
            return Ok(if_it_is(found, id));
        }
    }
    if work.state.scheduled.messages > 0 {
        return scheduled(work, id);
    }
    Ok(None)
}

/// The message of a partition whose turn is its row, and the random rest of its id.
fn at_its_row(
    statement: &mut Statement<'_>,
    work: &Work<'_>,
    partition: u8,
    id: MessageId,
) -> Outcome<Option<(u64, Found)>> {
    let turn = id.row().into();
    let place = Place::Turn {
        partition,
        turn,
        is_moved: false,
    };
    let found = at(statement, work, FIND_RARE, key(partition, turn), place)?;
    Ok(found.and_then(|(found, is_moved)| (!is_moved).then_some(found)))
}

/// What was found, unless it is another message, whose id has another random rest.
fn if_it_is((random, found): (u64, Found), id: MessageId) -> Option<Found> {
    (random == id.random()).then_some(found)
}

/// The scheduled message of this id.
pub(super) fn scheduled(work: &Work<'_>, id: MessageId) -> Outcome<Option<Found>> {
    let mut statement = work.connection.prepare_cached(FIND_SCHEDULED)?;
    let row = row_number(id.row());
    let found = at(
        &mut statement,
        work,
        FIND_RARE_SCHEDULED,
        row,
        Place::Scheduled,
    )?;
    Ok(found.and_then(|(found, _)| if_it_is(found, id)))
}

/// The message at a key, the random rest of its id, and whether its turn is not its row. `rare` asks
/// for what few have.
fn at(
    statement: &mut Statement<'_>,
    work: &Work<'_>,
    rare: &str,
    key: i64,
    place: Place,
) -> Outcome<Option<((u64, Found), bool)>> {
    let found = statement.query_row([key], |row| {
        let count = |at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
        let found = Found {
            place,
            caller: row.get(1)?,
            footprint_bytes: count(2)?,
            text_bytes: count(3)?,
            body_bytes: count(4)?,
            rare: row.get::<_, Option<u32>>(5)?.map(|replays| Rare {
                replays,
                ..Rare::default()
            }),
        };
        Ok((count(0)?, found))
    });
    let Some((random, mut found)) = found.optional()? else {
        return Ok(None);
    };
    let mut is_moved = false;
    if let Some(has) = &mut found.rare {
        let mut statement = work.connection.prepare_cached(rare)?;
        statement.query_row([key], |row| {
            let terms_bytes: Option<i64> = row.get(2)?;
            found.text_bytes += terms_bytes.unwrap_or(0).cast_unsigned();
            is_moved = row.get::<_, Option<i64>>(3)?.is_some();
            has.label = row.get(0)?;
            has.give_up_at = row.get(1)?;
            has.has_terms = terms_bytes.is_some();
            Ok(())
        })?;
    }
    Ok(Some(((random, found), is_moved)))
}

/// Whether a message is pending.
pub(super) fn is_pending(work: &Work<'_>, id: MessageId) -> Outcome<bool> {
    let mut statement = work.connection.prepare_cached(FIND)?;
    Ok(pending(&mut statement, work, id)?.is_some())
}

/// Whether a message is pending and has a turn.
pub(super) fn has_turn(work: &Work<'_>, id: MessageId) -> Outcome<bool> {
    let mut statement = work.connection.prepare_cached(FIND)?;
    let found = pending(&mut statement, work, id)?;
    Ok(found.is_some_and(|found| found.place != Place::Scheduled))
}
