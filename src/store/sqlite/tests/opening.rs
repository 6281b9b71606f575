//! What is open, and under which name.

use super::{Bench, options};
use crate::store::contract::samples::{accepted, accepting};
use crate::store::{ReadStore, StoreError, WriteStore};

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
