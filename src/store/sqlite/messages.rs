//! Whole messages as rows of `pending` and `scheduled`, and back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use super::callers::Names;
use super::checksum::Checksum;
use super::error::{Failure, Outcome};
use super::places::{self, Indexed};
use super::state::{key, row_number, stored_row, turn_of};
use super::times::{stored_end, stored_time};
use super::{codec, terms};
use crate::domain::{Caller, Draft, Due, Message, MessageId, Properties, RowId, Turn, WallTime};
use crate::store::Pending;

const INSERT: &str = "INSERT INTO pending (key, random, caller, checksum, footprint_bytes,
    accepted_at, mandatory, replays, row, give_up_at, label, terms, exchange, routing_key,
    ordering_key, message_id, properties, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

const INSERT_SCHEDULED: &str = "INSERT INTO scheduled (row, random, caller, checksum,
    footprint_bytes, accepted_at, mandatory, moves, due_at, label, terms, exchange, routing_key,
    ordering_key, message_id, properties, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

/// Asks for what [`recovered`] reads; a condition follows.
pub(super) const SELECT_PENDING: &str = "SELECT key, random, caller, accepted_at, mandatory,
    exchange, routing_key, ordering_key, message_id, checksum, properties, payload, label, terms,
    row, ifnull(replays, 0) FROM pending WHERE";

/// Asks for what [`message`] reads; a condition follows.
pub(super) const SELECT_SCHEDULED: &str = "SELECT row, random, caller, accepted_at, mandatory,
    exchange, routing_key, ordering_key, message_id, checksum, properties, payload, label, terms,
    NULL FROM scheduled WHERE";

/// Asks for what [`message`] reads, of those whose payload is kept; a condition follows.
pub(super) const SELECT_SETTLED: &str = "SELECT row, random, caller, accepted_at, mandatory,
    exchange, routing_key, ordering_key, message_id, checksum, properties, payload, label, terms,
    NULL FROM settled JOIN payloads USING (row) WHERE";

/// What a message is kept with, beside itself.
pub(super) struct With {
    /// The number of its caller.
    pub(super) caller: i64,
    /// The number of its label.
    pub(super) label: Option<i64>,
    /// The steps of the clock so far.
    pub(super) offset_ms: i64,
}

/// Where and how a message is pending.
pub(super) struct Going {
    pub(super) partition: u8,
    pub(super) turn: Turn,
    pub(super) replays: u32,
    pub(super) give_up_at: Option<WallTime>,
}

/// Keeps any message as pending.
pub(super) fn insert(
    connection: &Connection,
    message: &Message,
    with: &With,
    going: &Going,
) -> Outcome<()> {
    let draft = &message.draft;
    let properties = codec::encode(&draft.properties);
    let terms = terms::encode(draft.terms.as_deref());
    let (id, accepted_at) = (message.id, message.accepted_at);
    let give_up_at = places::stored_limit(going.give_up_at, with.offset_ms);
    let sum = checksum(
        id,
        accepted_at,
        draft,
        properties.as_deref(),
        terms.as_deref(),
    );
    connection.prepare_cached(INSERT)?.execute(params![
        key(going.partition, going.turn),
        id.random().cast_signed(),
        with.caller,
        sum,
        (message.footprint_bytes() as u64).cast_signed(),
        accepted_at.unix_ms().cast_signed(),
        draft.mandatory,
        going.replays,
        is_moved(id.row(), going.turn).then(|| row_number(id.row())),
        give_up_at,
        with.label,
        terms,
        draft.exchange,
        draft.routing_key,
        draft.ordering_key,
        draft.properties.message_id,
        properties,
        &draft.payload[..],
    ])?;
    let indexed = Indexed {
        row: id.row(),
        partition: going.partition,
        turn: going.turn,
        give_up_at,
    };
    places::keep(connection, &indexed)
}

