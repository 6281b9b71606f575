//! What was returned or has failed, and is sent again.

use rusqlite::Connection;

use super::super::operate;
use super::{Bench, alter, options, whole};
use crate::domain::{Reason, ReasonCode, Status, Turn, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{Accepted, Batch, ReadStore, Replayable, Replayed, Settlement, WriteStore};

fn at(ms: u64) -> WallTime {
    WallTime::from_unix_ms(ms)
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
        turn: Turn::from_stored(at_turn),
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
