//! One idempotency key, one message.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::bench::{AMPLE, Bench, draft, is_pending, soon};
use crate::clock;
use crate::domain::{Caller, Draft, Fingerprint, Message, MessageId, RowId};
use crate::relay::{AcceptError, Acceptance, Keyed, Relay};
use crate::store::{Accepted, Batch, KeyUse, ReadStore, StoreError, WriteStore};

const DAY: Duration = Duration::from_hours(24);

type Answer = Result<Acceptance, AcceptError>;

fn keyed(key: &str, routing_key: &str) -> Keyed {
    Keyed {
        draft: draft(routing_key),
        key: Some(key.into()),
    }
}

async fn accept_all(bench: &Bench, messages: Vec<Keyed>) -> Vec<Answer> {
    let (relay, store) = parts(bench);
    soon(relay.accept_keyed(messages, &store, DAY)).await
}

fn parts(bench: &Bench) -> (Relay, Arc<dyn ReadStore>) {
    (bench.relay.clone(), Arc::new(bench.kept.clone()))
}

async fn accept(bench: &Bench, message: Keyed) -> Answer {
    let mut answers = accept_all(bench, vec![message]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// The same, not waited for: whoever has it polls it.
async fn accept_later(bench: &Bench, message: Keyed) -> Answer {
    let (relay, store) = parts(bench);
    let mut answers = relay.accept_keyed(vec![message], &store, DAY).await;
    answers.remove(0)
}

fn new(answer: &Answer) -> MessageId {
    match answer {
        Ok(Acceptance::New(message)) => message.id,
        other => panic!("not new: {other:?}"),
    }
}

/// Polls `future` until a commit has begun.
async fn until_commit_begins(bench: &Bench, future: &mut (impl Future<Output = Answer> + Unpin)) {
    tokio::select! {
        answer = future => panic!("answered before its commit: {answer:?}"),
        () = bench.commit_begins() => {}
    }
}

#[tokio::test]
async fn a_repeat_stands_for_the_first_message_and_publishes_nothing() {
    let mut bench = Bench::new(AMPLE, false);
    let first = new(&accept(&bench, keyed("k", "a")).await);
    for _ in 0..3 {
        let again = accept(&bench, keyed("k", "a")).await;
        assert_eq!(again, Ok(Acceptance::Repeat(first)));
    }
    assert_eq!(bench.pull(), [first.row()]);
    assert_eq!(bench.relay.health().pending_messages, 1);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn another_message_with_the_key_is_refused() {
    let mut bench = Bench::new(AMPLE, false);
    let first = new(&accept(&bench, keyed("k", "a")).await);
    let other = accept(&bench, keyed("k", "b")).await;
    assert_eq!(other, Err(AcceptError::KeyReused));
    assert_eq!(bench.pull(), [first.row()]);
}

#[tokio::test]
async fn keys_of_different_callers_and_messages_without_one_have_nothing_to_do_with_each_other() {
    let bench = Bench::new(AMPLE, false);
    let first = new(&accept(&bench, keyed("k", "a")).await);
    let theirs = Keyed {
        draft: Draft {
            caller: Caller::named("other").expect("a name"),
            ..draft("a")
        },
        key: Some("k".into()),
    };
    let without = Keyed {
        draft: draft("a"),
        key: None,
    };
    let answers = accept_all(&bench, vec![theirs, without.clone(), without]).await;
    let mut ids: Vec<_> = answers.iter().map(new).collect();
    ids.push(first);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn whoever_races_with_another_callers_key_waits_for_nobody() {
    let bench = Bench::new(AMPLE, false);
    bench.hold();
    let mut first = Box::pin(accept_later(&bench, keyed("k", "a")));
    until_commit_begins(&bench, &mut first).await;
    let mut theirs = keyed("k", "a");
    theirs.draft.caller = Caller::named("other").expect("a name");
    let mut theirs = Box::pin(accept_later(&bench, theirs));
    assert!(is_pending(&mut theirs).await);
    bench.let_go();
    let (first, theirs) = (new(&soon(first).await), new(&soon(theirs).await));
    assert_ne!(first, theirs);
}

#[tokio::test]
async fn a_racing_repeat_waits_for_the_commit_of_the_first() {
    let mut bench = Bench::new(AMPLE, false);
    bench.hold();
    let mut first = Box::pin(accept_later(&bench, keyed("k", "a")));
    until_commit_begins(&bench, &mut first).await;
    let mut again = Box::pin(accept_later(&bench, keyed("k", "a")));
    let mut other = Box::pin(accept_later(&bench, keyed("k", "b")));
    assert!(is_pending(&mut again).await);
    assert!(is_pending(&mut other).await);
    bench.let_go();
    let id = new(&soon(&mut first).await);
    assert_eq!(soon(&mut again).await, Ok(Acceptance::Repeat(id)));
    assert_eq!(soon(&mut other).await, Err(AcceptError::KeyReused));
    drop((first, again, other));
    assert_eq!(bench.pull(), [id.row()]);
}

#[tokio::test]
async fn when_the_first_is_refused_a_racing_repeat_takes_its_place() {
    let bench = Bench::new(AMPLE, true);
    bench.hold();
    bench.fail([Some(StoreError::Full)]);
    let mut first = Box::pin(accept_later(&bench, keyed("k", "a")));
    until_commit_begins(&bench, &mut first).await;
    let mut again = Box::pin(accept_later(&bench, keyed("k", "a")));
    assert!(is_pending(&mut again).await);
    bench.let_go();
    assert_eq!(soon(&mut first).await, Err(AcceptError::Full));
    let id = new(&soon(&mut again).await);
    let third = accept(&bench, keyed("k", "a")).await;
    assert_eq!(third, Ok(Acceptance::Repeat(id)));
}

#[tokio::test]
async fn when_nobody_knows_of_the_first_nobody_knows_of_its_repeat() {
    let bench = Bench::new(AMPLE, true);
    bench.hold();
    bench.fail([Some(StoreError::Fatal("no disk".into()))]);
    let mut first = Box::pin(accept_later(&bench, keyed("k", "a")));
    until_commit_begins(&bench, &mut first).await;
    let mut again = Box::pin(accept_later(&bench, keyed("k", "a")));
    assert!(is_pending(&mut again).await);
    bench.let_go();
    let unknown = Err(AcceptError::OutcomeUnknown);
    assert_eq!(soon(&mut first).await, unknown);
    assert_eq!(soon(&mut again).await, unknown);
}

#[tokio::test]
async fn whoever_leaves_once_the_message_is_queued_leaves_the_key_to_it() {
    let mut bench = Bench::new(AMPLE, false);
    bench.hold();
    {
        let mut first = Box::pin(accept_later(&bench, keyed("k", "a")));
        until_commit_begins(&bench, &mut first).await;
    }
    let mut again = Box::pin(accept_later(&bench, keyed("k", "a")));
    assert!(is_pending(&mut again).await);
    bench.let_go();
    let answer = soon(&mut again).await;
    drop(again);
    let Ok(Acceptance::Repeat(id)) = answer else {
        panic!("not repeated: {answer:?}");
    };
    let pulled = soon(async {
        loop {
            match bench.pull() {
                none if none.is_empty() => tokio::task::yield_now().await,
                some => return some,
            }
        }
    });
    assert_eq!(pulled.await, [id.row()]);
}

#[test]
fn whoever_leaves_before_frees_the_key() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(async {
        let bench = Bench::new(AMPLE, false);
        // The one thread that asks the store is busy, so nobody gets any further.
        let (let_go, held) = std::sync::mpsc::sync_channel::<()>(1);
        let busy = tokio::task::spawn_blocking(move || held.recv());
        {
            let mut first = pin!(accept_later(&bench, keyed("k", "a")));
            assert!(is_pending(&mut first).await);
        }
        drop(let_go);
        assert!(busy.await.is_ok());
        new(&accept(&bench, keyed("k", "b")).await);
    });
}

#[tokio::test]
async fn a_batch_may_repeat_itself() {
    let mut bench = Bench::new(AMPLE, false);
    let without = Keyed {
        draft: draft("b"),
        key: None,
    };
    let messages = vec![
        keyed("k", "a"),
        without.clone(),
        keyed("k", "a"),
        keyed("k", "b"),
        keyed("l", "a"),
        without,
    ];
    let answers = accept_all(&bench, messages).await;
    let first = new(&answers[0]);
    assert_eq!(answers[2], Ok(Acceptance::Repeat(first)));
    assert_eq!(answers[3], Err(AcceptError::KeyReused));
    let rows: Vec<_> = [0, 1, 4, 5].map(|at| new(&answers[at]).row()).to_vec();
    assert!(rows.is_sorted(), "the order of the batch");
    assert_eq!(bench.pull(), rows);
}

#[tokio::test]
async fn a_key_is_forgotten_after_its_time_and_not_before() {
    let bench = Bench::new(AMPLE, false);
    let first = new(&accept(&bench, keyed("k", "a")).await);
    bench.until(|_| clock::wall() > first.row().time()).await;
    let (relay, store) = parts(&bench);
    let at_once = Duration::ZERO;
    let answers = relay.accept_keyed(vec![keyed("k", "b")], &store, at_once);
    let second = new(&soon(answers).await[0]);
    assert_ne!(first, second);
    let answer = accept(&bench, keyed("k", "b")).await;
    assert_eq!(answer, Ok(Acceptance::Repeat(second)));
}

#[tokio::test]
async fn a_key_counts_to_the_end_of_its_time() {
    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);
    let bench = Bench::new(AMPLE, false);
    let Keyed { draft, key } = keyed("k", "a");
    let row = RowId::first_at(clock::wall().minus(HOUR)).expect("after 1970");
    let first = MessageId::from_parts(row, 7);
    let accepted = Accepted {
        key: key.map(|key| {
            let fingerprint = Fingerprint::of(&draft);
            Box::new(KeyUse { key, fingerprint })
        }),
        message: Arc::new(Message {
            id: first,
            accepted_at: row.time(),
            draft,
        }),
        partition: 0,
        due: None,
        clock_step_ms: 0,
    };
    let batch = Batch {
        accepted: &[accepted],
        ..Batch::default()
    };
    bench.kept.clone().commit(&batch).expect("commit");
    let (relay, store) = parts(&bench);
    let again = |kept| relay.accept_keyed(vec![keyed("k", "a")], &store, kept);
    let answer = soon(again(HOUR + MINUTE)).await;
    assert_eq!(answer, [Ok(Acceptance::Repeat(first))]);
    let shorter = HOUR.saturating_sub(MINUTE);
    assert_ne!(new(&soon(again(shorter)).await[0]), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_race_exactly_one_is_new() {
    let mut bench = Bench::new(AMPLE, false);
    let mut racing = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (relay, store) = parts(&bench);
        let message = keyed(&format!("key {}", number % 10), "a");
        racing.spawn(async move { relay.accept_keyed(vec![message], &store, DAY).await });
    }
    let answers = soon(racing.join_all()).await.concat();
    let mut ids: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(Acceptance::New(message)) => message.id,
            Ok(Acceptance::Repeat(id)) => *id,
            Err(error) => panic!("{error}"),
        })
        .collect();
    assert_eq!(ids.len(), 200);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    let is_new = |answer: &&Answer| matches!(answer, Ok(Acceptance::New(_)));
    assert_eq!(answers.iter().filter(is_new).count(), 10);
    assert_eq!(bench.pull().len(), 10);
}
