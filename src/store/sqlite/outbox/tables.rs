//! The tables of the outbox.
//!
//! - `endpoints`: what deliveries wait for each other by, by number: one for each standing webhook, and
//!   one for the callbacks of each caller to each host. Numbers are never used again.
//! - `webhooks`: the standing ones, by their endpoint.
//! - `deliveries`: each with the message as of the outcome that it tells, as one blob. Those that wait
//!   have a `next_at`, which moves with the clock (`times.rs`), and are in an index by it; of those of standing webhooks, which are listed, there
//!   are two more. Those of callbacks go as soon as they have ended.
//! - `leaving`: the endpoints of deleted webhooks, whose deliveries go little by little.

/// Brings the tables of the version before to this one.
pub(in crate::store::sqlite) const VERSION_4: &str = "
CREATE TABLE endpoints (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL
) STRICT;
CREATE TABLE webhooks (
    endpoint INTEGER PRIMARY KEY,
    row INTEGER NOT NULL,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    url TEXT NOT NULL,
    events INTEGER NOT NULL,
    exchange TEXT,
    label TEXT,
    enabled INTEGER NOT NULL,
    disabled_for TEXT,
    failing_since INTEGER,
    secret TEXT NOT NULL,
    old_secret TEXT,
    old_until INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (row, random)
) STRICT;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    status INTEGER NOT NULL,
    next_at INTEGER,
    attempts INTEGER NOT NULL,
    tried_at INTEGER,
    status_code INTEGER,
    error TEXT,
    url TEXT,
    checksum INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (endpoint, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_standing ON deliveries (endpoint) WHERE standing = 1;
CREATE INDEX deliveries_ended ON deliveries (endpoint) WHERE standing = 1 AND next_at IS NULL;
CREATE TABLE leaving (endpoint INTEGER PRIMARY KEY) STRICT;
";
