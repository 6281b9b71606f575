//! The steps from each version of the schema to the next.
//!
//! Steps are never changed once released: files exist that were made by them.

use super::outbox::VERSION_4;

/// Each leads from the version of its index to the next one.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

/// For tests, which make files as the first gateways did.
pub(super) const VERSION_1: &str = "
CREATE TABLE pending (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    footprint_bytes INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE settled (
    row INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    position INTEGER NOT NULL,
    status INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    duplicate_possible INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    kept_bytes INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    reason TEXT,
    reply_code INTEGER,
    reply_text TEXT,
    detail TEXT
) STRICT;
CREATE TABLE payloads (
    row INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
CREATE TABLE notes (
    row INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL
) STRICT;
CREATE TABLE outcomes (
    position INTEGER PRIMARY KEY,
    settled_at INTEGER NOT NULL,
    confirmed_bytes INTEGER NOT NULL,
    entries BLOB NOT NULL
) STRICT;
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    partitions INTEGER NOT NULL,
    clean INTEGER NOT NULL,
    last_row INTEGER,
    handed_to INTEGER,
    doubtful_to INTEGER,
    horizon INTEGER,
    last_position INTEGER NOT NULL,
    confirmed_evicted_to INTEGER NOT NULL,
    payloads_evicted_to INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    history_bytes INTEGER NOT NULL,
    notes INTEGER NOT NULL,
    pending BLOB NOT NULL
) STRICT;
INSERT INTO state VALUES
    (1, 0, 1, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, zeroblob(0));
CREATE VIEW pending_messages AS
    SELECT key & 0xfffffffffffffff AS row, key >> 60 & 15 AS partition,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        exchange, routing_key, ordering_key, message_id, length(payload) AS size_bytes
    FROM pending;
CREATE VIEW settled_messages AS
    SELECT row, CASE status WHEN 1 THEN 'confirmed' WHEN 2 THEN 'returned' ELSE 'failed' END
            AS status, attempts, duplicate_possible,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled,
        exchange, routing_key, ordering_key, message_id, size_bytes,
        reason, reply_code, reply_text, detail
    FROM settled;
";

/// Whose each message is. What an earlier version took had no name to it: all of it becomes the
/// nameless caller's, whose tally is what is pending and what is still kept as settled. What was
/// forgotten before is not in it, since nobody knows any more what became of it.
///
/// `pending` is copied, for a column behind the payload would be reached through all of its pages.
pub(super) const VERSION_2: &str = "
CREATE TABLE callers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    pending INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT;
INSERT INTO callers SELECT 1, '', (SELECT count(*) FROM pending), confirmed, returned, failed
    FROM state;
DROP VIEW pending_messages;
DROP VIEW settled_messages;
CREATE TABLE idempotency_keys (
    row INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    UNIQUE (caller, key)
) STRICT;
ALTER TABLE pending RENAME TO pending_of_version_1;
CREATE TABLE pending (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    footprint_bytes INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
INSERT INTO pending
    SELECT key, random, 1, checksum, footprint_bytes, accepted_at, mandatory, replays, exchange,
        routing_key, ordering_key, message_id, properties, payload
    FROM pending_of_version_1 ORDER BY key;
DROP TABLE pending_of_version_1;
ALTER TABLE settled ADD COLUMN caller INTEGER NOT NULL DEFAULT 1;
CREATE INDEX settled_unconfirmed ON settled (status) WHERE status <> 1;
CREATE VIEW pending_messages AS
    SELECT key & 0xfffffffffffffff AS row, key >> 60 & 15 AS partition,
        (SELECT name FROM callers WHERE id = caller) AS caller,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        exchange, routing_key, ordering_key, message_id, length(payload) AS size_bytes
    FROM pending;
CREATE VIEW settled_messages AS
    SELECT row, CASE status WHEN 1 THEN 'confirmed' WHEN 2 THEN 'returned' ELSE 'failed' END
            AS status, (SELECT name FROM callers WHERE id = caller) AS caller,
        attempts, duplicate_possible,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled,
        exchange, routing_key, ordering_key, message_id, size_bytes,
        reason, reply_code, reply_text, detail
    FROM settled;
";

/// Messages that wait for their time, that are given up, that have labels, and that are sent again.
///
/// `pending` is copied once more, for the columns that these need are before the payload; `settled`
/// has nothing that is long, so there they are at the end. What was there before has none of it: a
/// missing value says so everywhere.
pub(super) const VERSION_3: &str = "
DROP VIEW pending_messages;
DROP VIEW settled_messages;
ALTER TABLE pending RENAME TO pending_of_version_2;
CREATE TABLE pending (
    key INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    footprint_bytes INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    replays INTEGER,
    row INTEGER,
    give_up_at INTEGER,
    label INTEGER,
    terms BLOB,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
INSERT INTO pending
    SELECT key, random, caller, checksum, footprint_bytes, accepted_at, mandatory,
        NULL, NULL, NULL, NULL, NULL,
        exchange, routing_key, ordering_key, message_id, properties, payload
    FROM pending_of_version_2 ORDER BY key;
DROP TABLE pending_of_version_2;
CREATE TABLE later_turns (
    message INTEGER PRIMARY KEY,
    place INTEGER NOT NULL
) STRICT;
CREATE TABLE time_limits (
    at INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (at, turn)
) STRICT, WITHOUT ROWID;
CREATE TABLE scheduled (
    row INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    caller INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    footprint_bytes INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    mandatory INTEGER NOT NULL,
    moves INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    label INTEGER,
    terms BLOB,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    ordering_key TEXT,
    message_id TEXT,
    properties BLOB,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX scheduled_due ON scheduled (moves, due_at);
ALTER TABLE settled ADD COLUMN label INTEGER;
ALTER TABLE settled ADD COLUMN terms BLOB;
ALTER TABLE settled ADD COLUMN give_up_at INTEGER;
ALTER TABLE callers ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;
CREATE TABLE groups (
    id INTEGER PRIMARY KEY,
    caller INTEGER NOT NULL,
    name TEXT NOT NULL,
    kept INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    returned INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    UNIQUE (caller, name)
) STRICT;
CREATE TABLE bulk_replays (
    row INTEGER PRIMARY KEY,
    random INTEGER NOT NULL,
    done INTEGER NOT NULL,
    through INTEGER,
    matched INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    caller TEXT,
    status INTEGER,
    reason TEXT,
    exchange TEXT,
    routing_key TEXT,
    since INTEGER,
    until INTEGER,
    label TEXT,
    settled_to INTEGER
) STRICT;
ALTER TABLE state ADD COLUMN scheduled_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN scheduled_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN clock_offset_ms INTEGER NOT NULL DEFAULT 0;
CREATE VIEW pending_messages AS
    SELECT ifnull(row, key & 0xfffffffffffffff) AS row, key >> 60 & 15 AS partition,
        (SELECT name FROM callers WHERE id = caller) AS caller,
        (SELECT name FROM groups WHERE id = label) AS label,
        ifnull(replays, 0) AS replays,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ',
            (give_up_at + (SELECT clock_offset_ms FROM state)) / 1000.0, 'unixepoch') AS give_up,
        exchange, routing_key, ordering_key, message_id, length(payload) AS size_bytes
    FROM pending;
CREATE VIEW scheduled_messages AS
    SELECT row, (SELECT name FROM callers WHERE id = caller) AS caller,
        (SELECT name FROM groups WHERE id = label) AS label,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ', (due_at + iif(moves,
            (SELECT clock_offset_ms FROM state), 0)) / 1000.0, 'unixepoch') AS due,
        exchange, routing_key, ordering_key, message_id, length(payload) AS size_bytes
    FROM scheduled;
CREATE VIEW settled_messages AS
    SELECT row, CASE status WHEN 1 THEN 'confirmed' WHEN 2 THEN 'returned' ELSE 'failed' END
            AS status, (SELECT name FROM callers WHERE id = caller) AS caller,
        (SELECT name FROM groups WHERE id = label) AS label,
        attempts, replays, duplicate_possible,
        strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at / 1000.0, 'unixepoch') AS accepted,
        strftime('%Y-%m-%dT%H:%M:%fZ', settled_at / 1000.0, 'unixepoch') AS settled,
        exchange, routing_key, ordering_key, message_id, size_bytes,
        reason, reply_code, reply_text, detail
    FROM settled;
";

/// What the wall clock was at the last commit, so that it shows when it was set back since.
pub(super) const VERSION_5: &str = "ALTER TABLE state ADD COLUMN wall INTEGER";
