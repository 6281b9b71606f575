//! What is asked about deliveries.

use rusqlite::{Connection, Row, params};

use super::super::checksum::Checksum;
use super::super::error::{Failure, Outcome};
use super::super::messages::text;
use super::super::state::{clock_offset_ms, stored_row};
use super::super::times::{stored_end, told_end};
use super::record;
use super::webhooks;
use crate::domain::{MessageId, WallTime};
use crate::store::{
    Delivery, DeliveryId, DeliveryStatus, EndpointId, LoggedDelivery, Recipient, Record, Tried,
};

/// Goes from one endpoint with something waiting to the next, whatever waits there.
const WAITING: &str = "WITH RECURSIVE waiting (endpoint) AS (
        SELECT min(endpoint) FROM deliveries WHERE next_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(deliveries.endpoint) FROM deliveries
            WHERE next_at IS NOT NULL AND deliveries.endpoint > waiting.endpoint)
        FROM waiting WHERE waiting.endpoint IS NOT NULL)
    SELECT endpoint, (SELECT min(next_at) FROM deliveries
            WHERE next_at IS NOT NULL AND deliveries.endpoint = waiting.endpoint) AS first
    FROM waiting JOIN endpoints ON endpoints.id = endpoint AND enabled
    ORDER BY first, endpoint LIMIT ?1";

const DUE: &str = "SELECT deliveries.id, url, attempts, next_at, checksum, record, row, random
    FROM deliveries JOIN endpoints ON endpoints.id = deliveries.endpoint AND endpoints.enabled
        LEFT JOIN (SELECT endpoint, row, random FROM webhooks) AS hooks
            ON hooks.endpoint = deliveries.endpoint
    WHERE deliveries.endpoint = ?1 AND next_at <= ?2 ORDER BY next_at, deliveries.id LIMIT ?3";

/// Within an index. What waits for a webhook that was deleted goes little by little, and is nobody's.
const COUNT_WAITING: &str = "SELECT count(*) FROM (SELECT 1 FROM deliveries
    WHERE next_at IS NOT NULL AND endpoint NOT IN (SELECT endpoint FROM leaving) LIMIT ?1)";

const LOG: &str =
    "SELECT id, status, next_at, attempts, tried_at, status_code, error, checksum, record
    FROM deliveries WHERE standing = 1 AND endpoint = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";

/// What a delivery's status is on disk.
pub(super) const WAITS: i64 = 0;
pub(super) const DELIVERED: i64 = 1;
pub(super) const FAILED: i64 = 2;

/// See [`crate::store::OutboxStore::waiting_endpoints`].
pub(in crate::store::sqlite) fn waiting_endpoints(
    connection: &Connection,
    max: usize,
) -> Outcome<Vec<(EndpointId, WallTime)>> {
    let offset_ms = clock_offset_ms(connection)?;
    let mut statement = connection.prepare_cached(WAITING)?;
    let rows = statement.query_map([limit(max)], |row| {
        let endpoint = EndpointId(row.get::<_, i64>(0)?.cast_unsigned());
        Ok((endpoint, told_end(row.get(1)?, offset_ms)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`crate::store::OutboxStore::waiting_deliveries`].
pub(in crate::store::sqlite) fn waiting_deliveries(
    connection: &Connection,
    max: usize,
) -> Outcome<usize> {
    let mut statement = connection.prepare_cached(COUNT_WAITING)?;
    let count: i64 = statement.query_row([limit(max)], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// See [`crate::store::OutboxStore::due_deliveries`].
pub(in crate::store::sqlite) fn due_deliveries(
    connection: &Connection,
    endpoint: EndpointId,
    now: WallTime,
    max: usize,
) -> Outcome<Vec<Delivery>> {
    let offset_ms = clock_offset_ms(connection)?;
    let mut statement = connection.prepare_cached(DUE)?;
    let asked = params![
        endpoint.0.cast_signed(),
        stored_end(now, offset_ms),
        limit(max)
    ];
    let mut rows = statement.query(asked)?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let id = DeliveryId(row.get::<_, i64>(0)?.cast_unsigned());
        let to = match (text(row, 1)?, row.get::<_, Option<i64>>(6)?) {
            (Some(url), _) => Recipient::Callback(url),
            (None, Some(number)) => {
                let random = row.get::<_, i64>(7)?.cast_unsigned();
                Recipient::Webhook(MessageId::from_parts(stored_row(number), random))
            }
            (None, None) => continue,
        };
        due.push(Delivery {
            id,
            endpoint,
            to,
            attempts: row.get(2)?,
            next_at: told_end(row.get(3)?, offset_ms),
            record: checked(row, 4, id)?,
        });
    }
    Ok(due)
}

/// See [`crate::store::OutboxStore::deliveries`].
pub(in crate::store::sqlite) fn log(
    connection: &Connection,
    webhook: MessageId,
    before: Option<DeliveryId>,
    max: usize,
) -> Outcome<Vec<LoggedDelivery>> {
    let Some(endpoint) = webhooks::endpoint(connection, webhook)? else {
        return Ok(Vec::new());
    };
    let offset_ms = clock_offset_ms(connection)?;
    let before = before.map_or(i64::MAX, |id| i64::try_from(id.0).unwrap_or(i64::MAX));
    let mut statement = connection.prepare_cached(LOG)?;
    let mut rows = statement.query(params![endpoint, before, limit(max)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(logged(row, offset_ms)?);
    }
    Ok(found)
}

fn logged(row: &Row<'_>, offset_ms: i64) -> Outcome<Option<LoggedDelivery>> {
    let id = DeliveryId(row.get::<_, i64>(0)?.cast_unsigned());
    let status = match (row.get(1)?, row.get(2)?) {
        (WAITS, Some(next_at)) => DeliveryStatus::Waiting {
            next_at: told_end(next_at, offset_ms),
        },
        (DELIVERED, None) => DeliveryStatus::Delivered,
        (FAILED, None) => DeliveryStatus::Failed,
        _ => return Err(damaged(id)),
    };
    let last = match row.get::<_, Option<i64>>(4)? {
        Some(at) => Some(Tried {
            at: time(at),
            status_code: row.get(5)?,
            error: text(row, 6)?,
        }),
        None => None,
    };
    let record = checked(row, 7, id)?;
    Ok(record.outcome.map(|outcome| LoggedDelivery {
        id,
        message: record.id,
        revision: outcome.revision,
        outcome: outcome.status,
        status,
        attempts: row.get(3).unwrap_or(0),
        last,
    }))
}

/// The record in the columns `checksum, record` of `row` from `at` on, if it was not altered.
pub(super) fn checked(row: &Row<'_>, at: usize, id: DeliveryId) -> Outcome<Record> {
    let blob = row.get_ref(at + 1)?.as_blob();
    let blob = blob.map_err(rusqlite::Error::from)?;
    if row.get::<_, u32>(at)? != checksum(blob) {
        return Err(damaged(id));
    }
    record::decode(blob).map_err(|_| damaged(id))
}

pub(super) fn checksum(blob: &[u8]) -> u32 {
    let mut sum = Checksum::new();
    sum.field(blob);
    sum.finish()
}

fn damaged(id: DeliveryId) -> Failure {
    Failure::Damaged(format!("the webhook delivery {}", id.0))
}

fn time(ms: i64) -> WallTime {
    WallTime::from_unix_ms(ms.cast_unsigned())
}

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}
