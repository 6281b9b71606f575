//! What is open, and under which name.

use super::super::{OpenError, SqliteStore};
use super::{Bench, options};
use crate::domain::WallTime;
use crate::store::contract::samples::{accepted, accepting, confirmed, settling};
use crate::store::{Batch, ReadStore, StoreError, WriteStore};

/// Moved away, the file can no longer be opened, as when there are no descriptors left.
#[test]
fn whoever_can_open_nothing_more_goes_on_with_what_is_open() {
    let mut bench = Bench::new(options(1));
    let all = accepted(50);
    bench.store().commit(&accepting(&all)).expect("commit");
    let away = bench.beside(".away");
    std::fs::rename(bench.path(), &away).expect("move");
    let reader = bench.reader();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let found = reader.pending(0, None, usize::MAX, usize::MAX);
                    assert_eq!(found.expect("read").len(), 50);
                }
            });
        }
    });
    assert_eq!(bench.store().checkpoints.ask(), Ok(true));
    while !bench.store().checkpoints.is_idle() {
        std::thread::yield_now();
    }
    assert_eq!(bench.store().checkpoints.ask(), Ok(true));
    // A reader that is given up after an error leaves nothing to wait for.
    let broken = reader_error(&bench);
    assert!(matches!(broken, StoreError::Fatal(_)), "{broken:?}");
    std::fs::rename(&away, bench.path()).expect("move");
    assert_eq!(bench.pending().len(), 50);
}

/// What a reader answers once all that were open have been given up.
fn reader_error(bench: &Bench) -> StoreError {
    let refused = |_: &rusqlite::Connection| Err::<(), _>(rusqlite::Error::InvalidQuery.into());
    bench.reader().ask(refused).expect_err("refused");
    bench.reader().facts().expect_err("nothing is open")
}

#[test]
fn a_store_by_another_name_is_the_same_store() {
    let mut bench = Bench::new(options(1));
    let link = bench.beside(".link");
    std::os::unix::fs::symlink(bench.path(), &link).expect("link");
    let second = SqliteStore::open(&link, &bench.options, WallTime::from_unix_ms(0));
    let error = second.err().expect("refused");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    let directory = bench.path().parent().expect("a directory").to_owned();
    let linked = bench.beside(".directory");
    std::os::unix::fs::symlink(&directory, &linked).expect("link");
    let new =
        |name: &std::path::Path| SqliteStore::open(name, &bench.options, WallTime::from_unix_ms(0));
    let _first = new(&linked.join("new.db")).expect("open");
    let error = new(&directory.join("new.db")).err().expect("refused");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    // The log is looked for where it is.
    bench.close();
    let opened = SqliteStore::open(&link, &bench.options, WallTime::from_unix_ms(0));
    let opened = opened.expect("open");
    assert_eq!(opened.store.log_path, bench.beside("-wal"));
}

#[test]
fn a_store_with_a_second_name_is_refused() {
    let mut bench = Bench::new(options(1));
    bench.close();
    std::fs::hard_link(bench.path(), bench.beside(".twin")).expect("a link");
    let second = SqliteStore::open(bench.path(), &bench.options, WallTime::from_unix_ms(0));
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("hard links"), "{error}");
}

#[test]
fn a_file_that_is_deleted_or_replaced_under_a_running_gateway_is_the_end() {
    for ending in ["", "-wal", ".lock"] {
        for replaced in [false, true] {
            let mut bench = Bench::new(options(1));
            let all = accepted(2);
            bench.store().commit(&accepting(&all[..1])).expect("commit");
            let later = |bench: &mut Bench, ms| {
                let now = WallTime::from_unix_ms(ms);
                bench.store().upkeep(now).map(|_| ())
            };
            assert_eq!(later(&mut bench, 2000), Ok(()));
            let file = bench.beside(ending);
            let content = std::fs::read(&file).expect("read");
            // The number of the file must not be given to the next one.
            let _held = std::fs::File::open(&file).expect("open");
            std::fs::remove_file(&file).expect("remove");
            if replaced {
                std::fs::write(&file, content).expect("write");
            }
            let Err(StoreError::Fatal(told)) = later(&mut bench, 4000) else {
                panic!("{ending} has gone, and nobody noticed");
            };
            assert!(told.contains("was deleted"), "{told}");
            let kept = bench.store().commit(&accepting(&all[1..]));
            assert!(matches!(kept, Err(StoreError::Fatal(_))), "{kept:?}");
        }
    }
}

#[test]
fn what_the_wall_clock_was_is_known_at_the_next_opening_and_not_long_ago_while_messages_wait() {
    let mut bench = Bench::new(options(1));
    let wall = |bench: &Bench| bench.reader().facts().expect("facts").wall;
    let at = WallTime::from_unix_ms;
    assert_eq!(wall(&bench), None);
    let all = accepted(1);
    let commit = |bench: &mut Bench, ms| {
        let batch = Batch {
            wall: Some(at(ms)),
            ..accepting(&all)
        };
        bench.store().commit(&batch).expect("commit");
        // The next slice is of a store that has nothing else to do.
        bench.store().upkeep(at(ms)).expect("upkeep");
    };
    commit(&mut bench, 100_000);
    bench.kill();
    bench.open().expect("open");
    assert_eq!(wall(&bench), Some(at(100_000)));
    // Set back, which the batch knows of.
    commit(&mut bench, 50_000);
    bench.store().upkeep(at(59_999)).expect("upkeep");
    assert_eq!(wall(&bench), Some(at(50_000)));
    bench.store().upkeep(at(61_000)).expect("upkeep");
    bench.cut_power();
    bench.open().expect("open");
    assert_eq!(wall(&bench), Some(at(61_000)));
    // Nobody waits any more.
    let settled = confirmed(&all);
    bench.store().commit(&settling(&settled)).expect("commit");
    bench.store().upkeep(at(80_000)).expect("upkeep");
    bench.store().upkeep(at(99_000)).expect("upkeep");
    assert_eq!(wall(&bench), Some(at(61_000)));
}
