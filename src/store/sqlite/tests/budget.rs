//! Budgets: what goes first, what never goes, and that the files stay bounded.

use super::{Bench, Options, options};
use crate::domain::{MessageId, Status, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{Accepted, Batch, Lookup, ReadStore, StoreError, WriteStore};

fn at(ms: u64) -> WallTime {
    WallTime::from_unix_ms(ms)
}

fn upkeep(bench: &mut Bench, now: WallTime) {
    while bench.store().upkeep(now).expect("upkeep").more {}
}

/// Settles each as told, at its row's millisecond.
fn settle(bench: &mut Bench, all: &[Accepted], status: impl Fn(u64) -> Status) {
    for some in all.chunks(10) {
        let settled: Vec<_> = some
            .iter()
            .map(|one| {
                let row = one.message.id.row().get();
                settlement(one.message.id, status(row), row)
            })
            .collect();
        bench.store().commit(&settling(&settled)).expect("commit");
    }
}

fn is_kept(bench: &Bench, id: MessageId) -> bool {
    let found = bench.reader().get(id).expect("read");
    assert_ne!(found, Lookup::NotFound, "{id} was accepted");
    found != Lookup::Expired
}

fn payloads(bench: &mut Bench) -> u64 {
    let count = "SELECT count(*) FROM payloads";
    let count = bench
        .store()
        .connection
        .query_row(count, [], |row| row.get::<_, i64>(0));
    count.expect("a row").cast_unsigned()
}

#[test]
fn confirmed_messages_go_first_then_payloads_then_the_others() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=100).map(|row| one(row, vec![1; 1000])).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    let status = |row| {
        if row % 10 == 0 {
            Status::Returned
        } else {
            Status::Confirmed
        }
    };
    settle(&mut bench, &all[..90], status);
    let full = bench.reader().facts().expect("facts");
    assert_eq!(
        (full.confirmed, full.returned, payloads(&mut bench)),
        (81, 9, 9)
    );
    let mut last = (full.confirmed, payloads(&mut bench), full.returned);
    for budget in (0..full.history_bytes).rev().step_by(200).chain([0]) {
        bench.store().options.history_bytes_max = budget;
        upkeep(&mut bench, at(1));
        let facts = bench.reader().facts().expect("facts");
        assert!(facts.history_bytes <= budget);
        let now = (facts.confirmed, payloads(&mut bench), facts.returned);
        assert!(
            now.1 == 9 || now.0 == 0,
            "a payload went before {} confirmed ones",
            now.0
        );
        assert!(
            now.2 == 9 || now.1 == 0,
            "a row went before {} payloads",
            now.1
        );
        assert!(now <= last);
        last = now;
    }
    assert_eq!(last, (0, 0, 0));
    assert_eq!(bench.pending().len(), 10);
    assert!(!is_kept(&bench, all[0].message.id));
    assert!(is_kept(&bench, all[95].message.id));
}

#[test]
fn history_goes_by_age_in_the_order_of_settlement_and_stays_gone() {
    let options = Options {
        history_age: std::time::Duration::from_secs(10),
        ..options(1)
    };
    let mut bench = Bench::new(options);
    let all: Vec<_> = (1..=4).map(|row| one(row, "x")).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    // The oldest message is settled last.
    for (message, ms) in [(3, 1000), (2, 2000), (1, 3000), (0, 20_000)] {
        let status = if message == 2 {
            Status::Failed
        } else {
            Status::Confirmed
        };
        let settled = [settlement(all[message].message.id, status, ms)];
        bench.store().commit(&settling(&settled)).expect("commit");
    }
    let kept = |bench: &Bench| -> Vec<_> {
        all.iter()
            .map(|one| is_kept(bench, one.message.id))
            .collect()
    };
    upkeep(&mut bench, at(10_999));
    assert_eq!(kept(&bench), [true; 4]);
    upkeep(&mut bench, at(12_001));
    assert_eq!(kept(&bench), [true, true, false, false]);
    upkeep(&mut bench, at(30_000));
    assert_eq!(kept(&bench), [true, false, false, false]);
    bench.cut_power();
    bench.open().expect("open");
    assert_eq!(kept(&bench), [true, false, false, false]);
    assert_eq!(payloads(&mut bench), 0);
}

