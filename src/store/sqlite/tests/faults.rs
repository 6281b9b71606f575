//! A disk that loses, refuses or fails.

use std::sync::Arc;

use super::super::{OpenError, SqliteStore};
use super::{Bench, options};
use crate::domain::{RowId, Status, Turn, WallTime};
use crate::store::contract::samples::{accepted, accepting, confirmed, settlement, settling};
use crate::store::{Batch, Lookup, ReadStore, Replayed, StoreError, WriteStore};

fn bench() -> Bench {
    Bench::new(options(1))
}

fn row(row: u64) -> RowId {
    RowId::from_stored(row)
}

#[test]
fn a_power_cut_takes_nothing_that_was_committed() {
    let mut bench = bench();
    let all = accepted(50);
    for (at, one) in all.iter().enumerate() {
        bench
            .store()
            .commit(&accepting(std::slice::from_ref(one)))
            .expect("commit");
        if at % 2 == 0 {
            let settled = confirmed(std::slice::from_ref(one));
            bench.store().commit(&settling(&settled)).expect("commit");
        }
        if at % 7 == 0 {
            bench
                .store()
                .upkeep(WallTime::from_unix_ms(at as u64 * 1000))
                .expect("upkeep");
        }
        bench.cut_power();
        bench.open().expect("open");
        let facts = bench.reader().facts().expect("facts");
        assert_eq!(facts.last_row, Some(one.message.id.row()));
        assert_eq!(facts.pending_messages() + facts.confirmed, at as u64 + 1);
    }
}

#[test]
fn the_frames_of_a_commit_go_to_the_log_together() {
    let mut bench = bench();
    let all = accepted(100);
    bench.store().commit(&accepting(&all)).expect("commit");
    let (writes, syncs) = (bench.faults.writes(), bench.faults.syncs());
    bench
        .store()
        .commit(&settling(&confirmed(&all)))
        .expect("commit");
    assert_eq!(bench.faults.writes() - writes, 1);
    assert_eq!(bench.faults.syncs() - syncs, 1);
}

/// What a transaction has written that is rolled back could be found when others have written behind it.
#[test]
fn nothing_goes_to_the_log_before_the_commit_however_large_it_is() {
    let mut bench = bench();
    let writes = bench.faults.writes();
    let large = "BEGIN IMMEDIATE; CREATE TABLE large (x);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 24)
        INSERT INTO large SELECT zeroblob(1 << 20) FROM n";
    let connection = &bench.store().connection;
    connection.execute_batch(large).expect("24 MiB");
    assert_eq!(bench.faults.writes(), writes);
    let connection = &bench.store().connection;
    connection.execute_batch("ROLLBACK").expect("rolled back");
    assert_eq!(bench.faults.writes(), writes);
}

#[test]
fn a_power_cut_amid_a_checkpoint_takes_nothing() {
    for writes in 0..12 {
        let mut bench = bench();
        let all = accepted(40);
        bench.store().commit(&accepting(&all)).expect("commit");
        bench.faults.fail_writes_after(writes);
        let _ = bench
            .store()
            .connection
            .wal_checkpoint_v2(None::<&str>, rusqlite::wal::CheckpointMode::TRUNCATE);
        bench.cut_power();
        bench.open().expect("open");
        assert_eq!(bench.pending().len(), 40, "after {writes} writes");
    }
}

#[test]
fn each_commit_is_one_sync_of_the_log() {
    let mut bench = bench();
    bench
        .store()
        .commit(&accepting(&accepted(1)))
        .expect("commit");
    let before = bench.faults.syncs();
    let settled = confirmed(&accepted(1));
    bench.store().commit(&settling(&settled)).expect("commit");
    assert_eq!(bench.faults.syncs() - before, 1);
}

#[test]
fn sqlite_was_built_to_sync_data_alone() {
    let flags = include_str!("../../../../.cargo/config.toml");
    assert!(flags.contains("-DHAVE_FDATASYNC=1"));
    let mut bench = bench();
    // What else is in the same variable shows; the macro of the system does not.
    let shown = "SELECT sqlite_compileoption_used('DEFAULT_MEMSTATUS=0')";
    let shown: bool = bench
        .store()
        .connection
        .query_row(shown, [], |row| row.get(0))
        .expect("a row");
    assert!(
        shown,
        "the flags of .cargo/config.toml did not reach the build"
    );
}

