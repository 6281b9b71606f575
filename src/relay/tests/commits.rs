//! Nothing is told before its commit.

use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;

use super::bench::{AMPLE, Bench, Note, draft, is_pending, soon};
use crate::broker::Outcome;
use crate::clock;
use crate::domain::RowId;
use crate::relay::{AcceptError, Relay};
use crate::store::StoreError;

#[tokio::test]
async fn a_message_is_accepted_and_handed_over_only_after_its_commit() {
    let mut bench = Bench::new(AMPLE, false);
    bench.hold();
    let relay = bench.relay.clone();
    let mut accept = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut accept).await);
    bench.commit_begins().await;
    assert!(is_pending(&mut accept).await);
    assert_eq!(bench.pull(), []);
    bench.let_go();
    let message = accept.await.expect("accepted");
    assert_eq!(bench.notes(), [Note::Kept(vec![message.id.row()], vec![])]);
    assert_eq!(bench.pull(), [message.id.row()]);
}

#[tokio::test]
async fn who_watches_an_acceptance_learns_the_id_before_the_commit_and_nothing_of_what_is_refused()
{
    let bench = Bench::new(AMPLE, false);
    bench.hold();
    let relay = bench.relay.clone();
    let mut watched = None;
    let mut accept = Box::pin(relay.accept_watched(draft("a"), |id| watched = Some(id)));
    assert!(is_pending(&mut accept).await);
    bench.commit_begins().await;
    assert_eq!(bench.notes(), []);
    bench.let_go();
    let message = accept.await.expect("accepted");
    assert_eq!(watched, Some(message.id));
    relay.close();
    let refused = relay.accept_watched(draft("a"), |id| panic!("{id} is not queued"));
    assert_eq!(refused.await, Err(AcceptError::Stopping));
}

#[tokio::test]
async fn a_final_status_is_told_after_its_commit() {
    let mut bench = Bench::new(AMPLE, false);
    let row = bench.accept("a").await;
    bench.commit_begins().await;
    assert_eq!(bench.pull(), [row]);
    bench.hold();
    bench.report(row, Outcome::Confirmed);
    bench.commit_begins().await;
    let kept = Note::Kept(vec![row], vec![]);
    assert_eq!(bench.notes(), std::slice::from_ref(&kept));
    bench.let_go();
    bench.until(|bench| bench.notes().len() == 3).await;
    let settled = Note::Kept(vec![], vec![row]);
    assert_eq!(bench.notes(), [kept, settled, Note::Told(row)]);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_failed_store_leaves_the_outcome_unknown_and_ends_everything() {
    let bench = Bench::new(AMPLE, true);
    let relay = bench.relay.clone();
    bench.hold();
    bench.fail([Some(StoreError::Fatal("no disk".into()))]);
    let mut written = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut written).await);
    bench.commit_begins().await;
    // This one is queued behind the commit that fails.
    let mut queued = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut queued).await);
    bench.let_go();
    assert_eq!(soon(written).await, Err(AcceptError::OutcomeUnknown));
    assert_eq!(soon(queued).await, Err(AcceptError::OutcomeUnknown));
    let later = bench.relay.accept(draft("a")).await;
    assert_eq!(later, Err(AcceptError::Stopping));
    assert!(!bench.relay.health().accepting);
    assert_eq!(bench.end(), Err(StoreError::Fatal("no disk".into())));
}

#[tokio::test]
async fn an_answer_that_the_store_owes_is_an_unknown_outcome_too() {
    let bench = Bench::new(AMPLE, true);
    bench.fail([Some(StoreError::Unavailable("no answer".into()))]);
    let accepted = bench.relay.accept(draft("a")).await;
    assert_eq!(accepted, Err(AcceptError::OutcomeUnknown));
    assert!(bench.end().is_err());
}

