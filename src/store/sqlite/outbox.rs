//! The outbox of webhooks: deliveries are kept in the transaction of the outcome that they tell.
//!
//! A message without a `callback_url`, of a caller without webhooks, costs nothing here: the writer
//! knows all webhooks by heart.

mod check;
mod endpoints;
mod read;
mod record;
mod tables;
mod webhooks;

use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

pub(super) use check::problems;
pub(super) use read::{due_deliveries, log, waiting_deliveries, waiting_endpoints};
pub(super) use tables::VERSION_4;

use super::callers::Callers;
use super::error::Outcome;
use super::times::stored_end;
use crate::domain::{Caller, MessageId, Status};
use crate::store::{DeliveryId, DeliveryStatus, OutboxChange, Record, Tried, Webhook};
use endpoints::Endpoints;
use webhooks::Standing;

/// Deliveries of a webhook that are kept after they have ended.
const ENDED_KEPT: i64 = 1000;
/// So many more may be kept before some go.
const ENDED_BEYOND: u32 = 256;
/// Rows that go in one slice of upkeep.
const SLICE: i64 = 1024;

const ADD: &str = "INSERT INTO deliveries (endpoint, standing, status, next_at, attempts, url,
    checksum, record) VALUES (?1, ?2, 0, ?3, 0, ?4, ?5, ?6)";

const FIND: &str = "SELECT endpoint, standing FROM deliveries WHERE id = ?1";

const TRIED: &str =
    "UPDATE deliveries SET attempts = attempts + 1, tried_at = ?2, status_code = ?3,
    error = ?4, status = ?5, next_at = ?6 WHERE id = ?1";

const RESEND: &str =
    "UPDATE deliveries SET status = 0, next_at = ?2 WHERE id = ?1 AND standing = 1";

const DROP: &str = "DELETE FROM deliveries WHERE id = ?1";

const PRUNE: &str =
    "DELETE FROM deliveries WHERE standing = 1 AND next_at IS NULL AND endpoint = ?1
    AND id <= (SELECT id FROM deliveries WHERE standing = 1 AND next_at IS NULL AND endpoint = ?1
        ORDER BY id DESC LIMIT 1 OFFSET ?2)";

/// What the writer knows by heart. After a transaction that failed it is read again.
#[derive(Default)]
pub(super) struct Outbox {
    webhooks: Option<Vec<Standing>>,
    endpoints: Endpoints,
    /// Deliveries that have ended since some went, by endpoint.
    ended: FxHashMap<i64, u32>,
    /// The last commit has added deliveries.
    pub(super) has_added: bool,
}

impl Outbox {
    /// The transaction has ended.
    pub(super) fn ended(&mut self, committed: bool) {
        if !committed {
            *self = Self::default();
        }
    }

    fn webhooks(&mut self, connection: &Connection) -> Outcome<&mut Vec<Standing>> {
        let known = match self.webhooks.take() {
            Some(known) => known,
            None => webhooks::all(connection, None)?,
        };
        Ok(self.webhooks.insert(known))
    }

    /// Whether a webhook may want to be told of this end of a message of the caller with this number.
    /// What is known without reading the message comes first: most ends concern nobody, and those
    /// shall not pay for webhooks that want others.
    pub(super) fn concerns(
        &mut self,
        connection: &Connection,
        caller: i64,
        status: Status,
        has_label: bool,
    ) -> Outcome<bool> {
        let all = self.webhooks(connection)?;
        Ok(all.iter().any(
            |Standing {
                 webhook,
                 caller: of,
                 ..
             }| {
                *of == caller
                    && webhook.enabled
                    && webhook.events.wants(status)
                    && (has_label || webhook.group.is_none())
            },
        ))
    }

    /// A message has ended as `record` tells. The steps of the clock come to `offset_ms`, here as
    /// everywhere.
    pub(super) fn settled(
        &mut self,
        connection: &Connection,
        record: &Record,
        callback_url: Option<&str>,
        offset_ms: i64,
    ) -> Outcome<()> {
        let Some(blob) = record::encode(record) else {
            return Ok(());
        };
        let mut added = false;
        let at = record.outcome.as_ref().map(|outcome| outcome.settled_at);
        let next_at = stored_end(at.unwrap_or_default(), offset_ms);
        let checksum = read::checksum(&blob);
        let mut add = connection.prepare_cached(ADD)?;
        if let Some(url) = callback_url {
            let endpoint = (self.endpoints).of_callback(connection, &record.caller, url)?;
            add.execute(params![endpoint, false, next_at, url, checksum, blob])?;
            added = true;
        }
        for one in self.webhooks(connection)? {
            if one.webhook.wants(record) {
                let url: Option<&str> = None;
                add.execute(params![one.endpoint, true, next_at, url, checksum, blob])?;
                added = true;
            }
        }
        self.has_added |= added;
        Ok(())
    }

