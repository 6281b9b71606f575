//! Messages that are cancelled, or whose time is over.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;

use super::bench::{AMPLE, Bench, Note, draft, is_pending, reason, soon};
use super::schedules::record;
use crate::broker::{LaneEvent, Outcome};
use crate::clock;
use crate::domain::{Draft, ReasonCode, RowId, Status, Terms};
use crate::relay::Cancellation;
use crate::store::Settlement;

fn limited(ms: u64) -> Draft {
    let terms = Terms {
        give_up_after_ms: Some(ms),
        ..Terms::default()
    };
    Draft {
        terms: terms.boxed(),
        ..draft("a")
    }
}

async fn accept(bench: &Bench, draft: Draft) -> RowId {
    let accepted = soon(bench.relay.accept(draft)).await;
    accepted.expect("accepted").id.row()
}

async fn cancel(bench: &Bench, row: RowId) -> Cancellation {
    let cancelled = soon(bench.relay.cancel(record(bench, row))).await;
    cancelled.expect("decided")
}

async fn outcome(bench: &Bench, row: RowId) -> Settlement {
    bench
        .until(|bench| record(bench, row).outcome.is_some())
        .await;
    record(bench, row).outcome.expect("it has ended")
}

fn code(settlement: &Settlement) -> Option<ReasonCode> {
    settlement.reason.as_ref().map(|reason| reason.code)
}

