//! Copies of the log: in time, beside the writer, and what happens when they fail.

use std::os::unix::fs::FileExt as _;

use super::{Bench, Options, options};
use crate::domain::WallTime;
use crate::store::contract::samples::{accepting, confirmed, one, settling};
use crate::store::{StoreError, WriteStore};

#[test]
fn the_log_stays_short_under_a_load_that_does_not_pause() {
    let limits = Options {
        vfs: None,
        ..options(1)
    };
    let mut bench = Bench::new(limits);
    let mut longest = 0;
    for round in 0..1500_u64 {
        let all: Vec<_> = (1..=32)
            .map(|at| one(round * 32 + at, vec![5; 4000]))
            .collect();
        let settled = confirmed(&all);
        bench.store().commit(&accepting(&all)).expect("commit");
        bench.store().commit(&settling(&settled)).expect("commit");
        // The journal looks after its store every 100 ms, which are some such commits.
        if round % 50 == 0 {
            (bench.store().upkeep(WallTime::from_unix_ms(round))).expect("upkeep");
        }
        let log = std::fs::metadata(bench.beside("-wal")).map_or(0, |log| log.len());
        longest = longest.max(log);
    }
    assert!(longest > 8 << 20, "{longest} bytes: this is no load");
    assert!(longest < 96 << 20, "{longest} bytes");
}

/// Whoever looks at the log at the moment when a commit changes its head finds two halves that differ, and
/// the lock taken with which they could be mended.
#[test]
fn a_look_at_the_log_amid_a_commit_is_no_failure() {
    let mut bench = Bench::new(Options {
        vfs: None,
        ..options(1)
    });
    let commit = |bench: &mut Bench, row| bench.store().commit(&accepting(&[one(row, "x")]));
    commit(&mut bench, 1).expect("commit");
    let operator = rusqlite::Connection::open(bench.path()).expect("open");
    operator.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let index = std::fs::File::options()
        .read(true)
        .write(true)
        .open(bench.beside("-shm"))
        .expect("the index of the log");
    let mut counter = [0];
    index.read_exact_at(&mut counter, 8).expect("read");
    index.write_all_at(&[!counter[0]], 8).expect("write");
    assert_eq!(bench.store().checkpoints.ask(), Ok(true));
    while !bench.store().checkpoints.is_idle() {
        std::thread::yield_now();
    }
    assert_eq!(bench.store().checkpoints.ask(), Ok(true));
    index.write_all_at(&counter, 8).expect("write");
    operator
        .execute_batch("ROLLBACK")
        .expect("the lock is free");
    commit(&mut bench, 2).expect("commit");
    assert_eq!(bench.pending().len(), 2);
}

/// A store with so many pending messages in its log.
fn bench_of_60() -> Bench {
    let mut bench = Bench::new(Options {
        store_bytes_max: 4 << 20,
        ..options(1)
    });
    let big = |at: u64| one(at, vec![7; 20_000]);
    for at in 1..=60 {
        bench
            .store()
            .commit(&accepting(&[big(at)]))
            .expect("commit");
    }
    bench
}

#[test]
fn a_checkpoint_that_fails_is_the_end() {
    let mut bench = bench_of_60();
    // The log is synced with each commit, so the next failing sync is the database's.
    bench.faults.fail_syncs_after(1);
    let mut ended = Ok(());
    for at in 1..1000 {
        ended = bench.store().upkeep(WallTime::from_unix_ms(at)).map(|_| ());
        if ended.is_err() {
            break;
        }
        std::thread::yield_now();
        if bench.store().checkpoints.is_idle() {
            continue;
        }
        while !bench.store().checkpoints.is_idle() {
            std::thread::yield_now();
        }
    }
    assert!(matches!(ended, Err(StoreError::Fatal(_))), "{ended:?}");
    bench.cut_power();
    bench.open().expect("open");
    assert_eq!(bench.pending().len(), 60);
}

/// The system tells of a failed sync once, and the next one may succeed without what the first has lost.
#[test]
fn after_a_checkpoint_that_failed_the_end_copies_nothing_and_says_why() {
    let mut bench = bench_of_60();
    bench.faults.fail_syncs_after(1);
    assert_eq!(bench.store().checkpoints.ask(), Ok(true));
    while !bench.store().checkpoints.is_idle() {
        std::thread::yield_now();
    }
    bench.faults.heal();
    let syncs = bench.faults.syncs();
    let closed = bench.store().close();
    assert!(matches!(closed, Err(StoreError::Fatal(_))), "{closed:?}");
    assert_eq!(bench.faults.syncs() - syncs, 1, "that of the last commit");
    bench.kill();
    bench.open().expect("open");
    assert_eq!(bench.pending().len(), 60);
}
