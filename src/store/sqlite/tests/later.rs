//! Messages that wait for their time, that are given up and that are sent again.

use std::sync::Arc;

use rusqlite::Connection;

use super::super::operate;
use super::{Bench, options};
use crate::domain::{Deliver, Reason, ReasonCode, RowId, Status, Terms, Turn, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{
    Accepted, Batch, BecomesDue, Filter, PageSize, ReadStore, Replayable, Replayed, Settlement,
    StoreError, WriteStore,
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

fn failed(one: &Accepted, replays: u32) -> Settlement {
    Settlement {
        revision: 2 + 2 * replays,
        ..settlement(one.message.id, Status::Failed, 1)
    }
}

fn again(one: &Accepted, at_turn: u64) -> Replayed {
    Replayed {
        id: one.message.id,
        turn: turn(at_turn),
        partition: 0,
        at: at(at_turn),
    }
}

fn replay(bench: &mut Bench, replayed: &[Replayed]) {
    let batch = Batch {
        replayed,
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
}

fn alter(bench: &Bench, sql: &str) {
    let other = Connection::open(bench.path()).expect("open");
    other.execute_batch(sql).expect("alter");
}

fn whole(bench: &Bench) {
    let none: Vec<String> = Vec::new();
    assert_eq!(operate::check(bench.path()).expect("check"), none);
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
    let settled = [failed(&all[3], 0)];
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
fn check_tells_earlier_ends_of_replayed_messages_from_ends_of_no_message() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=4).map(|row| one(row, "12345")).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    let ends: Vec<_> = all.iter().map(|one| failed(one, 0)).collect();
    bench.store().commit(&settling(&ends)).expect("commit");
    replay(&mut bench, &[again(&all[0], 5), again(&all[1], 6)]);
    whole(&bench);
    let confirmed = [Settlement {
        revision: 4,
        ..settlement(all[0].message.id, Status::Confirmed, 2)
    }];
    bench.store().commit(&settling(&confirmed)).expect("commit");
    whole(&bench);
    for (wrong, told) in [
        (
            "DELETE FROM settled WHERE row = 3",
            "the outcome at position 3 is of no message",
        ),
        (
            "UPDATE settled SET position = 9 WHERE row = 3",
            "3 messages are settled, and 2 outcomes recorded",
        ),
        (
            "UPDATE settled SET status = 2 WHERE row = 4",
            "returned: the counter says 0, the rows say 1",
        ),
        (
            "UPDATE pending SET replays = 0",
            "the outcome at position 2 is of no message",
        ),
        (
            "UPDATE settled SET position = 1 WHERE row = 1",
            "the outcome at position 5 is of no message",
        ),
        (
            "UPDATE state SET history_bytes = history_bytes - 1",
            "bytes of history",
        ),
        (
            "UPDATE state SET moved = 2",
            "with a later turn: the counter says 2, the rows say 1",
        ),
    ] {
        let copy = bench.beside(".copy");
        operate::backup(bench.path(), &copy).expect("backup");
        let other = Connection::open(&copy).expect("open");
        other.execute_batch(wrong).expect("alter");
        other.close().expect("close");
        let problems = operate::check(&copy).expect("check").join("\n");
        assert!(problems.contains(told), "{told} is missing in:\n{problems}");
        std::fs::remove_file(&copy).expect("remove");
    }
}

#[test]
fn history_goes_around_what_was_replayed_and_takes_earlier_ends_with_it() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=40).map(|row| one(row, vec![1; 100])).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    for one in &all {
        let ends = [failed(one, 0)];
        bench.store().commit(&settling(&ends)).expect("commit");
    }
    let back: Vec<_> = (all[..20].iter().zip(100..))
        .map(|(one, turn)| again(one, turn))
        .collect();
    replay(&mut bench, &back);
    for one in &all[..10] {
        let ends = [failed(one, 1)];
        bench.store().commit(&settling(&ends)).expect("commit");
    }
    bench.store().options.history_bytes_max = 0;
    while (bench.store().upkeep(at(5000)).expect("upkeep")).more {}
    let facts = bench.reader().facts().expect("facts");
    assert_eq!((facts.failed, facts.history_bytes), (0, 0));
    let left: Vec<_> = bench.pending().into_iter().map(|one| one.message).collect();
    let expected: Vec<_> = all[10..20].iter().map(|one| one.message.clone()).collect();
    assert_eq!(left, expected);
    whole(&bench);
}

#[test]
fn one_message_that_is_replayed_over_and_over_does_not_fill_the_store() {
    let limits = super::Options {
        history_bytes_max: 50_000,
        ..options(1)
    };
    let mut bench = Bench::new(limits);
    let all = [one(1, "12345")];
    bench.store().commit(&accepting(&all)).expect("commit");
    let outcomes = |bench: &mut Bench| {
        let count = "SELECT count(*) FROM outcomes";
        let count = (bench.store().connection).query_row(count, [], |row| row.get::<_, i64>(0));
        count.expect("a row")
    };
    let mut most = 0;
    for replays in 0..4000 {
        let ends = [failed(&all[0], replays)];
        bench.store().commit(&settling(&ends)).expect("commit");
        let Ok(Replayable::Yes { .. }) = bench.store().replayable(all[0].message.id) else {
            // Its payload had to go, or all of it.
            assert!(replays > 1000, "{replays}");
            break;
        };
        replay(&mut bench, &[again(&all[0], 2 + u64::from(replays))]);
        while (bench.store().upkeep(at(1)).expect("upkeep")).more {}
        most = most.max(outcomes(&mut bench));
    }
    assert!(most < 2000, "{most} outcomes of one message");
    whole(&bench);
}

#[test]
fn what_is_cancelled_is_not_sent_again_and_what_has_no_payload_cannot_be() {
    let mut bench = Bench::new(options(1));
    let all: Vec<_> = (1..=3).map(|row| one(row, "12345")).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    let cancelled = Settlement {
        reason: Some(Reason::own(ReasonCode::Cancelled, "by its caller")),
        ..failed(&all[0], 0)
    };
    let ends = [
        cancelled,
        failed(&all[1], 0),
        confirmed(&all[2..])[0].clone(),
    ];
    bench.store().commit(&settling(&ends)).expect("commit");
    alter(
        &bench,
        "DELETE FROM payloads WHERE row = 2;
         UPDATE state SET history_bytes = history_bytes - 5",
    );
    let answers: Vec<_> = all
        .iter()
        .map(|one| bench.store().replayable(one.message.id).expect("an answer"))
        .collect();
    assert_eq!(
        answers,
        [Replayable::No, Replayable::PayloadGone, Replayable::No]
    );
    let before = bench.reader().facts().expect("facts");
    let back: Vec<_> = (all.iter().zip(10..))
        .map(|(one, turn)| again(one, turn))
        .collect();
    replay(&mut bench, &back);
    let after = bench.reader().facts().expect("facts");
    assert_eq!((after.failed, after.last_row), (2, before.last_row));
    assert!(bench.pending().is_empty());
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