#[test]
fn a_full_store_refuses_messages_takes_settlements_and_recovers() {
    let limits = Options {
        store_bytes_max: 4 << 20,
        reserve_bytes: 1 << 20,
        ..options(1)
    };
    let mut bench = Bench::new(limits);
    let mut all = Vec::new();
    loop {
        let next = one(all.len() as u64 + 1, vec![9; 3000]);
        let batch = [next.clone()];
        match bench.store().commit(&accepting(&batch)) {
            Ok(()) => all.push(next),
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                break;
            }
        }
        assert!(all.len() < 10_000, "it never fills up");
        bench.store().upkeep(at(1)).expect("upkeep");
    }
    assert!(all.len() > 300, "{}", all.len());
    assert_eq!(bench.pending().len(), all.len());
    let next = [one(1_000_000, vec![9; 3000])];
    let mixed = Batch {
        settled: &[settlement(all[0].message.id, Status::Confirmed, 1)],
        ..accepting(&next)
    };
    assert_eq!(bench.store().commit(&mixed), Err(StoreError::Full));
    assert_eq!(bench.pending().len(), all.len());
    settle(&mut bench, &all, |_| Status::Confirmed);
    upkeep(&mut bench, at(5000));
    bench
        .store()
        .commit(&accepting(&next))
        .expect("there is room again");
    let used = bench.reader().facts().expect("facts").file_bytes;
    assert!(used < 4 << 20, "{used}");
}

/// A store of the least size that can be configured, in small: a quarter of it is the reserve.
fn small() -> Options {
    Options {
        store_bytes_max: 4 << 20,
        reserve_bytes: 1 << 20,
        ..options(1)
    }
}

#[test]
fn history_makes_way_before_messages_are_refused() {
    let mut bench = Bench::new(small());
    let message = |row| {
        let mut one = one(row, "x");
        let draft = &mut std::sync::Arc::make_mut(&mut one.message).draft;
        draft.ordering_key = Some("k".repeat(200).into());
        one
    };
    for round in 0..80 {
        let all: Vec<_> = (1..=200).map(|at| message(round * 200 + at)).collect();
        let kept = bench.store().commit(&accepting(&all));
        assert_eq!(kept, Ok(()), "round {round}");
        bench.store().upkeep(at(round)).expect("upkeep");
        let end = |one: &Accepted| match one.message.id.row().get() % 50 {
            0 => settlement(one.message.id, Status::Failed, round),
            _ => settlement(one.message.id, Status::Confirmed, round),
        };
        let settled: Vec<_> = all.iter().map(end).collect();
        bench.store().commit(&settling(&settled)).expect("commit");
        bench.store().upkeep(at(round)).expect("upkeep");
    }
    let facts = bench.reader().facts().expect("facts");
    assert!(facts.horizon.is_some(), "it never got tight");
    assert!(facts.failed > 100, "what was confirmed goes first");
}

#[test]
fn while_nothing_is_settled_history_makes_way_too() {
    for payload_bytes in [100, 3000, 100_000] {
        let mut bench = Bench::new(small());
        let old: Vec<_> = (1..=10_000).map(|row| one(row, "x")).collect();
        for some in old.chunks(500) {
            bench.store().commit(&accepting(some)).expect("commit");
            bench.store().upkeep(at(1)).expect("upkeep");
            let settled = confirmed(some);
            bench.store().commit(&settling(&settled)).expect("commit");
            bench.store().upkeep(at(1)).expect("upkeep");
        }
        let before = bench.reader().facts().expect("facts");
        assert_eq!(before.confirmed, 10_000);
        let mut row = 10_000;
        loop {
            row += 1;
            let next = [one(row, vec![5; payload_bytes])];
            match bench.store().commit(&accepting(&next)) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, StoreError::Full);
                    break;
                }
            }
            assert!(row < 100_000, "it never fills up");
            bench.store().upkeep(at(row)).expect("upkeep");
        }
        let facts = bench.reader().facts().expect("facts");
        let left = facts.history_bytes;
        assert!(left <= (4 << 20) / 64, "{left} bytes of history are left");
        let bytes: u64 = facts.pending.iter().map(|facts| facts.bytes).sum();
        assert!(bytes > 1 << 20, "{bytes} bytes of messages found room");
    }
}

#[test]
fn what_was_settled_last_is_told_although_the_store_is_full() {
    let mut bench = Bench::new(small());
    let mut all = Vec::new();
    loop {
        let next = [one(all.len() as u64 + 1, vec![5; 10_000])];
        match bench.store().commit(&accepting(&next)) {
            Ok(()) => all.extend(next),
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                break;
            }
        }
        upkeep(&mut bench, at(all.len() as u64));
    }
    for some in all.chunks(10) {
        let settled = confirmed(some);
        bench.store().commit(&settling(&settled)).expect("commit");
        upkeep(&mut bench, at(1));
    }
    assert!(all.len() > 100, "{} found room", all.len());
    assert!(all.iter().all(|one| is_kept(&bench, one.message.id)));
}