#[tokio::test]
async fn a_message_that_waits_is_cancelled_and_never_handed_over() {
    let mut bench = Bench::new(AMPLE, true);
    let first = bench.accept("a").await;
    let second = bench.accept("a").await;
    let told = cancel(&bench, first).await;
    let Cancellation::Cancelled(settlement) = told else {
        panic!("{told:?}");
    };
    assert_eq!(settlement.status, Status::Failed);
    assert_eq!(code(&settlement), Some(ReasonCode::Cancelled));
    assert_eq!(record(&bench, first).outcome, Some(settlement));
    bench
        .until(|bench| bench.notes().contains(&Note::Told(first)))
        .await;
    assert_eq!(bench.pull(), [second]);
    assert_eq!(cancel(&bench, first).await, Cancellation::Ended);
    assert_eq!(bench.relay.health().pending_messages, 1);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn one_in_flight_is_not_cancelled_and_one_that_was_tried_tells_so() {
    let mut bench = Bench::new(AMPLE, true);
    let row = bench.accept("a").await;
    assert_eq!(bench.pull(), [row]);
    assert_eq!(cancel(&bench, row).await, Cancellation::InFlight);
    bench.report(row, Outcome::Unknown);
    let told = cancel(&bench, row).await;
    let Cancellation::Cancelled(settlement) = told else {
        panic!("{told:?}");
    };
    assert_eq!(
        (settlement.attempts, settlement.duplicate_possible),
        (1, true)
    );
    let detail = settlement.reason.expect("told").detail;
    assert!(
        detail.ends_with("handed over to the broker once"),
        "{detail}"
    );
    assert_eq!(bench.pull(), []);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_cancellation_is_told_after_its_commit_and_one_of_what_ends_waits_for_the_end() {
    let mut bench = Bench::new(AMPLE, true);
    let (waits, ends) = (bench.accept("a").await, bench.accept("b").await);
    assert_eq!(bench.pull(), [waits, ends]);
    bench.report(waits, Outcome::Unsent);
    let found = [record(&bench, waits), record(&bench, ends)];
    bench.hold();
    bench.report(ends, Outcome::Confirmed);
    let relay = bench.relay.clone();
    let [waits, ends] = found;
    let id = ends.id;
    let (mut first, mut second) = (pin!(relay.cancel(waits)), pin!(relay.cancel(ends)));
    for _ in 0..10 {
        assert!(is_pending(&mut first).await && is_pending(&mut second).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.let_go();
    let first = soon(first).await.expect("decided");
    assert!(matches!(first, Cancellation::Cancelled(_)));
    assert_eq!(soon(second).await, Ok(Cancellation::Ended));
    assert!(record(&bench, id.row()).outcome.is_some());
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_message_whose_time_is_over_ends_while_the_broker_is_away_and_others_stay() {
    let mut bench = Bench::new(AMPLE, true);
    bench.lane_is(LaneEvent::Down(reason()));
    let from = clock::wall();
    let limited = accept(&bench, limited(300)).await;
    let stays = bench.accept("a").await;
    let ended = outcome(&bench, limited).await;
    assert!(clock::wall() >= from.plus_ms(300), "too early");
    assert!(clock::wall() < from.plus_ms(5300), "too late");
    assert_eq!(
        (ended.status, code(&ended)),
        (Status::Failed, Some(ReasonCode::Expired))
    );
    assert_eq!((ended.attempts, ended.duplicate_possible), (0, false));
    bench.lane_is(LaneEvent::Up);
    let mut pulled = bench.pull();
    while pulled.is_empty() {
        tokio::task::yield_now().await;
        pulled = bench.pull();
    }
    assert_eq!(pulled, [stays]);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_message_in_flight_is_given_up_only_when_its_hand_over_leaves_it_pending() {
    let mut bench = Bench::new(AMPLE, true);
    // Long enough for a busy machine to get them into flight.
    let lost = accept(&bench, limited(2000)).await;
    let sent = accept(&bench, limited(2000)).await;
    assert_eq!(bench.pull(), [lost, sent]);
    tokio::time::sleep(Duration::from_millis(2300)).await;
    assert!(record(&bench, lost).outcome.is_none(), "it is in flight");
    bench.report(lost, Outcome::Unknown);
    bench.report(sent, Outcome::Confirmed);
    let ended = outcome(&bench, lost).await;
    assert_eq!(code(&ended), Some(ReasonCode::Expired));
    assert_eq!((ended.attempts, ended.duplicate_possible), (1, true));
    assert_eq!(outcome(&bench, sent).await.status, Status::Confirmed);
    assert_eq!(bench.pull(), []);
    // Whoever is told of an end may be told before it is subtracted.
    bench
        .until(|bench| bench.relay.health().pending_messages == 0)
        .await;
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_message_between_two_tries_is_given_up_in_time() {
    let mut bench = Bench::new(AMPLE, true);
    let row = accept(&bench, limited(1000)).await;
    let mut pulls = 0;
    soon(async {
        while record(&bench, row).outcome.is_none() {
            for row in bench.pull() {
                pulls += 1;
                bench.report(row, Outcome::Nacked);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let ended = outcome(&bench, row).await;
    assert_eq!(
        (code(&ended), ended.attempts),
        (Some(ReasonCode::Expired), pulls)
    );
    assert!(ended.duplicate_possible);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_broker_and_a_caller_that_race_for_messages_one_gets_each() {
    let mut bench = Bench::new(AMPLE, true);
    let (mut seen, mut cancelled) = (BTreeSet::new(), BTreeSet::new());
    let mut doubts = BTreeSet::new();
    for round in 0..60 {
        let accepted = soon(bench.relay.accept_all(vec![draft("a"); 20])).await;
        let rows: Vec<_> = accepted.iter().flatten().map(|one| one.id.row()).collect();
        let records: Vec<_> = rows.iter().map(|row| record(&bench, *row)).collect();
        let relay = bench.relay.clone();
        let mut caller = JoinSet::new();
        caller.spawn(async move {
            let mut told = Vec::new();
            for record in records.into_iter().rev() {
                let row = record.id.row();
                told.push((row, relay.cancel(record).await.expect("decided")));
            }
            told
        });
        for turn in 0..40 {
            for row in bench.pull() {
                seen.insert(row);
                assert!(!cancelled.contains(&row), "it was cancelled before");
                let lost = (row.get() + round + turn) % 3 == 0;
                if lost {
                    doubts.insert(row);
                }
                let how = if lost {
                    Outcome::Unknown
                } else {
                    Outcome::Confirmed
                };
                bench.report(row, how);
            }
            tokio::task::yield_now().await;
        }
        for (row, told) in soon(caller.join_all()).await.remove(0) {
            if let Cancellation::Cancelled(settlement) = told {
                cancelled.insert(row);
                assert_eq!(settlement.duplicate_possible, doubts.contains(&row));
                assert_eq!(
                    settlement.attempts > 0,
                    seen.contains(&row),
                    "{settlement:?}"
                );
            }
        }
        for row in bench.pull() {
            assert!(!cancelled.contains(&row), "it was cancelled before");
            bench.report(row, Outcome::Confirmed);
        }
    }
    assert!(!cancelled.is_empty() && seen.len() > cancelled.len() / 20);
    bench
        .until(|bench| bench.relay.health().pending_messages == 0)
        .await;
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn what_is_only_in_the_store_is_given_up_and_cancelled_too() {
    let mut bench = Bench::with_memory(2);
    bench.lane_is(LaneEvent::Down(reason()));
    let mut rows = Vec::new();
    for _ in 0..6 {
        rows.push(accept(&bench, limited(300)).await);
    }
    let (gone, stays) = (bench.accept("a").await, bench.accept("a").await);
    assert!(matches!(
        cancel(&bench, gone).await,
        Cancellation::Cancelled(_)
    ));
    assert_eq!(cancel(&bench, gone).await, Cancellation::Ended);
    for row in rows {
        let ended = outcome(&bench, row).await;
        assert_eq!(
            (code(&ended), ended.revision),
            (Some(ReasonCode::Expired), 2)
        );
    }
    bench
        .until(|bench| bench.relay.health().pending_messages == 1)
        .await;
    bench.lane_is(LaneEvent::Up);
    let mut pulled = Vec::new();
    while pulled.is_empty() {
        pulled = bench.pull();
        tokio::task::yield_now().await;
    }
    assert_eq!(pulled, [stays]);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn groups_are_told_of_with_each_change() {
    let mut bench = Bench::new(AMPLE, true);
    let grouped = |name: &str| {
        let terms = Terms {
            group: Some(name.into()),
            ..Terms::default()
        };
        Draft {
            terms: terms.boxed(),
            ..draft("a")
        }
    };
    let (first, second) = (
        accept(&bench, grouped("g")).await,
        accept(&bench, grouped("h")).await,
    );
    bench.accept("a").await;
    assert_eq!(bench.take_groups(), ["g".into(), "h".into()]);
    let told = cancel(&bench, second).await;
    assert!(matches!(told, Cancellation::Cancelled(_)));
    assert_eq!(bench.take_groups(), ["h".into()]);
    assert_eq!(bench.pull()[0], first);
    let returned = Outcome::Returned(Box::new(reason()));
    bench.report(first, returned);
    outcome(&bench, first).await;
    // The store knows it, and soon the audience.
    bench.until(Bench::has_groups).await;
    assert_eq!(bench.take_groups(), ["g".into()]);
    let id = record(&bench, first).id;
    soon(bench.relay.replay(id)).await.expect("replayed");
    assert_eq!(bench.take_groups(), ["g".into()]);
    assert_eq!(bench.end(), Ok(()));
}
