//! Many messages accepted at once.

use std::pin::pin;

use super::bench::{AMPLE, Bench, Note, draft, is_pending, soon};
use crate::domain::{Draft, RowId};
use crate::relay::{AcceptError, Budget};
use crate::store::StoreError;

/// Messages that can be told apart by their payload.
fn drafts(count: u32) -> Vec<Draft> {
    let numbered = |number: u32| Draft {
        payload: number.to_le_bytes().to_vec().into(),
        ..draft("a")
    };
    (0..count).map(numbered).collect()
}

#[tokio::test]
async fn a_batch_is_accepted_and_handed_over_in_its_order() {
    let mut bench = Bench::new(AMPLE, false);
    let accepted = soon(bench.relay.accept_all(drafts(900))).await;
    let mut rows = Vec::new();
    for (number, one) in (0_u32..).zip(&accepted) {
        let message = one.as_ref().expect("accepted");
        assert_eq!(message.draft.payload[..], number.to_le_bytes());
        rows.push(message.id.row());
    }
    assert_eq!(rows.len(), 900);
    assert!(rows.is_sorted());
    assert_eq!(bench.pull(), rows);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn an_empty_batch_is_answered_at_once() {
    let bench = Bench::new(AMPLE, false);
    assert_eq!(soon(bench.relay.accept_all(Vec::new())).await, []);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn what_the_budget_has_no_room_for_is_refused_and_the_rest_accepted() {
    let budget = Budget {
        messages_max: 700,
        ..AMPLE
    };
    let bench = Bench::new(budget, false);
    let accepted = soon(bench.relay.accept_all(drafts(1000))).await;
    assert_eq!(accepted.len(), 1000);
    assert!(accepted[..700].iter().all(Result::is_ok));
    assert!(
        accepted[700..]
            .iter()
            .all(|one| *one == Err(AcceptError::Full))
    );
    assert_eq!(bench.relay.health().pending_messages, 700);
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_commit_without_room_refuses_its_part_of_a_batch_alone() {
    let bench = Bench::new(AMPLE, true);
    bench.hold();
    let relay = bench.relay.clone();
    let mut first = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut first).await);
    bench.commit_begins().await;
    let mut batch = pin!(relay.accept_all(drafts(5000)));
    assert!(is_pending(&mut batch).await);
    bench.fail([None, Some(StoreError::Full)]);
    bench.let_go();
    assert!(first.await.is_ok());
    let accepted = soon(batch).await;
    let refused = |one: &Result<_, AcceptError>| match one {
        Err(error) => *error == AcceptError::Full,
        Ok(_) => false,
    };
    assert!(accepted[..4096].iter().all(refused));
    assert!(accepted[4096..].iter().all(Result::is_ok));
    assert_eq!(accepted.len(), 5000);
    bench
        .until(|bench| bench.relay.health().pending_messages == 905)
        .await;
    assert_eq!(bench.end(), Ok(()));
}

#[tokio::test]
async fn a_failed_commit_leaves_the_outcome_of_the_rest_of_a_batch_unknown() {
    let bench = Bench::new(AMPLE, true);
    bench.hold();
    let relay = bench.relay.clone();
    let mut first = pin!(relay.accept(draft("a")));
    assert!(is_pending(&mut first).await);
    bench.commit_begins().await;
    let mut batch = pin!(relay.accept_all(drafts(5000)));
    assert!(is_pending(&mut batch).await);
    bench.fail([None, None, Some(StoreError::Fatal("no disk".into()))]);
    bench.let_go();
    let accepted = soon(batch).await;
    assert!(accepted[..4096].iter().all(Result::is_ok));
    assert!(
        accepted[4096..]
            .iter()
            .all(|one| *one == Err(AcceptError::OutcomeUnknown))
    );
    assert!(bench.end().is_err());
}

#[tokio::test]
async fn a_batch_whose_caller_leaves_is_kept_whole() {
    let mut bench = Bench::new(AMPLE, false);
    let relay = bench.relay.clone();
    {
        let mut batch = pin!(relay.accept_all(drafts(900)));
        assert!(is_pending(&mut batch).await);
    }
    assert_eq!(bench.relay.health().pending_messages, 900);
    let kept = |bench: &Bench| {
        let kept = |note: Note| match note {
            Note::Kept(accepted, _) => accepted,
            _ => Vec::new(),
        };
        let rows = bench.notes().into_iter().flat_map(kept);
        rows.collect::<Vec<RowId>>()
    };
    bench.until(|bench| kept(bench).len() == 900).await;
    let rows = kept(&bench);
    let mut pulled = Vec::new();
    soon(async {
        while pulled.len() < 900 {
            pulled.extend(bench.pull());
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(pulled, rows);
}