    /// Applies a change.
    pub(super) fn change(
        &mut self,
        connection: &Connection,
        callers: &mut Callers,
        change: &OutboxChange,
        offset_ms: i64,
    ) -> Outcome<()> {
        match change {
            OutboxChange::Tried { id, tried, status } => {
                self.tried(connection, *id, tried, (*status, offset_ms))
            }
            OutboxChange::Put(webhook) => {
                let caller = callers.number(connection, &webhook.caller)?;
                self.put(connection, caller, webhook)
            }
            OutboxChange::Patch(id, patch) => self.with(connection, *id, |hook| hook.patch(patch)),
            OutboxChange::Rotate {
                id,
                secret,
                old_until,
            } => self.with(connection, *id, |hook| hook.rotate(secret, *old_until)),
            OutboxChange::Failing(id, since) => {
                self.with(connection, *id, |hook| hook.failing_since = *since)
            }
            OutboxChange::Disable(id, why) => self.with(connection, *id, |hook| {
                hook.enabled = false;
                hook.disabled_for = Some(*why);
            }),
            OutboxChange::Delete(id) => self.delete(connection, *id),
            OutboxChange::Resend(id, at) => {
                let resend = params![id.0.cast_signed(), stored_end(*at, offset_ms)];
                connection.prepare_cached(RESEND)?.execute(resend)?;
                Ok(())
            }
        }
    }

    fn put(&mut self, connection: &Connection, caller: i64, webhook: &Webhook) -> Outcome<()> {
        let all = self.webhooks(connection)?;
        let known = all.iter().position(|one| one.webhook.id == webhook.id);
        let endpoint = match known {
            Some(at) => all.remove(at).endpoint,
            None => endpoints::add(connection, &format!("webhook {}", webhook.id))?,
        };
        let standing = Standing {
            endpoint,
            caller,
            webhook: webhook.clone(),
        };
        webhooks::put(connection, &standing)?;
        all.push(standing);
        // Deliveries of one outcome are kept in the order of the webhooks.
        all.sort_by_key(|one| one.webhook.id);
        Ok(())
    }

    fn with(
        &mut self,
        connection: &Connection,
        id: MessageId,
        change: impl FnOnce(&mut Webhook),
    ) -> Outcome<()> {
        let all = self.webhooks(connection)?;
        if let Some(standing) = all.iter_mut().find(|one| one.webhook.id == id) {
            change(&mut standing.webhook);
            webhooks::put(connection, standing)?;
        }
        Ok(())
    }

    fn delete(&mut self, connection: &Connection, id: MessageId) -> Outcome<()> {
        let all = self.webhooks(connection)?;
        let Some(at) = all.iter().position(|one| one.webhook.id == id) else {
            return Ok(());
        };
        let endpoint = all.remove(at).endpoint;
        for sql in [
            "DELETE FROM webhooks WHERE endpoint = ?1",
            "DELETE FROM endpoints WHERE id = ?1",
            "INSERT INTO leaving (endpoint) VALUES (?1)",
        ] {
            connection.prepare_cached(sql)?.execute([endpoint])?;
        }
        self.ended.remove(&endpoint);
        Ok(())
    }

    fn tried(
        &mut self,
        connection: &Connection,
        id: DeliveryId,
        tried: &Tried,
        (status, offset_ms): (DeliveryStatus, i64),
    ) -> Outcome<()> {
        let number = id.0.cast_signed();
        let mut statement = connection.prepare_cached(FIND)?;
        let found = statement.query_row([number], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        });
        let Some((endpoint, standing)) = found.optional()? else {
            return Ok(());
        };
        let (code, next_at) = match status {
            DeliveryStatus::Waiting { next_at } => {
                (read::WAITS, Some(stored_end(next_at, offset_ms)))
            }
            DeliveryStatus::Delivered => (read::DELIVERED, None),
            DeliveryStatus::Failed => (read::FAILED, None),
        };
        if !standing && next_at.is_none() {
            connection.prepare_cached(DROP)?.execute([number])?;
            return Ok(());
        }
        connection.prepare_cached(TRIED)?.execute(params![
            number,
            tried.at.unix_ms().cast_signed(),
            tried.status_code,
            tried.error,
            code,
            next_at,
        ])?;
        if next_at.is_none() {
            self.one_ended(connection, endpoint)?;
        }
        Ok(())
    }

    fn one_ended(&mut self, connection: &Connection, endpoint: i64) -> Outcome<()> {
        let ended = self.ended.entry(endpoint).or_default();
        *ended += 1;
        if *ended >= ENDED_BEYOND {
            *ended = 0;
            let prune = [endpoint, ENDED_KEPT];
            connection.prepare_cached(PRUNE)?.execute(prune)?;
        }
        Ok(())
    }
}

/// Forgets some of the deliveries of deleted webhooks. False when none are left.
pub(super) fn forget_leaving(connection: &Connection) -> Outcome<bool> {
    let first = "SELECT min(endpoint) FROM leaving";
    let first: Option<i64> = (connection.prepare_cached(first)?).query_row([], |row| row.get(0))?;
    let Some(endpoint) = first else {
        return Ok(false);
    };
    let drop = "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries
        WHERE standing = 1 AND endpoint = ?1 LIMIT ?2)";
    let dropped = (connection.prepare_cached(drop)?).execute([endpoint, SLICE])?;
    if dropped == 0 {
        let left = "DELETE FROM leaving WHERE endpoint = ?1";
        connection.prepare_cached(left)?.execute([endpoint])?;
    }
    Ok(true)
}

/// Whether [`forget_leaving`] has something to do.
pub(super) fn has_leaving(connection: &Connection) -> Outcome<bool> {
    let some = "SELECT EXISTS (SELECT 1 FROM leaving)";
    Ok((connection.prepare_cached(some)?).query_row([], |row| row.get(0))?)
}

/// See [`crate::store::OutboxStore::webhooks`].
pub(super) fn webhooks(connection: &Connection, caller: Option<&Caller>) -> Outcome<Vec<Webhook>> {
    let all = webhooks::all(connection, caller)?;
    Ok(all.into_iter().map(|one| one.webhook).collect())
}
