//! Messages that wait for their time, and what callers wish beyond publishing.

use std::sync::Arc;

use super::super::operate;
use super::{Bench, alter, options, whole};
use crate::domain::{Deliver, RowId, Status, Terms, Turn, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{
    Accepted, Batch, BecomesDue, Filter, PageSize, ReadStore, StoreError, WriteStore,
};

fn at(ms: u64) -> WallTime {
    WallTime::from_unix_ms(ms)
}

fn turn(turn: u64) -> Turn {
    Turn::from_stored(turn)
}

fn with(row: u64, terms: Terms) -> Accepted {
    let mut one = one(row, "12345");
    Arc::make_mut(&mut one.message).draft.terms = terms.boxed();
    Accepted {
        due: one.message.due(),
        ..one
    }
}

/// Due in its row's millisecond.
fn scheduled(row: u64) -> Accepted {
    let deliver = Some(Deliver::At(at(row)));
    with(
        row,
        Terms {
            deliver,
            give_up_after_ms: Some(50),
            ..Terms::default()
        },
    )
}

#[test]
fn terms_that_were_altered_are_noticed_before_anything_is_made_of_them() {
    let wishes = Terms {
        give_up_after_ms: Some(70),
        callback_url: Some("https://example.org/".into()),
        group: Some("label".into()),
        ..Terms::default()
    };
    let pending = with(1, wishes.clone());
    let other = with(
        2,
        Terms {
            group: Some("other".into()),
            ..wishes.clone()
        },
    );
    let later = with(
        3,
        Terms {
            deliver: Some(Deliver::After { ms: 9 }),
            ..wishes.clone()
        },
    );
    let ended = with(4, wishes);
    let all = [pending, other, later, ended];
    let settled = [settlement(all[3].message.id, Status::Failed, 1)];
    let batch = Batch {
        settled: &settled,
        ..accepting(&all)
    };
    for sql in [
        "UPDATE pending SET terms = NULL WHERE key = 1",
        "UPDATE pending SET terms = x'010447' WHERE key = 1",
        "UPDATE pending SET terms = x'0104' WHERE key = 1",
        "UPDATE pending SET label = 2 WHERE key = 1",
        "UPDATE pending SET label = NULL WHERE key = 1",
        "UPDATE pending SET label = 9 WHERE key = 1",
    ] {
        let mut bench = Bench::new(options(1));
        bench.store().commit(&batch).expect("commit");
        whole(&bench);
        alter(&bench, sql);
        let read = bench.reader().pending(0, None, 9, usize::MAX);
        assert!(matches!(read, Err(StoreError::Fatal(_))), "{sql}: {read:?}");
        assert!(!operate::check(bench.path()).expect("check").is_empty());
    }
    for sql in [
        "UPDATE scheduled SET terms = NULL",
        "UPDATE scheduled SET label = 2",
        "UPDATE scheduled SET payload = x'00'",
    ] {
        let mut bench = Bench::new(options(1));
        bench.store().commit(&batch).expect("commit");
        alter(&bench, sql);
        let read = bench.store().due(at(1000), 9, usize::MAX);
        assert!(matches!(read, Err(StoreError::Fatal(_))), "{sql}: {read:?}");
        assert!(!operate::check(bench.path()).expect("check").is_empty());
    }
    for sql in [
        "UPDATE settled SET terms = NULL",
        "UPDATE settled SET label = 2",
    ] {
        let mut bench = Bench::new(options(1));
        bench.store().commit(&batch).expect("commit");
        alter(&bench, sql);
        let read = bench.store().replayable(all[3].message.id);
        assert!(matches!(read, Err(StoreError::Fatal(_))), "{sql}: {read:?}");
    }
}

#[test]
fn a_store_full_of_scheduled_messages_refuses_more_and_keeps_each() {
    let limits = super::Options {
        store_bytes_max: 4 << 20,
        reserve_bytes: 1 << 20,
        ..options(1)
    };
    let mut bench = Bench::new(limits);
    let mut all = Vec::new();
    loop {
        let mut next = scheduled(all.len() as u64 + 1);
        Arc::make_mut(&mut next.message).draft.payload = vec![9; 3000].into();
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
    let facts = bench.reader().facts().expect("facts");
    assert_eq!(facts.scheduled.messages, all.len() as u64);
    // Those that are due go all the same, a few at a time, and so does what ends.
    let mut next_turn = 1_000_000;
    while let due = bench.store().due(at(20_000), 50, usize::MAX).expect("due")
        && !due.messages.is_empty()
    {
        let becomes = |message: &Arc<crate::domain::Message>| {
            next_turn += 1;
            BecomesDue {
                id: message.id,
                turn: turn(next_turn),
                partition: 0,
            }
        };
        let due: Vec<_> = due.messages.iter().map(becomes).collect();
        let batch = Batch {
            due: &due,
            ..Batch::default()
        };
        bench.store().commit(&batch).expect("commit");
        bench.store().upkeep(at(1)).expect("upkeep");
    }
    let pending = bench.pending();
    let messages: Vec<_> = pending.iter().map(|one| &one.message).collect();
    let expected: Vec<_> = all.iter().map(|one| &one.message).collect();
    assert_eq!(messages, expected);
    for some in all.chunks(20) {
        let ends = confirmed(some);
        bench.store().commit(&settling(&ends)).expect("commit");
        bench.store().upkeep(at(1)).expect("upkeep");
    }
    while (bench.store().upkeep(at(5000)).expect("upkeep")).more {}
    let more = [scheduled(2_000_000)];
    bench
        .store()
        .commit(&accepting(&more))
        .expect("there is room again");
}

#[test]
fn a_page_passes_over_no_more_than_it_may_of_what_got_its_turn_later() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=200).map(scheduled).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    let due: Vec<_> = (all.iter().zip(1000..))
        .map(|(one, at)| BecomesDue {
            id: one.message.id,
            turn: turn(at),
            partition: 0,
        })
        .collect();
    let batch = Batch {
        due: &due,
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
    let size = PageSize {
        records_max: 300,
        examined_max: 30,
    };
    let (mut before, mut pages, mut found) = (None, 0, Vec::new());
    loop {
        let page = bench.reader().list(&Filter::default(), before, size);
        let page = page.expect("read");
        assert!(page.records.len() <= 30);
        found.extend(page.records.iter().map(|record| record.id.row().get()));
        pages += 1;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, (1..=200).rev().collect::<Vec<_>>());
    assert!((13..=15).contains(&pages), "{pages}");
    let oldest = bench.reader().facts().expect("facts").oldest_pending;
    assert_eq!(oldest, Some(RowId::from_stored(1)));
}

#[test]
fn a_crash_makes_doubtful_what_had_its_turn_and_not_what_gets_one_later() {
    let mut bench = Bench::new(options(2));
    let all: Vec<_> = (1..=3).map(scheduled).collect();
    let goes = |index: usize, at: u64| {
        [BecomesDue {
            id: all[index].message.id,
            turn: turn(at),
            partition: 1,
        }]
    };
    bench.store().commit(&accepting(&all)).expect("commit");
    let batch = Batch {
        due: &goes(0, 10),
        handed_to: Some(turn(10)),
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
    bench.cut_power();
    bench.open().expect("open");
    let batch = Batch {
        due: &goes(1, 11),
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
    let doubts: Vec<_> = bench
        .pending()
        .iter()
        .map(|one| (one.turn.get(), one.duplicate_possible))
        .collect();
    assert_eq!(doubts, [(10, true), (11, false)]);
    let last = bench.store().scheduled(all[2].message.id).expect("read");
    assert_eq!(last.as_ref(), Some(&all[2].message));
}

#[test]
fn operators_see_what_is_due_first_by_the_clock_as_it_is_now() {
    let mut bench = Bench::new(super::Options {
        vfs: None,
        ..options(1)
    });
    let delayed = |row: u64, ms| {
        let deliver = Some(Deliver::After { ms });
        let terms = Terms {
            deliver,
            ..Terms::default()
        };
        with(row, terms)
    };
    // Accepted at the beginning of time.
    let all = [
        scheduled(100),
        delayed(101, 70),
        delayed(102, 200),
        one(103, "x"),
    ];
    bench.store().commit(&accepting(&all)).expect("commit");
    let listed = |bench: &Bench, max| -> Vec<_> {
        let listed = operate::list_scheduled(bench.path(), max).expect("list");
        let due = |record: &crate::store::Record| record.deliver_at.expect("a time").unix_ms();
        listed
            .iter()
            .map(|record| (record.id.row().get(), due(record)))
            .collect()
    };
    assert_eq!(listed(&bench, 9), [(101, 70), (100, 100), (102, 200)]);
    let step = Batch {
        clock_step_ms: 50,
        ..Batch::default()
    };
    bench.store().commit(&step).expect("commit");
    assert_eq!(listed(&bench, 2), [(100, 100), (101, 120)]);
    let due = bench.store().due(at(119), 9, usize::MAX).expect("due");
    assert_eq!((due.messages.len(), due.next), (1, Some(at(120))));
}

#[test]
fn check_tells_of_messages_that_are_not_found_by_row_or_time() {
    let mut bench = Bench::new(options(1));
    let all = [scheduled(1), scheduled(2)];
    bench.store().commit(&accepting(&all)).expect("commit");
    let due = [BecomesDue {
        id: all[0].message.id,
        turn: turn(9),
        partition: 0,
    }];
    let batch = Batch {
        due: &due,
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
    whole(&bench);
    for (wrong, told) in [
        ("DELETE FROM later_turns", "not found by their rows"),
        (
            "INSERT INTO later_turns VALUES (2, 2)",
            "not found by their rows",
        ),
        (
            "UPDATE time_limits SET place = 8",
            "not found by the time that they are given",
        ),
        (
            "INSERT INTO time_limits VALUES (9, 9, 9)",
            "not found by the time that they are given",
        ),
        (
            "UPDATE pending SET replays = NULL",
            "have what they say that they have not",
        ),
        (
            "UPDATE state SET scheduled_messages = 2",
            "scheduled: the counters say",
        ),
        (
            "UPDATE callers SET scheduled = 0",
            "scheduled of caller \"\": the tally says 0, the rows say 1",
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

#[test]
fn a_message_without_wishes_pays_for_none() {
    let mut bench = Bench::new(options(1));
    let group = Some("label".into());
    let wish = Terms {
        group,
        ..Terms::default()
    };
    let all = [one(1, "12345"), with(2, wish), scheduled(3)];
    bench.store().commit(&accepting(&all)).expect("commit");
    let count = |bench: &mut Bench, from: &str| -> i64 {
        let count = format!("SELECT count(*) FROM {from}");
        let count = (bench.store().connection).query_row(&count, [], |row| row.get(0));
        count.expect("a row")
    };
    assert_eq!(count(&mut bench, "pending WHERE replays IS NULL"), 1);
    for table in ["later_turns", "time_limits"] {
        assert_eq!(count(&mut bench, table), 0, "{table}");
    }
}

#[test]
fn what_is_overdue_at_one_time_comes_by_turns_whatever_the_partition() {
    let mut bench = Bench::new(options(16));
    let limited = |row: u64, partition| Accepted {
        partition,
        ..with(
            row,
            Terms {
                give_up_after_ms: Some(5),
                ..Terms::default()
            },
        )
    };
    // Keys of the upper partitions are below those of the lower ones.
    let all = [limited(1, 15), limited(2, 0), limited(3, 9), limited(4, 3)];
    bench.store().commit(&accepting(&all)).expect("commit");
    let (mut after, mut rows) = (None, Vec::new());
    for _ in 0..=all.len() {
        let page = bench.store().overdue(at(5), after, 1).expect("overdue");
        if let [record] = &page[..] {
            let turn = record.standing.expect("it has a turn").turn;
            after = Some((record.give_up_at.expect("a time"), turn));
            rows.push(record.id.row().get());
        }
    }
    assert_eq!(rows, [1, 2, 3, 4]);
    let early = bench.store().overdue(at(4), None, 9).expect("overdue");
    assert!(early.is_empty());
}