#[test]
fn a_full_disk_keeps_nothing_of_the_batch_and_the_store_goes_on() {
    let mut bench = bench();
    let all = accepted(30);
    bench
        .store()
        .commit(&accepting(&all[..10]))
        .expect("commit");
    bench.faults.fill_disk_after(0);
    assert_eq!(
        bench.store().commit(&accepting(&all[10..])),
        Err(StoreError::Full)
    );
    assert_eq!(bench.pending().len(), 10);
    bench.faults.heal();
    bench
        .store()
        .commit(&accepting(&all[10..]))
        .expect("commit");
    assert_eq!(bench.pending().len(), 30);
    bench.cut_power();
    bench.open().expect("open");
    assert_eq!(bench.pending().len(), 30);
}

#[test]
fn a_disk_that_fills_up_amid_a_commit_keeps_all_of_it_or_nothing() {
    let mut seen = [0, 0];
    for writes in 0..40 {
        let mut bench = bench();
        let all = accepted(40);
        bench
            .store()
            .commit(&accepting(&all[..20]))
            .expect("commit");
        let settled = confirmed(&all[..10]);
        let batch = Batch {
            settled: &settled,
            ..accepting(&all[20..])
        };
        bench.faults.fill_disk_after(writes);
        let kept = bench.store().commit(&batch);
        bench.faults.heal();
        let facts = bench.reader().facts().expect("facts");
        let expected = match &kept {
            Ok(()) => (30, 10),
            Err(error) => {
                assert_eq!(*error, StoreError::Full);
                (20, 0)
            }
        };
        assert_eq!((facts.pending_messages(), facts.confirmed), expected);
        seen[usize::from(kept.is_ok())] += 1;
        bench.cut_power();
        // The opening compares all counters with the rows.
        bench.open().expect("open");
        assert_eq!(
            bench.pending().len(),
            usize::try_from(expected.0).expect("small")
        );
    }
    assert!(seen[0] > 2 && seen[1] > 2, "{seen:?}");
}

#[test]
fn settlements_fit_on_a_full_disk_because_room_was_set_aside() {
    let mut bench = Bench::new(super::Options {
        reserve_bytes: 1 << 20,
        ..options(1)
    });
    let all = accepted(10);
    bench.store().commit(&accepting(&all)).expect("commit");
    let reserve = bench.beside(".reserve");
    assert_eq!(
        std::fs::metadata(&reserve).expect("it is there").len(),
        1 << 20
    );
    bench.faults.fill_disk_while(&reserve);
    let batch = Batch {
        settled: &confirmed(&all[..5]),
        ..accepting(&all[5..])
    };
    assert_eq!(bench.store().commit(&batch), Err(StoreError::Full));
    bench
        .store()
        .commit(&settling(&confirmed(&all[..5])))
        .expect("commit");
    assert_eq!(bench.reader().facts().expect("facts").confirmed, 5);
    assert!(!reserve.exists());
    // Upkeep sets the room aside again.
    bench.faults.heal();
    bench
        .store()
        .upkeep(WallTime::from_unix_ms(5000))
        .expect("upkeep");
    bench
        .store()
        .upkeep(WallTime::from_unix_ms(10_000))
        .expect("upkeep");
    assert!(reserve.exists());
}

#[test]
fn what_is_sent_again_takes_nothing_of_the_room_that_was_set_aside_for_settlements() {
    let mut bench = Bench::new(super::Options {
        reserve_bytes: 1 << 20,
        ..options(1)
    });
    let all = accepted(2);
    bench.store().commit(&accepting(&all)).expect("commit");
    let returned = [settlement(all[0].message.id, Status::Returned, 1)];
    bench.store().commit(&settling(&returned)).expect("commit");
    let reserve = bench.beside(".reserve");
    bench.faults.fill_disk_while(&reserve);
    let replayed = [Replayed {
        id: all[0].message.id,
        turn: Turn::from_stored(9),
        partition: 0,
        at: WallTime::from_unix_ms(9),
    }];
    let batch = Batch {
        replayed: &replayed,
        ..Batch::default()
    };
    assert_eq!(bench.store().commit(&batch), Err(StoreError::Full));
    assert!(reserve.exists());
    let settled = confirmed(&all[1..]);
    bench.store().commit(&settling(&settled)).expect("commit");
}