#[test]
fn a_log_that_cannot_start_anew_takes_no_history_with_it() {
    let limits = Options {
        store_bytes_max: 8 << 20,
        vfs: None,
        ..options(1)
    };
    let mut bench = Bench::new(limits);
    let first = [one(1, "x")];
    bench.store().commit(&accepting(&first)).expect("commit");
    settle(&mut bench, &first, |_| Status::Confirmed);
    let operator = rusqlite::Connection::open(bench.path()).expect("open");
    operator
        .execute_batch("BEGIN; SELECT count(*) FROM settled")
        .expect("a long query");
    let log = |bench: &Bench| std::fs::metadata(bench.beside("-wal")).map_or(0, |log| log.len());
    let mut row = 1;
    let mut refused = false;
    while !refused {
        row += 1;
        let next = [one(row, "x")];
        let kept = bench.store().commit(&accepting(&next));
        refused = kept == Err(StoreError::Full);
        if !refused {
            kept.expect("commit");
            settle(&mut bench, &next, |_| Status::Confirmed);
        }
        upkeep(&mut bench, at(row * 1000));
        assert!(row < 10_000, "the log stays at {} bytes", log(&bench));
    }
    assert!(log(&bench) > 7 << 20, "{}", log(&bench));
    assert!(is_kept(&bench, first[0].message.id));
    // Once the query is over, the log starts anew and there is room again.
    operator.execute_batch("COMMIT").expect("the query ends");
    for _ in 0..1000 {
        row += 1;
        if bench.store().commit(&accepting(&[one(row, "x")])).is_ok() {
            return;
        }
        upkeep(&mut bench, at(row * 1000));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("there is no room again");
}

#[test]
fn the_files_reach_a_plateau() {
    let limits = Options {
        store_bytes_max: 16 << 20,
        history_bytes_max: 300_000,
        ..options(2)
    };
    let mut bench = Bench::new(limits);
    let mut sizes = Vec::new();
    for round in 0..400_u64 {
        let all: Vec<_> = (1..=50)
            .map(|at| Accepted {
                partition: u8::from(at % 3 == 0),
                ..one(round * 50 + at, vec![5; 500])
            })
            .collect();
        let settled: Vec<_> = all
            .iter()
            .map(|one| settlement(one.message.id, Status::Confirmed, round))
            .collect();
        bench.store().commit(&accepting(&all)).expect("commit");
        bench.store().commit(&settling(&settled)).expect("commit");
        bench.store().upkeep(at(round)).expect("upkeep");
        let size = |path| std::fs::metadata(path).map_or(0, |file| file.len());
        sizes.push((size(bench.path().to_owned()), size(bench.beside("-wal"))));
    }
    let largest = |sizes: &[(u64, u64)]| sizes.iter().map(|size| size.0).max();
    let (early, late) = (largest(&sizes[..200]), largest(&sizes[200..]));
    assert!(
        late <= early.map(|early| early / 10 * 11),
        "{early:?}, then {late:?}"
    );
    let log = sizes.iter().map(|size| size.1).max();
    assert!(log < Some(8 << 20), "{log:?}");
    assert!(bench.reader().facts().expect("facts").history_bytes <= 400_000);
}

#[test]
fn space_that_is_no_longer_needed_goes_back_to_the_file_system() {
    let mut bench = Bench::new(Options {
        history_bytes_max: 0,
        ..options(1)
    });
    let all: Vec<_> = (1..=100).map(|row| one(row, vec![5; 1 << 20])).collect();
    for one in &all {
        bench
            .store()
            .commit(&accepting(std::slice::from_ref(one)))
            .expect("commit");
    }
    settle(&mut bench, &all, |_| Status::Confirmed);
    let size = |bench: &Bench| {
        let pages = super::super::connection::pragma(
            &bench.open.as_ref().expect("open").store.connection,
            "PRAGMA page_count",
        );
        pages.expect("pages") * 4096
    };
    assert!(size(&bench) > 100 << 20);
    upkeep(&mut bench, at(5000));
    assert!(size(&bench) < 70 << 20, "{}", size(&bench));
}
