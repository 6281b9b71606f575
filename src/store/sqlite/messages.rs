//! Pending messages as rows of `pending`, and back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, params};

use super::callers::Names;
use super::checksum::Checksum;
use super::codec;
use super::error::{Failure, Outcome};
use super::state::{key, stored_row};
use crate::domain::{Caller, Draft, Message, MessageId, Properties, WallTime};
use crate::store::{Accepted, Pending, Record};

/// What [`insert`] runs.
pub(super) const INSERT: &str =
    "INSERT INTO pending (key, random, caller, checksum, footprint_bytes, accepted_at,
    mandatory, replays, exchange, routing_key, ordering_key, message_id, properties, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?12, ?13)";

/// The columns that [`recovered`] reads, in their order.
pub(super) const COLUMNS: &str = "key, random, caller, accepted_at, mandatory, exchange,
    routing_key, ordering_key, message_id, checksum, properties, payload";

/// The columns that [`record`] reads, in their order: of a pending message. Those of a settled one
/// start with the same.
pub(super) const RECORD_COLUMNS: &str = "key, random, caller, accepted_at, mandatory, replays,
    exchange, routing_key, ordering_key, message_id, length(payload)";

/// Keeps a message that is not kept yet. `statement` is [`INSERT`], prepared once for a batch;
/// `caller` is the number of the message's caller.
pub(super) fn insert(
    statement: &mut Statement<'_>,
    accepted: &Accepted,
    caller: i64,
) -> Outcome<()> {
    let Message {
        id,
        accepted_at,
        draft,
    } = &*accepted.message;
    let properties = codec::encode(&draft.properties);
    statement.execute(params![
        key(accepted.partition, id.row()),
        id.random().cast_signed(),
        caller,
        checksum(*id, *accepted_at, draft, properties.as_deref()),
        (accepted.message.footprint_bytes() as u64).cast_signed(),
        accepted_at.unix_ms().cast_signed(),
        draft.mandatory,
        draft.exchange,
        draft.routing_key,
        draft.ordering_key,
        draft.properties.message_id,
        properties,
        &draft.payload[..],
    ])?;
    Ok(())
}

/// Everything that is published, or decides what is published and who may see it. The caller without
/// a name adds nothing: so the sums of messages that are older than callers hold.
fn checksum(id: MessageId, accepted_at: WallTime, draft: &Draft, properties: Option<&[u8]>) -> u32 {
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
    sum.finish()
}

/// The message of a row of [`COLUMNS`].
pub(super) fn recovered(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Pending> {
    let random = row.get::<_, i64>(1)?.cast_unsigned();
    let id = MessageId::from_parts(stored_row(row.get(0)?), random);
    let accepted_at = WallTime::from_unix_ms(row.get::<_, i64>(3)?.cast_unsigned());
    let draft = Draft {
        caller: names.of(row.get(2)?)?,
        exchange: text(row, 5)?.unwrap_or_default(),
        routing_key: text(row, 6)?.unwrap_or_default(),
        mandatory: row.get(4)?,
        ordering_key: text(row, 7)?,
        properties: Properties {
            message_id: text(row, 8)?,
            ..Properties::default()
        },
        payload: Bytes::new(),
        terms: None,
    };
    let draft = with_body(id, accepted_at, draft, row, 9)?;
    Ok(Pending {
        turn: id.row().into(),
        replays: 0,
        message: Arc::new(Message {
            id,
            accepted_at,
            draft,
        }),
        duplicate_possible: false,
        attempts: 0,
    })
}

/// `draft` with what is stored apart from the record, in the columns `checksum, properties, payload`
/// of `row` from `at` on. What was altered is not handed out.
pub(super) fn with_body(
    id: MessageId,
    accepted_at: WallTime,
    draft: Draft,
    row: &Row<'_>,
    at: usize,
) -> Outcome<Draft> {
    let damaged = |what: &str| Failure::Damaged(format!("message {id}: {what}"));
    let blob = row.get_ref(at + 1)?;
    let blob = blob
        .as_blob_or_null()
        .map_err(|_| damaged("its properties are no blob"))?;
    let properties = codec::decode(blob)
        .map_err(|unreadable| damaged(&format!("its properties cannot be read: {unreadable}")))?;
    let payload = row.get_ref(at + 2)?;
    let payload = payload.as_blob().map_err(rusqlite::Error::from)?;
    let draft = Draft {
        properties: Properties {
            message_id: draft.properties.message_id,
            ..properties
        },
        payload: Bytes::copy_from_slice(payload),
        ..draft
    };
    if row.get::<_, u32>(at)? == checksum(id, accepted_at, &draft, blob) {
        Ok(draft)
    } else {
        Err(damaged("its checksum does not match"))
    }
}

/// The record of a row that starts with [`RECORD_COLUMNS`], without what is doubtful of it and
/// without its outcome.
pub(super) fn record(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Record> {
    let random = row.get::<_, i64>(1)?.cast_unsigned();
    Ok(Record {
        id: MessageId::from_parts(stored_row(row.get(0)?), random),
        caller: names.of(row.get(2)?)?,
        accepted_at: WallTime::from_unix_ms(row.get::<_, i64>(3)?.cast_unsigned()),
        mandatory: row.get(4)?,
        replays: row.get(5)?,
        exchange: text(row, 6)?.unwrap_or_default(),
        routing_key: text(row, 7)?.unwrap_or_default(),
        ordering_key: text(row, 8)?,
        message_id: text(row, 9)?,
        size_bytes: row.get::<_, i64>(10)?.cast_unsigned(),
        group: None,
        deliver_at: None,
        give_up_at: None,
        standing: None,
        doubt: None,
        outcome: None,
    })
}

/// A text that may be missing.
pub(super) fn text(row: &Row<'_>, at: usize) -> Outcome<Option<Box<str>>> {
    match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_str().map_err(rusqlite::Error::from)?.into())),
    }
}
