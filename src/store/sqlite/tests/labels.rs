//! The callers' labels: counted exactly, and gone with the last message of each.

use std::sync::Arc;

use super::super::operate;
use super::{Bench, Options, options, whole};
use crate::domain::{Caller, Status, Terms, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{Accepted, Batch, Filter, PageSize, ReadStore, StoreError, Tally, WriteStore};

fn labelled(row: u64, caller: &str, label: &str) -> Accepted {
    let mut one = one(row, "12345");
    let draft = &mut Arc::make_mut(&mut one.message).draft;
    draft.caller = Caller::from_stored(caller);
    let terms = Terms {
        group: Some(label.into()),
        ..Terms::default()
    };
    draft.terms = terms.boxed();
    one
}

fn tally(bench: &Bench, caller: &str, label: &str) -> Option<Tally> {
    let caller = Caller::from_stored(caller);
    bench.reader().group(Some(&caller), label).expect("read")
}

fn rows(bench: &mut Bench) -> i64 {
    let count = "SELECT count(*) FROM groups";
    let count = (bench.store().connection).query_row(count, [], |row| row.get(0));
    count.expect("a row")
}

fn forget_everything(bench: &mut Bench) {
    bench.store().options.history_bytes_max = 0;
    let now = WallTime::from_unix_ms(5000);
    while bench.store().upkeep(now).expect("upkeep").more {}
}

#[test]
fn a_label_goes_with_the_last_message_that_is_kept_of_it() {
    let mut bench = Bench::new(options(1));
    let all = [
        labelled(1, "", "ends"),
        labelled(2, "", "ends"),
        labelled(3, "", "stays"),
        labelled(4, "", "stays"),
        labelled(5, "other", "ends"),
    ];
    bench.store().commit(&accepting(&all)).expect("commit");
    let settled = [
        settlement(all[0].message.id, Status::Confirmed, 1),
        settlement(all[1].message.id, Status::Failed, 1),
        settlement(all[2].message.id, Status::Returned, 1),
    ];
    bench.store().commit(&settling(&settled)).expect("commit");
    let ends = Tally {
        confirmed: 1,
        failed: 1,
        ..Tally::default()
    };
    assert_eq!(tally(&bench, "", "ends"), Some(ends));
    forget_everything(&mut bench);
    assert_eq!(tally(&bench, "", "ends"), None);
    // What was forgotten still counts as long as something of it is kept.
    let stays = Tally {
        pending: 1,
        returned: 1,
        ..Tally::default()
    };
    assert_eq!(tally(&bench, "", "stays"), Some(stays));
    let other = Tally {
        pending: 1,
        ..Tally::default()
    };
    assert_eq!(tally(&bench, "other", "ends"), Some(other));
    whole(&bench);
    // The label begins anew.
    bench
        .store()
        .commit(&accepting(&[labelled(6, "", "ends")]))
        .expect("commit");
    assert_eq!(tally(&bench, "", "ends"), Some(other));
    bench.cut_power();
    bench.open().expect("open");
    assert_eq!(tally(&bench, "", "ends"), Some(other));
}

#[test]
fn a_message_that_comes_ends_and_is_forgotten_in_one_commit_leaves_no_label() {
    let mut bench = Bench::new(Options {
        history_bytes_max: 0,
        ..options(1)
    });
    for row in 1..=5 {
        let all = [labelled(row, "", &format!("label {row}"))];
        let settled = confirmed(&all);
        let batch = Batch {
            settled: &settled,
            ..accepting(&all)
        };
        bench.store().commit(&batch).expect("commit");
    }
    assert_eq!(rows(&mut bench), 0);
    whole(&bench);
}

#[test]
fn there_may_be_more_labels_than_the_writer_knows_by_heart() {
    let mut bench = Bench::new(options(1));
    for round in 0..3_u64 {
        for some in 0..12_u64 {
            let name = |at: u64| format!("label {}", some * 500 + at);
            let all: Vec<_> = (0..500)
                .map(|at| labelled(1 + round * 6000 + some * 500 + at, "", &name(at)))
                .collect();
            bench.store().commit(&accepting(&all)).expect("commit");
        }
    }
    assert_eq!(rows(&mut bench), 6000);
    let three = Tally {
        pending: 3,
        ..Tally::default()
    };
    for label in ["label 0", "label 4095", "label 4096", "label 5999"] {
        assert_eq!(tally(&bench, "", label), Some(three), "{label}");
    }
    whole(&bench);
}

#[test]
fn a_label_that_was_rolled_back_leaves_its_number_to_the_next() {
    let mut bench = Bench::new(options(1));
    bench.faults.fill_disk_after(0);
    let refused = bench
        .store()
        .commit(&accepting(&[labelled(1, "", "first")]));
    assert_eq!(refused, Err(StoreError::Full));
    bench.faults.heal();
    for (row, label) in [(2, "second"), (3, "first")] {
        let kept = bench
            .store()
            .commit(&accepting(&[labelled(row, "", label)]));
        kept.expect("commit");
    }
    let labels: Vec<_> = bench
        .pending()
        .iter()
        .map(|one| one.message.draft.group().map(str::to_owned))
        .collect();
    assert_eq!(labels, [Some("second".into()), Some("first".into())]);
    whole(&bench);
}

#[test]
fn the_same_label_of_two_callers_is_two_labels_and_one_filter() {
    let mut bench = Bench::new(options(1));
    let all = [
        labelled(1, "a", "label"),
        labelled(2, "b", "label"),
        labelled(3, "a", "another"),
        one(4, "x"),
    ];
    bench.store().commit(&accepting(&all)).expect("commit");
    let rows = |caller: Option<&str>, label: &str| -> Vec<_> {
        let filter = Filter {
            caller: caller.map(Caller::from_stored),
            group: Some(label.into()),
            ..Filter::default()
        };
        let size = PageSize {
            records_max: 9,
            examined_max: 9,
        };
        let page = bench.reader().list(&filter, None, size).expect("read");
        let found = page.records.iter();
        found.map(|record| record.id.row().get()).collect()
    };
    assert_eq!(rows(None, "label"), [2, 1]);
    assert_eq!(rows(Some("a"), "label"), [1]);
    assert_eq!(rows(Some("a"), "another"), [3]);
    assert!(rows(Some("b"), "another").is_empty());
    assert!(rows(None, "none").is_empty());
}

#[test]
fn check_holds_labels_against_the_rows() {
    let mut bench = Bench::new(options(1));
    let all = [
        labelled(1, "a", "label"),
        labelled(2, "a", "label"),
        labelled(3, "b", "other"),
    ];
    bench.store().commit(&accepting(&all)).expect("commit");
    let settled = confirmed(&all[..1]);
    bench.store().commit(&settling(&settled)).expect("commit");
    whole(&bench);
    for (wrong, told) in [
        (
            "UPDATE groups SET pending = 2 WHERE id = 1",
            "pending of label \"label\": the tally says 2, the rows say 1",
        ),
        (
            "UPDATE groups SET kept = 3 WHERE id = 1",
            "kept of label \"label\": the tally says 3, the rows say 2",
        ),
        (
            "UPDATE groups SET confirmed = 0 WHERE id = 1",
            "settled with status 1 of label \"label\": the tally says 0",
        ),
        (
            "INSERT INTO groups VALUES (9, 1, 'nothing', 0, 0, 0, 0, 0)",
            "kept of label \"nothing\": the tally says 0, the rows say 0",
        ),
        (
            "UPDATE settled SET label = 2",
            "of another caller of label \"other\"",
        ),
        (
            "UPDATE settled SET label = 7",
            "kept of label \"without a row, number 7\"",
        ),
    ] {
        let copy = bench.beside(".copy");
        operate::backup(bench.path(), &copy).expect("backup");
        let other = rusqlite::Connection::open(&copy).expect("open");
        other.execute_batch(wrong).expect("alter");
        other.close().expect("close");
        let problems = operate::check(&copy).expect("check").join("\n");
        assert!(problems.contains(told), "{told} is missing in:\n{problems}");
        std::fs::remove_file(&copy).expect("remove");
    }
}
