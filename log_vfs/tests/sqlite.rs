//! Databases whose log goes through this VFS, beside databases that know nothing of it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::{Connection, OpenFlags};

/// What happens to a database.
#[derive(Clone, Debug)]
enum Step {
    /// Rows of these lengths.
    Insert(Vec<usize>),
    /// Half of all rows change.
    Update,
    /// A third of all rows goes.
    Delete,
    Savepoint,
    RollbackTo,
    Commit,
    Rollback,
    /// All of the log that can be is copied, and what is in it may be written anew.
    Checkpoint,
    /// As above, and the log is cut to nothing.
    Truncate,
    /// Somebody else, who knows nothing of this, adds rows of these lengths.
    Beside(Vec<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0..9000_usize, 1..30).prop_map(Step::Insert),
        2 => Just(Step::Update),
        2 => Just(Step::Delete),
        1 => Just(Step::Savepoint),
        1 => Just(Step::RollbackTo),
        4 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Truncate),
        2 => prop::collection::vec(0..9000_usize, 1..10).prop_map(Step::Beside),
    ]
}

fn open(path: &Path, vfs: Option<&str>) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    };
    let connection = connection.expect("open");
    // So small a cache that pages would go to the log, and be read from there, before their commit.
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 3;
        PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x BLOB)";
    let spill = if vfs.is_some() { "OFF" } else { "ON" };
    let pragmas = &format!("PRAGMA cache_spill = {spill}; {pragmas}");
    connection.execute_batch(pragmas).expect("pragmas");
    connection
}

/// Everything that is in it, and whether it is whole.
fn told(connection: &Connection) -> (i64, i64, String) {
    let sums = "SELECT count(*), ifnull(sum(id * length(x) + unicode(hex(x))), 0) FROM t";
    let (count, sum) = connection
        .query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("sums");
    let check = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check");
    (count, sum, check)
}

fn run(connection: &Connection, sql: &str) {
    connection.execute_batch(sql).expect(sql);
}

fn insert(connection: &Connection, lengths: &[usize]) {
    for (number, length) in lengths.iter().enumerate() {
        let byte = u8::try_from(number).expect("few");
        let sql = "INSERT INTO t (x) VALUES (?1)";
        (connection.execute(sql, [vec![byte; *length]])).expect("insert");
    }
}

fn take(connection: &Connection, step: &Step) {
    let within = !connection.is_autocommit();
    if !within && !matches!(step, Step::Checkpoint | Step::Truncate | Step::Beside(_)) {
        run(connection, "BEGIN IMMEDIATE");
    }
    match step {
        Step::Insert(lengths) => insert(connection, lengths),
        Step::Update => run(connection, "UPDATE t SET x = x || x'01' WHERE id % 2 = 0"),
        Step::Delete => run(connection, "DELETE FROM t WHERE id % 3 = 0"),
        Step::Savepoint => run(connection, "SAVEPOINT s"),
        // When there is none, nothing happens.
        Step::RollbackTo => drop(connection.execute_batch("ROLLBACK TO s")),
        Step::Commit => run(connection, "COMMIT"),
        Step::Rollback => run(connection, "ROLLBACK"),
        Step::Checkpoint if !within => run(connection, "PRAGMA wal_checkpoint(PASSIVE)"),
        Step::Truncate if !within => run(connection, "PRAGMA wal_checkpoint(TRUNCATE)"),
        Step::Checkpoint | Step::Truncate | Step::Beside(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Kills: frames that are written elsewhere than SQLite says, too late for whoever reads them, or not
    /// before the sync that a commit relies on.
    #[test]
    fn whatever_is_done_everybody_sees_the_same(
        // And whether it is looked at afterwards: a look makes that be written which waits.
        steps in prop::collection::vec((step(), any::<bool>()), 1..40),
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let place = |name: &str| directory.path().join(name);
        let vfs = log_vfs::over(None).expect("the default one is there");
        let joined = open(&place("joined.db"), Some(&vfs));
        let plain = open(&place("plain.db"), None);
        let beside = open(&place("joined.db"), None);
        for (step, looked_at) in &steps {
            match step {
                Step::Beside(lengths) if joined.is_autocommit() => {
                    insert(&beside, lengths);
                    insert(&plain, lengths);
                }
                step => {
                    take(&joined, step);
                    take(&plain, step);
                }
            }
            if !looked_at {
                continue;
            }
            prop_assert_eq!(told(&joined), told(&plain));
            if !joined.is_autocommit() {
                continue;
            }
            // Another connection, which reads the log by itself.
            prop_assert_eq!(told(&beside), told(&plain));
            // And whoever finds the files after the process has gone.
            for end in ["", "-wal"] {
                let copy = place(&format!("copy.db{end}"));
                fs::copy(place(&format!("joined.db{end}")), copy).expect("a copy");
            }
            prop_assert_eq!(told(&open(&place("copy.db"), None)), told(&plain));
            for end in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(place(&format!("copy.db{end}")));
            }
        }
    }
}

/// Also where the settings are not those that are asked for.
#[test]
fn what_was_not_committed_is_not_written_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let vfs = log_vfs::over(None).expect("the default one is there");
    let joined = open(&path, Some(&vfs));
    let beside = open(&path, None);
    insert(&joined, &[3000; 40]);
    // The first page is not in the log then, and the rollback need not read it from there.
    run(&joined, "PRAGMA wal_checkpoint(TRUNCATE)");
    insert(&joined, &[10]);
    run(&joined, "PRAGMA cache_spill = ON; BEGIN IMMEDIATE");
    run(&joined, "UPDATE t SET x = zeroblob(3000) WHERE id < 20");
    run(&joined, "ROLLBACK");
    insert(&beside, &[3000; 20]);
    let whole = told(&beside);
    drop(joined);
    assert_eq!(told(&open(&path, None)), whole);
}

#[test]
fn there_is_nothing_over_what_is_not_there() {
    assert_eq!(log_vfs::over(Some("no such thing")), Err(log_vfs::Unknown));
    let twice = [log_vfs::over(None), log_vfs::over(None)];
    assert_eq!(twice[0], twice[1]);
}
