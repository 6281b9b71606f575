//! Standing webhooks as rows of `webhooks`, and back.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::callers::{self, Names};
use super::super::error::{Failure, Outcome};
use super::super::messages::text;
use super::super::state::{row_number, stored_row};
use crate::domain::{Caller, MessageId, WallTime};
use crate::store::{DisabledFor, WantedEvents, Webhook};

const COLUMNS: &str = "endpoint, row, random, caller, url, events, exchange, label, enabled,
    disabled_for, failing_since, secret, old_secret, old_until, created_at";

const PUT: &str = "INSERT OR REPLACE INTO webhooks (endpoint, row, random, caller, url, events,
    exchange, label, enabled, disabled_for, failing_since, secret, old_secret, old_until, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

const ENABLE: &str = "UPDATE endpoints SET enabled = ?2 WHERE id = ?1";

/// A webhook, its endpoint and the number of its caller.
pub(super) struct Standing {
    pub(super) endpoint: i64,
    pub(super) caller: i64,
    pub(super) webhook: Webhook,
}

/// All of them, or those of a caller, oldest first.
pub(super) fn all(connection: &Connection, caller: Option<&Caller>) -> Outcome<Vec<Standing>> {
    let number = match caller {
        None => None,
        Some(caller) => match callers::number(connection, caller)? {
            None => return Ok(Vec::new()),
            number => number,
        },
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM webhooks WHERE ?1 IS NULL OR caller = ?1 ORDER BY row, random"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([number])?;
    let mut names = Names::new(connection)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(standing(row, &mut names)?);
    }
    Ok(found)
}

/// The endpoint of a webhook.
pub(super) fn endpoint(connection: &Connection, id: MessageId) -> Outcome<Option<i64>> {
    let sql = "SELECT endpoint FROM webhooks WHERE row = ?1 AND random = ?2";
    let at = [row_number(id.row()), id.random().cast_signed()];
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(at, |row| row.get(0)).optional()?)
}

/// Keeps a webhook as it is now.
pub(super) fn put(connection: &Connection, standing: &Standing) -> Outcome<()> {
    let Standing {
        endpoint,
        caller,
        webhook,
    } = standing;
    let (old_secret, old_until) = webhook.old_secret.clone().unzip();
    let time = |time: WallTime| time.unix_ms().cast_signed();
    connection.prepare_cached(PUT)?.execute(params![
        endpoint,
        row_number(webhook.id.row()),
        webhook.id.random().cast_signed(),
        caller,
        webhook.url,
        events_code(webhook.events),
        webhook.exchange,
        webhook.group,
        webhook.enabled,
        webhook.disabled_for.map(disabled_word),
        webhook.failing_since.map(time),
        webhook.secret,
        old_secret,
        old_until.map(time),
        time(webhook.created_at),
    ])?;
    let enable = params![endpoint, webhook.enabled];
    connection.prepare_cached(ENABLE)?.execute(enable)?;
    Ok(())
}

fn standing(row: &Row<'_>, names: &mut Names<'_>) -> Outcome<Standing> {
    let id = MessageId::from_parts(
        stored_row(row.get(1)?),
        row.get::<_, i64>(2)?.cast_unsigned(),
    );
    let time = |at| -> Outcome<Option<WallTime>> {
        let ms: Option<i64> = row.get(at)?;
        Ok(ms.map(|ms| WallTime::from_unix_ms(ms.cast_unsigned())))
    };
    let word = text(row, 9)?;
    let disabled_for = word.as_deref().map(|word| {
        let mut all = [DisabledFor::Gone, DisabledFor::Failing].into_iter();
        let known = all.find(|why| disabled_word(*why) == word);
        known.ok_or_else(|| Failure::Damaged(format!("why webhook {id} is disabled")))
    });
    let webhook = Webhook {
        id,
        caller: names.of(row.get(3)?)?,
        url: text(row, 4)?.unwrap_or_default(),
        events: events_of(row.get(5)?),
        exchange: text(row, 6)?,
        group: text(row, 7)?,
        enabled: row.get(8)?,
        disabled_for: disabled_for.transpose()?,
        failing_since: time(10)?,
        secret: text(row, 11)?.unwrap_or_default(),
        old_secret: text(row, 12)?.zip(time(13)?),
        created_at: time(14)?.unwrap_or_default(),
    };
    Ok(Standing {
        endpoint: row.get(0)?,
        caller: row.get(3)?,
        webhook,
    })
}

fn disabled_word(why: DisabledFor) -> &'static str {
    match why {
        DisabledFor::Gone => "gone",
        DisabledFor::Failing => "failing",
    }
}

fn events_code(events: WantedEvents) -> i64 {
    i64::from(events.confirmed) | i64::from(events.returned) << 1 | i64::from(events.failed) << 2
}

fn events_of(code: i64) -> WantedEvents {
    WantedEvents {
        confirmed: code & 1 != 0,
        returned: code & 2 != 0,
        failed: code & 4 != 0,
    }
}
