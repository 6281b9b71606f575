//! Messages that have ended are sent again.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::bench::{AMPLE, Bench, draft, reason, soon};
use super::schedules::record;
use crate::broker::Outcome;
use crate::domain::{Caller, MessageId, RowId, Status};
use crate::relay::{AcceptError, Budget, Cancellation, Replay};
use crate::store::{BulkReplay, Filter, ReadStore};

fn returned() -> Outcome {
    Outcome::Returned(Box::new(reason()))
}

/// Accepts so many, all of which are returned.
async fn have_returned(bench: &mut Bench, count: usize) -> Vec<MessageId> {
    let accepted = soon(bench.relay.accept_all(vec![draft("a"); count])).await;
    let ids: Vec<_> = accepted.iter().flatten().map(|one| one.id).collect();
    assert_eq!(ids.len(), count);
    pull_and_end(bench, count, &returned()).await;
    ids
}

/// Pulls so many, ends them so, and waits until nothing is pending.
async fn pull_and_end(bench: &mut Bench, count: usize, how: &Outcome) -> Vec<RowId> {
    let mut all = Vec::new();
    soon(async {
        while all.len() < count {
            let rows = bench.pull();
            for row in &rows {
                bench.report(*row, how.clone());
            }
            all.extend(rows);
            tokio::task::yield_now().await;
        }
    })
    .await;
    bench
        .until(|bench| bench.relay.health().pending_messages == 0)
        .await;
    all
}

fn filter() -> Filter {
    Filter {
        caller: Some(Caller::default()),
        status: Some(Status::Returned),
        ..Filter::default()
    }
}

async fn done(bench: &Bench, id: MessageId) -> BulkReplay {
    let get = |bench: &Bench| bench.kept.bulk_replay(id).expect("read").expect("kept");
    bench.until(|bench| get(bench).done).await;
    get(bench)
}