#[test]
fn a_failed_write_is_the_end_and_what_was_told_is_there_afterwards() {
    for writes in 0..6 {
        let mut bench = bench();
        let all = accepted(20);
        bench
            .store()
            .commit(&accepting(&all[..10]))
            .expect("commit");
        bench.faults.fail_writes_after(writes);
        let failed = bench.store().commit(&accepting(&all[10..]));
        let Err(StoreError::Fatal(_)) = failed else {
            // The batch needed fewer writes than were left.
            assert_eq!(failed, Ok(()));
            continue;
        };
        bench.faults.heal();
        assert_eq!(bench.store().commit(&accepting(&all[10..])), failed);
        assert_eq!(
            bench.store().upkeep(WallTime::from_unix_ms(1)).map(|_| ()),
            failed
        );
        assert_eq!(bench.store().close(), failed);
        bench.cut_power();
        bench.open().expect("open");
        assert_eq!(bench.pending().len(), 10);
    }
}

#[test]
fn a_failed_sync_is_the_end_and_is_never_tried_again() {
    let mut bench = bench();
    let all = accepted(20);
    bench
        .store()
        .commit(&accepting(&all[..10]))
        .expect("commit");
    bench.faults.fail_syncs_after(0);
    let failed = bench.store().commit(&accepting(&all[10..]));
    assert!(matches!(failed, Err(StoreError::Fatal(_))), "{failed:?}");
    bench.faults.heal();
    let syncs = bench.faults.syncs();
    assert_eq!(bench.store().commit(&accepting(&all[10..])), failed);
    assert_eq!(bench.faults.syncs(), syncs);
    bench.cut_power();
    bench.open().expect("open");
    assert_eq!(bench.pending().len(), 10);
}

#[test]
fn ids_go_on_behind_the_last_one_even_when_nothing_is_kept() {
    let mut bench = Bench::new(super::Options {
        history_bytes_max: 0,
        ..options(1)
    });
    let all = accepted(9);
    let settled = confirmed(&all);
    bench
        .store()
        .commit(&Batch {
            settled: &settled,
            ..accepting(&all)
        })
        .expect("commit");
    while bench
        .store()
        .upkeep(WallTime::from_unix_ms(1))
        .expect("upkeep")
        .more
    {}
    bench.cut_power();
    let opened = bench.open().expect("open");
    assert_eq!(opened.last_row, Some(row(9)));
    assert_eq!(bench.reader().get(all[3].message.id), Ok(Lookup::Expired));
}

#[test]
fn a_second_gateway_is_kept_out_with_a_clear_message() {
    let mut bench = bench();
    let second = SqliteStore::open(bench.path(), &bench.options, WallTime::from_unix_ms(0));
    let error = second.err().expect("refused");
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(
        error.to_string().contains("another gateway is using"),
        "{error}"
    );
    bench.close();
    bench.open().expect("open");
}

#[test]
fn returned_and_failed_messages_keep_their_payload_and_confirmed_ones_do_not() {
    let mut bench = bench();
    let all = accepted(3);
    let statuses = [Status::Confirmed, Status::Returned, Status::Failed];
    let settled: Vec<_> = all
        .iter()
        .zip(statuses)
        .map(|(one, status)| settlement(one.message.id, status, 1))
        .collect();
    bench
        .store()
        .commit(&Batch {
            settled: &settled,
            ..accepting(&all)
        })
        .expect("commit");
    let connection = &bench.store().connection;
    let kept = "SELECT group_concat(row) FROM payloads";
    let kept: String = connection
        .query_row(kept, [], |row| row.get(0))
        .expect("a row");
    assert_eq!(kept, "2,3");
}

#[test]
fn a_message_comes_back_with_everything_in_it() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut bench = bench();
    let mut all = Vec::new();
    for row in 1..200 {
        let properties = crate::store::contract::samples::any_properties();
        let properties = properties.new_tree(&mut runner).expect("a value").current();
        all.push(crate::store::contract::full_message(row, properties));
    }
    bench.store().commit(&accepting(&all)).expect("commit");
    bench.cut_power();
    bench.open().expect("open");
    let found: Vec<_> = bench.pending().into_iter().map(|one| one.message).collect();
    let expected: Vec<_> = all.iter().map(|one| Arc::clone(&one.message)).collect();
    assert_eq!(found, expected);
}
