//! Questions: what damage they notice, and what they cost.

use std::sync::Arc;

use super::super::operate;
use super::super::schedule::{BY_TIME, OVERDUE_AFTER, OVERDUE_AT, overdue_sql};
use super::super::sources::{Order, Source};
use super::{Bench, alter, options};
use crate::domain::{Caller, RowId, Status};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{Accepted, Batch, Oldest, ReadStore, StoreError, Tally, WriteStore};

fn of(caller: &Caller, row: u64) -> Accepted {
    let mut one = one(row, "12345");
    Arc::make_mut(&mut one.message).draft.caller = caller.clone();
    one
}

fn named(name: &str) -> Caller {
    Caller::named(name).expect("a name")
}

#[test]
fn a_caller_that_was_rolled_back_leaves_its_number_to_the_next() {
    let mut bench = Bench::new(options(1));
    let (first, second) = (named("first"), named("second"));
    bench.faults.fill_disk_after(0);
    let refused = bench.store().commit(&accepting(&[of(&first, 1)]));
    assert_eq!(refused, Err(StoreError::Full));
    bench.faults.heal();
    for (row, caller) in [(2, &second), (3, &first)] {
        let kept = bench.store().commit(&accepting(&[of(caller, row)]));
        kept.expect("commit");
    }
    let callers: Vec<_> = bench
        .pending()
        .iter()
        .map(|one| one.message.draft.caller.clone())
        .collect();
    assert_eq!(callers, [second.clone(), first.clone()]);
    for caller in [&first, &second] {
        let tally = bench.reader().tally(Some(caller)).expect("read");
        assert_eq!((tally.pending, tally.accepted()), (1, 1), "{caller}");
    }
}

#[test]
fn what_a_refused_commit_would_have_settled_is_not_counted() {
    let mut bench = Bench::new(options(1));
    let caller = named("caller");
    let all = [of(&caller, 1), of(&caller, 2)];
    bench.store().commit(&accepting(&all)).expect("commit");
    let settled = confirmed(&all);
    bench.faults.fill_disk_after(0);
    let refused = bench.store().commit(&settling(&settled));
    assert_eq!(refused, Err(StoreError::Full));
    bench.faults.heal();
    bench
        .store()
        .commit(&settling(&settled[..1]))
        .expect("commit");
    let tally = Tally {
        pending: 1,
        confirmed: 1,
        ..Tally::default()
    };
    assert_eq!(bench.reader().tally(Some(&caller)), Ok(tally));
}

#[test]
fn a_message_that_was_given_to_another_caller_is_damaged() {
    let mut bench = Bench::new(options(1));
    let all = [
        of(&named("first"), 1),
        of(&named("second"), 2),
        one(3, "12345"),
    ];
    bench.store().commit(&accepting(&all)).expect("commit");
    for (key, caller) in [(1, 3), (1, 1), (3, 2)] {
        alter(
            &bench,
            &format!("UPDATE pending SET caller = {caller} WHERE key = {key}"),
        );
        let read = bench.reader().pending(0, None, 9, usize::MAX);
        assert!(matches!(read, Err(StoreError::Fatal(_))), "{read:?}");
        let right = if key == 1 { 2 } else { 1 };
        alter(
            &bench,
            &format!("UPDATE pending SET caller = {right} WHERE key = {key}"),
        );
    }
    assert_eq!(bench.pending().len(), 3);
}

#[test]
fn a_payload_that_was_altered_is_not_handed_out() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=3).map(|row| of(&named("caller"), row)).collect();
    let settled = [
        settlement(all[0].message.id, Status::Returned, 1),
        settlement(all[1].message.id, Status::Failed, 1),
    ];
    let batch = Batch {
        settled: &settled,
        ..accepting(&all)
    };
    bench.store().commit(&batch).expect("commit");
    for one in &all {
        assert!(bench.reader().payload(one.message.id).is_ok());
    }
    alter(
        &bench,
        "UPDATE payloads SET payload = CAST('12346' AS BLOB) WHERE row = 1;
         UPDATE settled SET routing_key = 'another' WHERE row = 2;
         UPDATE pending SET payload = CAST('12346' AS BLOB) WHERE key = 3;",
    );
    for one in &all {
        let read = bench.reader().payload(one.message.id);
        assert!(matches!(read, Err(StoreError::Fatal(_))), "{read:?}");
    }
}