/// Keeps a message until it is due.
pub(super) fn insert_scheduled(
    connection: &Connection,
    message: &Message,
    with: &With,
    due: Due,
) -> Outcome<()> {
    let draft = &message.draft;
    let properties = codec::encode(&draft.properties);
    let terms = terms::encode(draft.terms.as_deref());
    let (id, accepted_at) = (message.id, message.accepted_at);
    let sum = checksum(
        id,
        accepted_at,
        draft,
        properties.as_deref(),
        terms.as_deref(),
    );
    connection
        .prepare_cached(INSERT_SCHEDULED)?
        .execute(params![
            row_number(id.row()),
            id.random().cast_signed(),
            with.caller,
            sum,
            (message.footprint_bytes() as u64).cast_signed(),
            accepted_at.unix_ms().cast_signed(),
            draft.mandatory,
            due.moves,
            if due.moves {
                stored_end(due.at, with.offset_ms)
            } else {
                stored_time(due.at)
            },
            with.label,
            terms,
            draft.exchange,
            draft.routing_key,
            draft.ordering_key,
            draft.properties.message_id,
            properties,
            &draft.payload[..],
        ])?;
    Ok(())
}

/// Whether a message's turn is not its row.
pub(super) fn is_moved(row: RowId, turn: Turn) -> bool {
    turn != row.into()
}

/// Everything that is published, or decides what is published and who may see it. The caller without
/// a name adds nothing, nor does a message without terms: so the sums of messages that are older than
/// either hold.
pub(super) fn checksum(
    id: MessageId,
    accepted_at: WallTime,
    draft: &Draft,
    properties: Option<&[u8]>,
    terms: Option<&[u8]>,
) -> u32 {
    let mut sum = Checksum::new();
    sum.number(id.row().get());
    sum.number(id.random());
    sum.number(accepted_at.unix_ms());
    sum.number(u64::from(draft.mandatory));
    sum.field(draft.exchange.as_bytes());
    sum.field(draft.routing_key.as_bytes());
    sum.optional(draft.ordering_key.as_deref().map(str::as_bytes));
    sum.optional(draft.properties.message_id.as_deref().map(str::as_bytes));
    sum.optional(properties);
    sum.field(&draft.payload);
    if draft.caller != Caller::default() {
        sum.field(draft.caller.as_str().as_bytes());
    }
    if draft.terms.is_some() {
        sum.optional(terms);
        sum.optional(draft.group().map(str::as_bytes));
    }
    sum.finish()
}

/// The message of a row of [`SELECT_PENDING`], without what is doubtful of it.
pub(super) fn recovered(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Pending> {
    Ok(Pending {
        turn: turn_of(row.get(0)?),
        replays: row.get(15)?,
        message: Arc::new(message(row, names)?),
        duplicate_possible: false,
        attempts: 0,
    })
}

/// The message of a row of any of the above. What was altered is not handed out.
pub(super) fn message(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Message> {
    let number = match row.get(14)? {
        Some(number) => number,
        None => row.get(0)?,
    };
    let random = row.get::<_, i64>(1)?.cast_unsigned();
    let id = MessageId::from_parts(stored_row(number), random);
    let damaged = |what: &str| Failure::Damaged(format!("message {id}: {what}"));
    let accepted_at = WallTime::from_unix_ms(row.get::<_, i64>(3)?.cast_unsigned());
    let properties =
        (row.get_ref(10)?.as_blob_or_null()).map_err(|_| damaged("its properties are no blob"))?;
    let read = codec::decode(properties)
        .map_err(|unreadable| damaged(&format!("its properties cannot be read: {unreadable}")))?;
    let terms =
        (row.get_ref(13)?.as_blob_or_null()).map_err(|_| damaged("its terms are no blob"))?;
    let mut wished = terms::decode(terms)
        .map_err(|unreadable| damaged(&format!("its terms cannot be read: {unreadable}")))?;
    if let Some(label) = row.get(12)? {
        wished.group = Some(names.label(label)?);
    }
    let payload = row.get_ref(11)?.as_blob().map_err(rusqlite::Error::from)?;
    let draft = Draft {
        caller: names.of(row.get(2)?)?,
        exchange: text(row, 5)?.unwrap_or_default(),
        routing_key: text(row, 6)?.unwrap_or_default(),
        mandatory: row.get(4)?,
        ordering_key: text(row, 7)?,
        properties: Properties {
            message_id: text(row, 8)?,
            ..read
        },
        payload: Bytes::copy_from_slice(payload),
        terms: wished.boxed(),
    };
    if row.get::<_, u32>(9)? == checksum(id, accepted_at, &draft, properties, terms) {
        Ok(Message {
            id,
            accepted_at,
            draft,
        })
    } else {
        Err(damaged("its checksum does not match"))
    }
}

/// A text that may be missing.
pub(super) fn text(row: &Row<'_>, at: usize) -> Outcome<Option<Box<str>>> {
    match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_str().map_err(rusqlite::Error::from)?.into())),
    }
}