#[tokio::test]
async fn a_settlement_whose_commit_fails_is_not_told() {
    let mut bench = Bench::new(AMPLE, true);
    let row = bench.accept("a").await;
    bench.pull();
    bench.fail([Some(StoreError::Fatal("no disk".into()))]);
    bench.report(row, Outcome::Confirmed);
    bench.until(|bench| !bench.relay.health().accepting).await;
    assert_eq!(bench.notes(), [Note::Kept(vec![row], vec![]), Note::Failed]);
}

#[tokio::test]
async fn a_full_store_refuses_the_new_and_keeps_what_is_settled() {
    let mut bench = Bench::new(AMPLE, true);
    let first = bench.accept("a").await;
    bench.commit_begins().await;
    bench.pull();
    bench.hold();
    let relay = bench.relay.clone();
    let mut second = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut second).await);
    bench.commit_begins().await;
    // Both go into the next batch, for which there is no room.
    let mut third = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut third).await);
    bench.report(first, Outcome::Confirmed);
    bench.fail([None, Some(StoreError::Full)]);
    bench.let_go();
    let second = second.await.expect("accepted").id.row();
    assert_eq!(third.await, Err(AcceptError::Full));
    bench
        .until(|bench| bench.notes().contains(&Note::Told(first)))
        .await;
    bench
        .until(|bench| bench.relay.health().pending_messages == 1)
        .await;
    let notes = [
        Note::Kept(vec![first], vec![]),
        Note::Kept(vec![second], vec![]),
        Note::Failed,
        Note::Kept(vec![], vec![first]),
        Note::Told(first),
    ];
    assert_eq!(bench.notes(), notes);
    assert_eq!(bench.pull(), [second]);
    assert!(bench.relay.accept(draft("a")).await.is_ok());
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_in_the_order_of_commits_and_of_each_caller() {
    let mut bench = Bench::new(AMPLE, false);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let relay = bench.relay.clone();
        callers.spawn(async move {
            let mut rows = Vec::new();
            for _ in 0..50 {
                rows.push(relay.accept(draft("a")).await.expect("accepted").id.row());
            }
            rows
        });
    }
    let each = callers.join_all().await;
    assert!(each.iter().all(|rows| rows.is_sorted()));
    let mut kept: Vec<RowId> = Vec::new();
    for note in bench.notes() {
        if let Note::Kept(accepted, _) = note {
            kept.extend(accepted);
        }
    }
    assert_eq!(kept.len(), 400);
    assert!(kept.is_sorted());
    assert_eq!(bench.pull(), kept);
}