#[test]
fn check_holds_the_tallies_against_the_rows() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=4).map(|row| of(&named("caller"), row)).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    let settled = confirmed(&all[..2]);
    bench.store().commit(&settling(&settled)).expect("commit");
    let none: Vec<String> = Vec::new();
    assert_eq!(operate::check(bench.path()).expect("check"), none);
    for (wrong, told) in [
        (
            "pending = 3",
            "pending of caller \"caller\": the tally says 3, the rows say 2",
        ),
        (
            "pending = 1",
            "pending of caller \"caller\": the tally says 1, the rows say 2",
        ),
        (
            "confirmed = 1",
            "settled with status 1 of caller \"caller\": the tally says 1",
        ),
        ("failed = 1", "3 messages were settled, and 2"),
        ("id = 9", "there is no caller with the number 2"),
        ("id = 9", "caller \"without a row, number 2\""),
    ] {
        alter(
            &bench,
            &format!(
                "CREATE TABLE was AS SELECT * FROM callers;
                UPDATE callers SET {wrong} WHERE name = 'caller'"
            ),
        );
        let problems = operate::check(bench.path()).expect("check").join("\n");
        assert!(problems.contains(told), "{told} is missing in:\n{problems}");
        alter(
            &bench,
            "DELETE FROM callers; INSERT INTO callers SELECT * FROM was; DROP TABLE was",
        );
    }
    assert_eq!(operate::check(bench.path()).expect("check"), none);
}

/// How `SQLite` means to answer.
fn plan(bench: &Bench, sql: &str) -> Vec<String> {
    let explain = |connection: &rusqlite::Connection| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let lines = statement.raw_query().mapped(|row| row.get(3));
        Ok(lines.collect::<Result<_, _>>()?)
    };
    bench.reader().ask(explain).expect("a plan")
}

#[test]
fn lists_read_keys_in_their_order_and_sort_nothing() {
    let bench = Bench::new(options(1));
    let by_key = "SEARCH pending USING INTEGER PRIMARY KEY (rowid=?)";
    for (source, wanted) in [
        (
            Source::Pending(3),
            &["SEARCH pending USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"][..],
        ),
        (
            Source::Moved,
            &[
                "SEARCH later_turns USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
                by_key,
            ],
        ),
        (
            Source::Scheduled,
            &["SEARCH scheduled USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
        ),
        (
            Source::Settled,
            &["SEARCH settled USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
        ),
        (
            Source::Unconfirmed(Status::Failed),
            &["SEARCH settled USING INDEX settled_unconfirmed (status=? AND rowid>? AND rowid<?)"],
        ),
    ] {
        for order in [Order::Oldest, Order::Newest] {
            assert_eq!(plan(&bench, &source.sql(order)), wanted);
        }
    }
}

#[test]
fn what_is_due_or_overdue_is_found_by_its_time_and_nothing_is_sorted() {
    let bench = Bench::new(options(1));
    assert_eq!(
        plan(&bench, BY_TIME),
        ["SEARCH scheduled USING COVERING INDEX scheduled_due (moves=?)"]
    );
    for (which, wanted) in [
        (
            OVERDUE_AT,
            "SEARCH time_limits USING PRIMARY KEY (at=? AND turn>?)",
        ),
        (
            OVERDUE_AFTER,
            "SEARCH time_limits USING PRIMARY KEY (at>? AND at<?)",
        ),
    ] {
        let by_key = "SEARCH pending USING INTEGER PRIMARY KEY (rowid=?)";
        assert_eq!(plan(&bench, &overdue_sql(which)), [wanted, by_key]);
    }
}

#[test]
fn the_oldest_of_a_caller_is_looked_for_no_further_than_was_said() {
    let mut bench = Bench::new(options(2));
    let (many, few) = (named("many"), named("few"));
    let message = |row| Accepted {
        partition: u8::from(row % 3 == 0),
        ..of(if row < 100 { &many } else { &few }, row)
    };
    let all: Vec<_> = (1..=101).map(message).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    let ask = |caller: &Caller, examined_max| {
        let found = bench.reader().oldest_pending(Some(caller), examined_max);
        found.expect("read")
    };
    let oldest = |row: usize| Oldest::Message(all[row - 1].message.id);
    assert_eq!(ask(&many, 1), oldest(1));
    assert_eq!(ask(&few, 50), Oldest::After(RowId::from_stored(50)));
    assert_eq!(ask(&few, 99), Oldest::After(RowId::from_stored(99)));
    assert_eq!(ask(&few, 100), oldest(100));
    assert_eq!(ask(&named("other"), 1), Oldest::None);
    let any = bench.reader().oldest_pending(None, 1).expect("read");
    assert_eq!(any, oldest(1));
}
