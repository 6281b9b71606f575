//! What is scheduled goes when it is due, in the order of due times, and not before.

use std::pin::pin;
use std::time::Duration;

use super::bench::{AMPLE, Bench, draft, is_pending, soon};
use crate::broker::Outcome;
use crate::clock;
use crate::domain::{Deliver, Draft, RowId, Terms, WallTime};
use crate::relay::{AcceptError, Budget, Cancellation};
use crate::store::{Batch, Lookup, ReadStore, Record, StoreError};

fn at(deliver: Deliver) -> Draft {
    let terms = Terms {
        deliver: Some(deliver),
        ..Terms::default()
    };
    Draft {
        terms: terms.boxed(),
        ..draft("a")
    }
}

fn in_ms(ms: u64) -> Draft {
    at(Deliver::After { ms })
}

async fn accept(bench: &Bench, draft: Draft) -> RowId {
    let accepted = soon(bench.relay.accept(draft)).await;
    accepted.expect("accepted").id.row()
}

pub(super) fn record(bench: &Bench, row: RowId) -> Record {
    let all = bench.kept.list(
        &crate::store::Filter::default(),
        None,
        crate::store::PageSize {
            records_max: 1000,
            examined_max: 1000,
        },
    );
    let all = all.expect("read").records;
    let found = all.into_iter().find(|record| record.id.row() == row);
    found.expect("it is kept")
}

