//! Pending messages as rows of `pending`, and back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement, params};

use super::checksum::Checksum;
use super::codec;
use super::error::{Failure, Outcome};
use super::state::{key, stored_row};
use crate::domain::{Draft, Message, MessageId, WallTime};
use crate::store::{Accepted, Record, Recovered};

/// What [`insert`] runs.
pub(super) const INSERT: &str =
    "INSERT INTO pending (key, random, checksum, footprint_bytes, accepted_at,
    mandatory, replays, exchange, routing_key, ordering_key, message_id, properties, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, ?11, ?12)";

/// The columns that [`recovered`] reads, in their order.
pub(super) const COLUMNS: &str = "key, random, checksum, accepted_at, mandatory, exchange,
    routing_key, ordering_key, message_id, properties, payload";

/// The columns that [`pending_record`] reads, in their order.
pub(super) const RECORD_COLUMNS: &str = "key, random, accepted_at, mandatory, replays, exchange,
    routing_key, ordering_key, message_id, length(payload)";

/// Keeps a message that is not kept yet. `statement` is [`INSERT`], prepared once for a batch.
pub(super) fn insert(statement: &mut Statement<'_>, accepted: &Accepted) -> Outcome<()> {
    let Message {
        id,
        accepted_at,
        draft,
    } = &*accepted.message;
    let properties = codec::encode(&draft.properties);
    statement.execute(params![
        key(accepted.partition, id.row()),
        id.random().cast_signed(),
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

/// Everything that is published or decides what is published.
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
    sum.finish()
}

/// The message of a row of [`COLUMNS`].
pub(super) fn recovered(row: &Row<'_>) -> Outcome<Recovered> {
    let key: i64 = row.get(0)?;
    let id = MessageId::from_parts(stored_row(key), row.get::<_, i64>(1)?.cast_unsigned());
    let damaged = |what: &str| Failure::Damaged(format!("the pending message {id}: {what}"));
    let blob = row.get_ref(9)?;
    let blob = blob
        .as_blob_or_null()
        .map_err(|_| damaged("its properties are no blob"))?;
    let mut properties = codec::decode(blob)
        .map_err(|unreadable| damaged(&format!("its properties cannot be read: {unreadable}")))?;
    properties.message_id = text(row, 8)?;
    let accepted_at = WallTime::from_unix_ms(row.get::<_, i64>(3)?.cast_unsigned());
    let draft = Draft {
        caller: crate::domain::Caller::default(),
        exchange: text(row, 5)?.unwrap_or_default(),
        routing_key: text(row, 6)?.unwrap_or_default(),
        mandatory: row.get(4)?,
        ordering_key: text(row, 7)?,
        properties,
        payload: Bytes::copy_from_slice(row.get_ref(10)?.as_blob().map_err(rusqlite::Error::from)?),
    };
    if row.get::<_, u32>(2)? != checksum(id, accepted_at, &draft, blob) {
        return Err(damaged("its checksum does not match"));
    }
    Ok(Recovered {
        message: Arc::new(Message {
            id,
            accepted_at,
            draft,
        }),
        duplicate_possible: false,
        attempts: 0,
    })
}

/// The record of a row of [`RECORD_COLUMNS`], without what is doubtful of it.
pub(super) fn pending_record(row: &Row<'_>) -> Outcome<Record> {
    let random = row.get::<_, i64>(1)?.cast_unsigned();
    Ok(Record {
        id: MessageId::from_parts(stored_row(row.get(0)?), random),
        caller: crate::domain::Caller::default(),
        accepted_at: WallTime::from_unix_ms(row.get::<_, i64>(2)?.cast_unsigned()),
        mandatory: row.get(3)?,
        replays: row.get(4)?,
        exchange: text(row, 5)?.unwrap_or_default(),
        routing_key: text(row, 6)?.unwrap_or_default(),
        ordering_key: text(row, 7)?,
        message_id: text(row, 8)?,
        size_bytes: row.get::<_, i64>(9)?.cast_unsigned(),
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
