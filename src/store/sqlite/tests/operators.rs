//! What operators ask, while a gateway has the store open.

use super::super::schema::VERSION;
use super::super::{OpenError, operate};
use super::{Bench, options};
use crate::domain::Status;
use crate::store::contract::samples::{accepted, accepting, settlement, settling};
use crate::store::{Lookup, ReadStore, WriteStore};

fn bench() -> Bench {
    // The default VFS, which operators use.
    let mut bench = Bench::new(super::Options {
        vfs: None,
        ..options(2)
    });
    let all = accepted(20);
    bench.store().commit(&accepting(&all)).expect("commit");
    let settled = [
        settlement(all[0].message.id, Status::Confirmed, 1),
        settlement(all[1].message.id, Status::Failed, 1),
    ];
    bench.store().commit(&settling(&settled)).expect("commit");
    bench
}

#[test]
fn info_and_check_and_list_work_beside_a_running_gateway() {
    let mut bench = bench();
    let info = operate::info(bench.path()).expect("info");
    assert_eq!(info.facts, bench.reader().facts().expect("facts"));
    assert_eq!((info.schema_version, info.closed), (VERSION, false));
    assert_eq!(
        operate::check(bench.path()).expect("check"),
        Vec::<String>::new()
    );
    let listed = operate::list_pending(bench.path(), 0, None, 5).expect("list");
    assert_eq!(listed, bench.pending()[..5]);
    bench.close();
    assert!(operate::info(bench.path()).expect("info").closed);
}

#[test]
fn a_backup_is_a_whole_store_of_one_moment() {
    let mut bench = bench();
    let copy = bench.beside(".copy");
    operate::backup(bench.path(), &copy).expect("backup");
    let more: Vec<_> = accepted(30).into_iter().skip(20).collect();
    bench
        .store()
        .commit(&accepting(&more))
        .expect("the gateway goes on");
    assert_eq!(operate::check(&copy).expect("check"), Vec::<String>::new());
    let before = bench.reader().facts().expect("facts");
    let facts = operate::info(&copy).expect("info").facts;
    assert_eq!(
        (facts.pending_messages(), facts.confirmed, facts.failed),
        (18, 1, 1)
    );
    assert_eq!(before.pending_messages(), 28);
    let opened =
        super::super::SqliteStore::open(&copy, &bench.options, crate::domain::WallTime::default());
    let opened = opened.expect("open");
    let id = accepted(1)[0].message.id;
    assert!(matches!(opened.reader.get(id), Ok(Lookup::Found(_))));
    let again = operate::backup(bench.path(), &copy);
    assert!(again.is_err(), "a backup overwrites nothing");
}

/// The gateway goes on after it, or is started again, and the backup does not hear what it hands over.
#[test]
fn what_is_pending_in_a_backup_may_have_been_handed_over_since() {
    let mut bench = bench();
    assert!(!bench.pending().iter().any(|one| one.duplicate_possible));
    let (running, stopped) = (bench.beside(".running"), bench.beside(".stopped"));
    operate::backup(bench.path(), &running).expect("backup");
    bench.close();
    operate::backup(bench.path(), &stopped).expect("backup");
    for copy in [running, stopped] {
        let opened = super::super::SqliteStore::open(
            &copy,
            &bench.options,
            crate::domain::WallTime::default(),
        );
        let opened = opened.expect("open");
        let all = (0..2).map(|partition| opened.reader.pending(partition, None, 100, usize::MAX));
        let flags: Vec<_> = (all.flat_map(|found| found.expect("read")))
            .map(|one| one.duplicate_possible)
            .collect();
        assert_eq!(flags, [true; 18]);
    }
    // The original knows what it has handed over.
    bench.open().expect("open");
    assert!(!bench.pending().iter().any(|one| one.duplicate_possible));
}

#[test]
fn a_backup_that_fails_leaves_nothing_in_the_way_of_the_next() {
    let bench = bench();
    let copy = bench.beside(".copy");
    let none = bench.beside(".none");
    assert!(operate::backup(&none, &copy).is_err());
    assert!(!copy.exists());
    operate::backup(bench.path(), &copy).expect("backup");
    assert!(operate::backup(&none, &copy).is_err());
    assert!(copy.exists(), "it was there before");
}

#[test]
fn a_store_of_an_earlier_version_is_told_from_one_of_a_later() {
    let mut bench = bench();
    bench.close();
    let told = |version: i64| {
        let other = rusqlite::Connection::open(bench.path()).expect("open");
        let set = format!("PRAGMA user_version = {version}");
        other.execute_batch(&set).expect("set");
        operate::info(bench.path()).expect_err("another version")
    };
    let (earlier, later) = (told(0), told(99));
    assert!(matches!(later, OpenError::TooNew { .. }), "{later}");
    assert!(matches!(earlier, OpenError::TooOld { .. }), "{earlier}");
    assert!(earlier.to_string().contains("earlier version"), "{earlier}");
}

#[test]
fn check_tells_what_does_not_fit_together() {
    let bench = bench();
    let other = rusqlite::Connection::open(bench.path()).expect("open");
    other
        .execute_batch(
            "UPDATE pending SET routing_key = 'altered' WHERE key = 5;
             DELETE FROM settled WHERE status = 3;
             INSERT INTO notes VALUES (999, 1);",
        )
        .expect("alter");
    let problems = operate::check(bench.path()).expect("check").join("\n");
    for part in [
        "checksum",
        "failed: the counter says 1",
        "payloads without",
        "not pending",
    ] {
        assert!(problems.contains(part), "{part} is missing in:\n{problems}");
    }
}

#[test]
fn a_query_with_sqlite3_reads_plain_columns() {
    let bench = bench();
    let other = rusqlite::Connection::open_with_flags(
        bench.path(),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    );
    let other = other.expect("open");
    let pending = "SELECT count(*) FROM pending_messages WHERE exchange = 'log.exchange'";
    let pending: i64 = other
        .query_row(pending, [], |row| row.get(0))
        .expect("a row");
    let failed = "SELECT count(*) FROM settled_messages WHERE status = 'failed'";
    let failed: i64 = other
        .query_row(failed, [], |row| row.get(0))
        .expect("a row");
    assert_eq!((pending, failed), (18, 1));
}