/// Pulls until so many came, with the moment at which each came.
async fn come(bench: &mut Bench, count: usize) -> Vec<(RowId, WallTime)> {
    let mut all = Vec::new();
    soon(async {
        while all.len() < count {
            let pulled = bench.pull();
            all.extend(pulled.into_iter().map(|row| (row, clock::wall())));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    all
}

#[tokio::test]
async fn a_scheduled_message_goes_when_it_is_due_and_not_before() {
    for survives in [false, true] {
        let mut bench = Bench::new(AMPLE, survives);
        let from = clock::wall();
        let late = accept(&bench, in_ms(600)).await;
        let early = accept(&bench, at(Deliver::At(from.plus_ms(300)))).await;
        let at_once = accept(&bench, draft("a")).await;
        let past = accept(&bench, at(Deliver::At(from.minus(Duration::from_secs(1))))).await;
        assert_eq!(bench.pull(), [at_once, past]);
        assert!(record(&bench, late).standing.is_none());
        let came = come(&mut bench, 2).await;
        assert_eq!([came[0].0, came[1].0], [early, late]);
        for ((_, when), ms) in came.iter().zip([300, 600]) {
            assert!(*when >= from.plus_ms(ms), "too early");
            assert!(*when < from.plus_ms(ms + 250), "too late");
        }
        bench.report(early, Outcome::Confirmed);
        bench.report(late, Outcome::Confirmed);
        bench
            .until(|bench| bench.relay.health().pending_messages == 2)
            .await;
        assert_eq!(bench.relay.scheduled_messages(), 0);
        assert_eq!(bench.end(), Ok(()));
    }
}

#[tokio::test]
async fn many_that_are_due_together_go_in_the_order_of_their_times() {
    let mut bench = Bench::new(AMPLE, true);
    let due = clock::wall().plus_ms(500);
    let mut expected = Vec::new();
    // More than become due with one commit, and the later the earlier they were accepted.
    for back in 0..4 {
        let drafts = (0..400)
            .map(|_| at(Deliver::At(due.plus_ms(4 - back))))
            .collect();
        let accepted = soon(bench.relay.accept_all(drafts)).await;
        let rows = accepted
            .into_iter()
            .map(|one| one.expect("accepted").id.row());
        expected.splice(0..0, rows);
    }
    assert_eq!(bench.relay.scheduled_messages(), 1600);
    let came = come(&mut bench, 1600).await;
    assert!(came.iter().map(|(row, _)| *row).eq(expected));
    assert!(came[0].1 >= due);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn scheduled_messages_count_as_pending_until_they_end() {
    let budget = Budget {
        messages_max: 2,
        ..AMPLE
    };
    let mut bench = Bench::new(budget, true);
    let first = accept(&bench, in_ms(50)).await;
    let second = accept(&bench, in_ms(3_600_000)).await;
    let full = bench.relay.accept(draft("a")).await;
    assert_eq!(full, Err(AcceptError::Full));
    assert_eq!(come(&mut bench, 1).await[0].0, first);
    let full = bench.relay.accept(draft("a")).await;
    assert_eq!(full, Err(AcceptError::Full));
    let record = record(&bench, second);
    let cancelled = soon(bench.relay.cancel(record)).await.expect("decided");
    let Cancellation::Cancelled(settlement) = cancelled else {
        panic!("{cancelled:?}");
    };
    assert_eq!((settlement.attempts, settlement.revision), (0, 2));
    bench
        .until(|bench| bench.relay.health().pending_messages == 1)
        .await;
    assert!(bench.relay.accept(draft("a")).await.is_ok());
    assert_eq!(bench.relay.scheduled_messages(), 0);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn one_that_was_cancelled_before_it_was_due_never_goes() {
    let mut bench = Bench::new(AMPLE, true);
    let due = clock::wall().plus_ms(200);
    let kept = accept(&bench, at(Deliver::At(due))).await;
    let gone = accept(&bench, at(Deliver::At(due))).await;
    let found = record(&bench, gone);
    let twice = tokio::join!(
        bench.relay.cancel(found.clone()),
        bench.relay.cancel(found.clone())
    );
    assert!(matches!(twice.0, Ok(Cancellation::Cancelled(_))));
    assert_eq!(twice.1, Ok(Cancellation::Ended));
    assert_eq!(come(&mut bench, 1).await[0].0, kept);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bench.pull(), []);
    let Ok(Lookup::Found(record)) = bench.kept.get(found.id) else {
        panic!("it is kept");
    };
    let reason = record
        .outcome
        .and_then(|outcome| outcome.reason)
        .expect("told");
    assert_eq!(
        &*reason.detail,
        "the caller cancelled the message; it was never handed over to the broker"
    );
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn with_a_store_that_forgets_a_stop_does_not_wait_for_what_is_due_later() {
    let mut bench = Bench::new(AMPLE, false);
    accept(&bench, in_ms(3_600_000)).await;
    let row = accept(&bench, draft("a")).await;
    bench.relay.close();
    assert_eq!(bench.pull(), [row]);
    let relay = bench.relay.clone();
    let mut drained = pin!(relay.drained());
    assert!(is_pending(&mut drained).await);
    bench.report(row, Outcome::Confirmed);
    soon(drained).await;
    assert_eq!(bench.relay.health().pending_messages, 1);
    assert_eq!(bench.relay.scheduled_messages(), 1);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn after_a_restart_what_was_due_meanwhile_goes_at_once_and_the_rest_in_its_time() {
    let bench = Bench::new(AMPLE, true);
    let from = clock::wall();
    let later = accept(&bench, in_ms(900)).await;
    let second = accept(&bench, in_ms(100)).await;
    let first = accept(&bench, in_ms(50)).await;
    let mut bench = bench.again();
    bench.until(|_| clock::wall() >= from.plus_ms(150)).await;
    bench = bench.again();
    assert_eq!(bench.relay.health().pending_messages, 3);
    let came = come(&mut bench, 3).await;
    let rows: Vec<_> = came.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [first, second, later]);
    assert!(came[2].1 >= from.plus_ms(900));
    assert_eq!(bench.relay.scheduled_messages(), 0);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_store_without_room_for_what_is_new_loses_nothing_that_is_due() {
    let mut bench = Bench::new(AMPLE, true);
    let from = clock::wall();
    let due = accept(&bench, in_ms(100)).await;
    bench.commit_begins().await;
    bench.hold();
    let relay = bench.relay.clone();
    let mut first = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut first).await);
    bench.commit_begins().await;
    let mut second = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut second).await);
    bench.until(|_| clock::wall() >= from.plus_ms(150)).await;
    // The second one and the message that is due go into the next batch, for which there is no room;
    // then there is none even for what is due.
    bench.fail([None, Some(StoreError::Full), Some(StoreError::Full)]);
    bench.let_go();
    let first = soon(first).await.expect("accepted").id.row();
    assert_eq!(soon(second).await, Err(AcceptError::Full));
    let came = come(&mut bench, 2).await;
    assert_eq!([came[0].0, came[1].0], [first, due]);
    assert_eq!(bench.relay.health().pending_messages, 2);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_clock_that_was_set_back_while_the_gateway_was_away_keeps_no_delay_waiting() {
    const HOUR_MS: u32 = 3_600_000;
    let ahead_ms = u64::from(HOUR_MS);
    let bench = Bench::new(AMPLE, true);
    let from = clock::wall();
    let delayed = accept(&bench, in_ms(500)).await;
    let by_the_wall = accept(&bench, at(Deliver::At(from.plus_ms(ahead_ms)))).await;
    // Until the gateway ended its clock was an hour ahead.
    let mut bench = bench.again_after(&Batch {
        clock_step_ms: i64::from(HOUR_MS),
        wall: Some(clock::wall().plus_ms(ahead_ms)),
        ..Batch::default()
    });
    let came = come(&mut bench, 1).await;
    assert_eq!(came[0].0, delayed);
    assert!(came[0].1 >= from.plus_ms(500), "too early");
    let deliver_at = record(&bench, by_the_wall).deliver_at;
    assert_eq!(deliver_at, Some(from.plus_ms(ahead_ms)));
    assert_eq!(bench.end(), Ok(()));
}
