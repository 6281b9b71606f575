//! Endpoints: what deliveries wait for each other by.

use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

use super::super::error::Outcome;
use crate::domain::Caller;
use crate::store::callback_endpoint;

/// Endpoints of callbacks whose numbers the writer knows by heart.
const KNOWN_MAX: usize = 4096;
/// Endpoints of callbacks that are kept although nothing waits there.
const KEPT_MAX: i64 = 10_000;
/// Old ones that are looked at for each new one. More than one, so that the idle ones among them go
/// sooner than new ones come.
const LOOKED_AT: i64 = 8;

const ADD: &str = "INSERT INTO endpoints (name, enabled) VALUES (?1, 1)";

const FIND: &str = "SELECT id FROM endpoints WHERE name = ?1";

const OLD: &str = "SELECT id FROM endpoints WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3";

const FORGET_IDLE: &str = "DELETE FROM endpoints WHERE id = ?1
    AND NOT EXISTS (SELECT 1 FROM webhooks WHERE endpoint = ?1)
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE next_at IS NOT NULL AND endpoint = ?1)";

/// What the writer knows of the endpoints of callbacks.
#[derive(Default)]
pub(super) struct Endpoints {
    numbers: FxHashMap<Box<str>, i64>,
    /// Old ones up to here were looked at in this round.
    looked_to: i64,
}

impl Endpoints {
    /// The endpoint of the callbacks of `caller` to the host of `url`.
    pub(super) fn of_callback(
        &mut self,
        connection: &Connection,
        caller: &Caller,
        url: &str,
    ) -> Outcome<i64> {
        let name = callback_endpoint(caller, url);
        if let Some(endpoint) = self.numbers.get(&name) {
            return Ok(*endpoint);
        }
        let mut statement = connection.prepare_cached(FIND)?;
        let found = statement.query_row([&*name], |row| row.get(0));
        let endpoint = if let Some(endpoint) = found.optional()? {
            endpoint
        } else {
            let endpoint = add(connection, &name)?;
            self.forget_idle(connection, endpoint - KEPT_MAX)?;
            endpoint
        };
        if self.numbers.len() >= KNOWN_MAX {
            self.numbers.clear();
        }
        self.numbers.insert(name, endpoint);
        Ok(endpoint)
    }

    /// Looks at a few of the endpoints up to `old_to`, at each in its turn, and forgets those of
    /// callbacks where nothing waits. So a new endpoint costs the same however many there are where
    /// something waits: a caller can name as many hosts that do not answer as it likes.
    fn forget_idle(&mut self, connection: &Connection, old_to: i64) -> Outcome<()> {
        if old_to <= 0 {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(OLD)?;
        let old = statement.query_map(params![self.looked_to, old_to, LOOKED_AT], |row| {
            row.get::<_, i64>(0)
        })?;
        let old = old.collect::<Result<Vec<_>, _>>()?;
        let is_round_over = old.last().is_none_or(|last| *last >= old_to);
        self.looked_to = old.last().copied().filter(|_| !is_round_over).unwrap_or(0);
        let mut forget = connection.prepare_cached(FORGET_IDLE)?;
        let mut forgotten = 0;
        for endpoint in old {
            forgotten += forget.execute([endpoint])?;
        }
        if forgotten > 0 {
            self.numbers.clear();
        }
        Ok(())
    }
}

/// A new endpoint.
pub(super) fn add(connection: &Connection, name: &str) -> Outcome<i64> {
    connection.prepare_cached(ADD)?.execute([name])?;
    Ok(connection.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::super::schema;
    use super::*;

    fn of_callback(endpoints: &mut Endpoints, connection: &Connection, url: &str) -> i64 {
        let caller = Caller::named("c").expect("a name");
        let endpoint = endpoints.of_callback(connection, &caller, url);
        endpoint.expect("an endpoint")
    }

    /// As many endpoints of callbacks; something waits at those up to `waiting_to`.
    fn with_endpoints(count: i64, waiting_to: i64) -> Connection {
        let connection = Connection::open_in_memory().expect("open");
        schema::migrate(&connection).expect("migrate");
        let some = format!(
            "WITH RECURSIVE some (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM some WHERE id < {count})
            INSERT INTO endpoints SELECT id, 'http://h' || id || ' c', 1 FROM some;
            INSERT INTO deliveries (endpoint, standing, status, next_at, attempts, checksum, record)
                SELECT id, 0, 0, 1, 0, 0, x'' FROM endpoints WHERE id <= {waiting_to}"
        );
        connection.execute_batch(&some).expect("insert");
        connection
    }

    fn count(connection: &Connection) -> i64 {
        let count = connection.query_row("SELECT count(*) FROM endpoints", [], |row| row.get(0));
        count.expect("count")
    }

    /// Steps of the virtual machine that the statement has taken since it was asked last.
    fn steps(connection: &Connection, sql: &str) -> i32 {
        let statement = connection.prepare_cached(sql).expect("prepare");
        statement.reset_status(StatementStatus::VmStep)
    }

    #[test]
    fn a_new_host_costs_little_however_many_hosts_do_not_answer() {
        let connection = with_endpoints(3 * KEPT_MAX, 3 * KEPT_MAX);
        let mut endpoints = Endpoints::default();
        for number in 0..20 {
            let url = format!("http://new{number}/in");
            let (look, forget) = (steps(&connection, OLD), steps(&connection, FORGET_IDLE));
            assert!(look < 1000 && forget < 1000, "{look} and {forget} steps");
            of_callback(&mut endpoints, &connection, &url);
        }
        assert_eq!(count(&connection), 3 * KEPT_MAX + 20);
    }

    #[test]
    fn hosts_where_nothing_waits_go_when_many_newer_ones_have_come() {
        let connection = with_endpoints(KEPT_MAX + 100, 50);
        let mut endpoints = Endpoints::default();
        for number in 0..60 {
            let url = format!("http://new{number}/in");
            of_callback(&mut endpoints, &connection, &url);
        }
        // Of those that are old at the end, the last ones may have become so behind the last look.
        let kept = count(&connection);
        assert!((KEPT_MAX + 50..=KEPT_MAX + 70).contains(&kept), "{kept}");
        let waiting = "SELECT count(*) FROM endpoints WHERE id <= 50";
        let waiting: i64 = (connection.query_row(waiting, [], |row| row.get(0))).expect("count");
        assert_eq!(waiting, 50);
    }

    #[test]
    fn a_host_that_was_forgotten_gets_a_new_endpoint() {
        let connection = with_endpoints(KEPT_MAX, 0);
        let mut endpoints = Endpoints::default();
        let url = "http://h1/in";
        assert_eq!(of_callback(&mut endpoints, &connection, url), 1);
        of_callback(&mut endpoints, &connection, "http://new/");
        let again = of_callback(&mut endpoints, &connection, url);
        assert_eq!(again, KEPT_MAX + 2);
    }
}
