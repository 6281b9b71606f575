//! What is wrong with the outbox.

use rusqlite::Connection;

use super::super::error::{Failure, Outcome};
use super::read::checked;
use crate::store::DeliveryId;

/// Deliveries that are whole, of endpoints that there are; webhooks with their endpoints.
pub(in crate::store::sqlite) fn problems(
    connection: &Connection,
    found: &mut Vec<String>,
) -> Outcome<()> {
    for (what, sql) in [
        (
            "webhooks without an endpoint, or one that says otherwise",
            "SELECT count(*) FROM webhooks LEFT JOIN endpoints ON endpoints.id = endpoint
                WHERE endpoints.enabled IS NOT webhooks.enabled",
        ),
        (
            "webhook deliveries to nowhere",
            "SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL
                AND endpoint NOT IN (SELECT id FROM endpoints)
                AND endpoint NOT IN (SELECT endpoint FROM leaving)",
        ),
        (
            "webhook deliveries that wait and have ended",
            "SELECT count(*) FROM deliveries WHERE (status = 0) <> (next_at IS NOT NULL)
                OR (standing = 0) <> (url IS NOT NULL)",
        ),
    ] {
        let rows: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if rows > 0 {
            found.push(format!("{rows} {what}"));
        }
    }
    let mut statement = connection.prepare("SELECT id, checksum, record FROM deliveries")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = DeliveryId(row.get::<_, i64>(0)?.cast_unsigned());
        match checked(row, 1, id) {
            Ok(_) => {}
            Err(Failure::Damaged(problem)) => found.push(problem),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
