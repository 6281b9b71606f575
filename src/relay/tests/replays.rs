//! Messages that have ended are sent again.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use super::bench::{AMPLE, Bench, draft, is_pending, reason, settings, soon};
use super::schedules::record;
use crate::broker::{Outcome, Room};
use crate::clock;
use crate::domain::{Caller, Message, MessageId, RowId, Status, Turn, WallTime};
use crate::relay::lanes::Lanes;
use crate::relay::{AcceptError, Budget, Cancellation, Replay, Start};
use crate::store::{Accepted, BulkReplay, Filter, Pending, ReadStore};

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
    let commits = bench.commits_begun();
    bench.hold();
    let relay = bench.relay.clone();
    let mut other = pin!(relay.accept(draft("b")));
    assert!(is_pending(&mut other).await);
    bench.until(|bench| bench.commits_begun() > commits).await;
    // All of them are decided between the same two commits.
    let mut all: Vec<_> = (0..8).map(|_| Box::pin(relay.replay(id))).collect();
    for one in &mut all {
        assert!(is_pending(one).await);
    }
    bench.let_go();
    let mut won = 0;
    for told in all {
        match soon(told).await {
            Ok(Replay::Pending) => won += 1,
            told => assert_eq!(told, Ok(Replay::No)),
        }
    }
    assert_eq!(won, 1);
    let other = soon(other).await.expect("accepted").id.row();
    assert_eq!(bench.relay.health().pending_messages, 2);
    assert_eq!(bench.pull(), [other, id.row()]);
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
    let get = |bench: &Bench| {
        let bulk = bench.kept.bulk_replay(begun.id).expect("read");
        bulk.expect("it is kept")
    };
    // How far it has come is kept with what it sends again, so that a crash leaves nothing out.
    bench.until(|bench| get(bench).replayed == 100).await;
    let bulk = get(&bench);
    assert_eq!((bulk.matched, bulk.done), (100, false));
    assert_eq!(bulk.through, Some(ids[99].row()));
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
    bench
        .until(|bench| bench.relay.health().pending_messages == 1)
        .await;
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

#[tokio::test]
async fn a_replayed_message_waits_for_what_was_queued_before_it_and_not_yet_committed() {
    let mut bench = Bench::new(AMPLE, true);
    let id = have_returned(&mut bench, 1).await[0];
    bench.hold();
    let relay = bench.relay.clone();
    let mut first = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut first).await);
    // More than one commit takes.
    let mut many = pin!(relay.accept_all(vec![draft("a"); 5000]));
    let mut again = pin!(relay.replay(id));
    assert!(is_pending(&mut many).await && is_pending(&mut again).await);
    bench.let_go();
    let mut expected = vec![soon(first).await.expect("accepted").id.row()];
    let accepted = soon(many).await;
    expected.extend(accepted.iter().flatten().map(|one| one.id.row()));
    assert_eq!(soon(again).await, Ok(Replay::Pending));
    expected.push(id.row());
    assert_eq!(expected.len(), 5002);
    let rows = pull_and_end(&mut bench, 5002, &Outcome::Confirmed).await;
    assert!(rows == expected, "out of order");
    assert_eq!(bench.end(), Ok(()));
}

#[test]
fn what_is_new_and_what_goes_again_reach_a_lane_in_the_order_of_turns() {
    let start = Start::default();
    let lanes = Lanes::new(1, &settings(1, AMPLE).dispatch, &start, false);
    let message = |row: u64| {
        Arc::new(Message {
            id: MessageId::from_parts(RowId::from_stored(row), 0),
            accepted_at: WallTime::default(),
            draft: draft("a"),
        })
    };
    let accepted = |row| Accepted {
        message: message(row),
        partition: 0,
        key: None,
        due: None,
        clock_step_ms: 0,
    };
    let again = |row, turn| Pending {
        message: message(row),
        turn: Turn::from_stored(turn),
        replays: 1,
        duplicate_possible: false,
        attempts: 0,
    };
    let mut new = vec![accepted(10), accepted(12), accepted(14)];
    let mut going = vec![(again(3, 11), 0), (again(2, 13), 0), (again(1, 15), 0)];
    lanes.enqueue(&mut new, &mut going);
    let room = Room {
        messages: 10,
        bytes: 10_000,
        empty: true,
    };
    let mut into = Vec::new();
    let mut dispatch = lanes.all()[0].dispatch.lock();
    dispatch.pull(clock::monotonic(), room, &mut into);
    let rows: Vec<_> = into.iter().map(|one| one.message.id.row().get()).collect();
    assert_eq!(rows, [10, 3, 12, 2, 14, 1]);
}