#[tokio::test]
async fn a_replayed_message_goes_behind_newer_ones_and_its_next_end_is_told() {
    let mut bench = Bench::new(AMPLE, true);
    let id = have_returned(&mut bench, 1).await[0];
    let newer = bench.accept("a").await;
    assert_eq!(soon(bench.relay.replay(id)).await, Ok(Replay::Pending));
    let again = record(&bench, id.row());
    assert_eq!((again.replays, again.outcome.is_some()), (1, false));
    assert_eq!(soon(bench.relay.replay(id)).await, Ok(Replay::No));
    assert_eq!(bench.pull(), [newer, id.row()]);
    bench.report(id.row(), Outcome::Confirmed);
    bench.report(newer, Outcome::Confirmed);
    bench
        .until(|bench| bench.relay.health().pending_messages == 0)
        .await;
    let outcome = record(&bench, id.row()).outcome.expect("it has ended");
    assert_eq!(
        (outcome.status, outcome.revision, outcome.attempts),
        (Status::Confirmed, 4, 1)
    );
    assert_eq!(soon(bench.relay.replay(id)).await, Ok(Replay::No));
    let unknown = MessageId::from_parts(RowId::from_stored(7), 7);
    assert_eq!(soon(bench.relay.replay(unknown)).await, Ok(Replay::Unknown));
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn of_replays_that_race_one_wins() {
    let mut bench = Bench::new(AMPLE, true);
    let id = have_returned(&mut bench, 1).await[0];
    bench.hold();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let relay = bench.relay.clone();
        tasks.spawn(async move { relay.replay(id).await });
    }
    bench.let_go();
    let mut won = 0;
    for told in soon(tasks.join_all()).await {
        match told {
            Ok(Replay::Pending) => won += 1,
            told => assert_eq!(told, Ok(Replay::No)),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(bench.relay.health().pending_messages, 1);
    assert_eq!(bench.pull(), [id.row()]);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_doubt_outlives_a_replay() {
    let mut bench = Bench::new(AMPLE, true);
    let row = bench.accept("a").await;
    assert_eq!(bench.pull(), [row]);
    bench.report(row, Outcome::Unknown);
    assert_eq!(bench.pull(), [row]);
    bench.report(row, returned());
    bench
        .until(|bench| bench.relay.health().pending_messages == 0)
        .await;
    let id = record(&bench, row).id;
    assert_eq!(soon(bench.relay.replay(id)).await, Ok(Replay::Pending));
    let told = bench.relay.progress(&record(&bench, row));
    assert_eq!(
        (told.attempts, told.duplicate_possible, told.settling),
        (0, true, false)
    );
    assert_eq!(bench.pull(), [row]);
    bench.report(row, Outcome::Confirmed);
    bench
        .until(|bench| bench.relay.health().pending_messages == 0)
        .await;
    let outcome = record(&bench, row).outcome.expect("it has ended");
    assert!(outcome.duplicate_possible);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_cancelled_message_is_not_replayed_and_a_full_gateway_replays_nothing() {
    let budget = Budget {
        messages_max: 2,
        ..AMPLE
    };
    let mut bench = Bench::new(budget, true);
    let id = have_returned(&mut bench, 1).await[0];
    let cancelled = bench.accept("a").await;
    let found = record(&bench, cancelled);
    let told = soon(bench.relay.cancel(found.clone())).await;
    assert!(matches!(told, Ok(Cancellation::Cancelled(_))));
    assert_eq!(soon(bench.relay.replay(found.id)).await, Ok(Replay::No));
    for _ in 0..2 {
        bench.accept("a").await;
    }
    assert_eq!(soon(bench.relay.replay(id)).await, Err(AcceptError::Full));
    assert!(record(&bench, id.row()).outcome.is_some());
    bench.relay.close();
    assert_eq!(
        soon(bench.relay.replay(id)).await,
        Err(AcceptError::Stopping)
    );
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_replay_sends_everything_that_matched_once_and_in_order() {
    let mut bench = Bench::new(AMPLE, true);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(have_returned(&mut bench, 300).await);
    }
    let begun = soon(bench.relay.replay_matching(filter()))
        .await
        .expect("begun");
    assert_eq!((begun.done, begun.filter.settled_to), (false, Some(900)));
    // One was sent again by somebody else before.
    assert_eq!(
        soon(bench.relay.replay(ids[450])).await,
        Ok(Replay::Pending)
    );
    let replayer = bench.relay.bulk_replayer();
    let thread = std::thread::Builder::new().spawn(move || replayer.run());
    let bulk = done(&bench, begun.id).await;
    assert_eq!((bulk.matched, bulk.replayed, bulk.skipped), (899, 899, 0));
    let rows = pull_and_end(&mut bench, 900, &returned()).await;
    let one = ids.remove(450);
    let expected: Vec<_> = [one].iter().chain(&ids).map(|id| id.row()).collect();
    assert_eq!(rows, expected);
    // What has ended since did not match.
    assert!(ids.iter().all(|id| record(&bench, id.row()).replays == 1));
    bench.relay.stop_reading();
    assert_eq!(thread.expect("a thread").join().expect("no panic"), Ok(()));
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_replays_wait_for_room_and_stop_promptly() {
    let budget = Budget {
        messages_max: 100,
        ..AMPLE
    };
    let mut bench = Bench::new(budget, true);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend(have_returned(&mut bench, 100).await);
    }
    let replayer = bench.relay.bulk_replayer();
    let thread = std::thread::Builder::new().spawn(move || replayer.run());
    let begun = soon(bench.relay.replay_matching(filter()))
        .await
        .expect("begun");
    bench
        .until(|bench| bench.relay.health().pending_messages == 100)
        .await;
    assert_eq!(
        soon(bench.relay.accept(draft("a"))).await,
        Err(AcceptError::Full)
    );
    let mut sent = BTreeMap::new();
    soon(async {
        while sent.len() < 200 {
            for row in bench.pull() {
                *sent.entry(row).or_insert(0) += 1;
                bench.report(row, Outcome::Confirmed);
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(sent.values().all(|times| *times == 1));
    let get = |bench: &Bench| {
        let bulk = bench.kept.bulk_replay(begun.id).expect("read");
        bulk.expect("it is kept")
    };
    bench.until(|bench| get(bench).replayed == 300).await;
    let bulk = get(&bench);
    assert_eq!((bulk.matched, bulk.skipped), (300, 0));
    assert!(bench.relay.health().pending_messages <= 100);
    bench.relay.stop_reading();
    assert_eq!(thread.expect("a thread").join().expect("no panic"), Ok(()));
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_store_without_room_refuses_replays_and_keeps_what_is_settled() {
    let mut bench = Bench::new(AMPLE, true);
    let id = have_returned(&mut bench, 1).await[0];
    let row = bench.accept("a").await;
    assert_eq!(bench.pull(), [row]);
    bench.fail([Some(crate::store::StoreError::Full)]);
    assert_eq!(soon(bench.relay.replay(id)).await, Err(AcceptError::Full));
    assert_eq!(bench.relay.health().pending_messages, 1);
    assert_eq!(soon(bench.relay.replay(id)).await, Ok(Replay::Pending));
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_and_what_is_left_of_a_bulk_replay_go_on_after_a_restart() {
    let mut bench = Bench::new(AMPLE, true);
    let ids = have_returned(&mut bench, 10).await;
    assert_eq!(soon(bench.relay.replay(ids[9])).await, Ok(Replay::Pending));
    let newer = bench.accept("a").await;
    let begun = soon(bench.relay.replay_matching(filter()))
        .await
        .expect("begun");
    let mut bench = bench.again();
    assert_eq!(bench.relay.health().pending_messages, 2);
    let replayer = bench.relay.bulk_replayer();
    let thread = std::thread::Builder::new().spawn(move || replayer.run());
    let bulk = done(&bench, begun.id).await;
    assert_eq!((bulk.matched, bulk.replayed, bulk.skipped), (9, 9, 0));
    let rows = pull_and_end(&mut bench, 11, &Outcome::Confirmed).await;
    let first = [ids[9].row(), newer];
    let expected: Vec<_> = first
        .into_iter()
        .chain(ids[..9].iter().map(|id| id.row()))
        .collect();
    assert_eq!(rows, expected);
    let outcome = record(&bench, ids[9].row()).outcome.expect("it has ended");
    assert_eq!(outcome.revision, 4);
    assert_eq!(bench.end(), Ok(()));
    assert_eq!(thread.expect("a thread").join().expect("no panic"), Ok(()));
}