#[tokio::test]
async fn final_statuses_without_room_wait_for_it_and_nothing_new_queues_meanwhile() {
    let mut bench = Bench::new(AMPLE, true);
    let first = bench.accept("a").await;
    bench.commit_begins().await;
    bench.pull();
    bench.fail([Some(StoreError::Full)]);
    bench.report(first, Outcome::Confirmed);
    bench.until(|bench| !bench.relay.health().accepting).await;
    assert_eq!(bench.relay.accept(draft("a")).await, Err(AcceptError::Full));
    assert_eq!(bench.relay.health().pending_messages, 1);
    bench
        .until(|bench| bench.notes().contains(&Note::Told(first)))
        .await;
    bench.until(|bench| bench.relay.health().accepting).await;
    let notes = [
        Note::Kept(vec![first], vec![]),
        Note::Failed,
        Note::Kept(vec![], vec![first]),
        Note::Told(first),
    ];
    assert_eq!(bench.notes(), notes);
    assert!(bench.relay.accept(draft("a")).await.is_ok());
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn one_commit_takes_no_more_than_its_share_of_a_long_queue() {
    let bench = Bench::new(AMPLE, false);
    bench.hold();
    let mut callers = JoinSet::new();
    for _ in 0..5000 {
        let relay = bench.relay.clone();
        callers.spawn(async move { relay.accept(draft("a")).await.is_ok() });
    }
    bench
        .until(|bench| bench.relay.health().pending_messages == 5000)
        .await;
    bench.let_go();
    assert!(
        callers
            .join_all()
            .await
            .into_iter()
            .all(|accepted| accepted)
    );
    let sizes: Vec<_> = bench
        .notes()
        .into_iter()
        .map(|note| match note {
            Note::Kept(accepted, _) => accepted.len(),
            other => unreachable!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 5000);
    assert!(sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
}

/// Accepts so many messages one after the other.
async fn accept_in_turn(relay: &Relay, count: usize) {
    for _ in 0..count {
        relay.accept(draft("a")).await.expect("accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_at_once_come_along_with_each_other_a_millisecond_apart() {
    let bench = Bench::new(AMPLE, false);
    let began = clock::monotonic();
    let mut accepting = JoinSet::new();
    for _ in 0..8 {
        let relay = bench.relay.clone();
        accepting.spawn(async move { accept_in_turn(&relay, 50).await });
    }
    while let Some(done) = accepting.join_next().await {
        done.expect("accepted");
    }
    let took = clock::monotonic().duration_since(began);
    let shared = bench
        .notes()
        .iter()
        .filter(|note| matches!(note, Note::Kept(kept, _) if kept.len() > 1))
        .count();
    assert!(shared > 0, "nobody had company");
    assert!(
        u128::try_from(shared).expect("few") <= 1 + took.as_millis(),
        "{shared} commits in {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_several_outcomes_the_next_commit_is_a_millisecond_later_too() {
    let mut bench = Bench::new(AMPLE, false);
    for _ in 0..50 {
        let rows = [bench.accept("a").await, bench.accept("a").await];
        assert_eq!(bench.pull(), rows);
        bench.hold();
        let before = bench.commits_begun();
        let relay = bench.relay.clone();
        let mut alone = JoinSet::new();
        alone.spawn(async move { accept_in_turn(&relay, 1).await });
        bench.until(|bench| bench.commits_begun() > before).await;
        for row in rows {
            bench.report(row, Outcome::Confirmed);
        }
        let began = clock::monotonic();
        bench.let_go();
        alone.join_next().await.expect("one").expect("accepted");
        let both = Note::Kept(vec![], rows.to_vec());
        bench.until(|bench| bench.notes().contains(&both)).await;
        accept_in_turn(&bench.relay, 1).await;
        let took = clock::monotonic().duration_since(began);
        assert!(took >= Duration::from_millis(1), "{took:?}");
        // Nothing of this round is left for the next.
        let rest = bench.pull();
        for row in rest.iter().copied() {
            bench.report(row, Outcome::Confirmed);
        }
        let is_told = |bench: &Bench, row| bench.notes().contains(&Note::Told(row));
        (bench.until(|bench| rest.iter().all(|row| is_told(bench, *row)))).await;
    }
}

#[tokio::test]
async fn whoever_is_alone_does_not_wait_for_others() {
    const TOGETHER: usize = 20;
    let bench = Bench::new(AMPLE, false);
    let mut fastest = Duration::MAX;
    for _ in 0..100 {
        let began = clock::monotonic();
        accept_in_turn(&bench.relay, TOGETHER).await;
        fastest = fastest.min(clock::monotonic().duration_since(began));
    }
    // With a pause after each, none of these could be as short, however quick the machine is.
    assert!(fastest < Duration::from_millis(10), "{fastest:?}");
}

#[tokio::test]
async fn deliveries_of_webhooks_are_told_of_when_some_were_kept() {
    let mut bench = Bench::new(AMPLE, false);
    let plain = bench.accept("a").await;
    let mut with_callback = draft("a");
    let terms = with_callback.terms.get_or_insert_default();
    terms.callback_url = Some("https://hooks.example/x".into());
    let told = bench.relay.accept(with_callback).await.expect("accepted");
    let told = told.id.row();
    assert_eq!(bench.pull(), [plain, told]);
    for (row, times) in [(plain, 0), (told, 1)] {
        bench.report(row, Outcome::Confirmed);
        let ended = |bench: &Bench| bench.notes().contains(&Note::Told(row));
        bench.until(ended).await;
        // Whoever is answered now is answered after all of that was told.
        bench.accept("a").await;
        assert_eq!(bench.deliveries_told(), times);
    }
}
