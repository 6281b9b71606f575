//! What is forgotten is told, and only to those who may miss it.

use super::*;
use crate::notify::events::ring::Step;
use crate::store::{KeptSince, OutcomesPage};

/// The next one, which is a gap.
async fn gap(listener: &mut Listener) -> (u64, u64) {
    match next(listener).await {
        Next::Gap { from, to } => (from, to),
        Next::Event(event) => panic!("{} and no gap", event.position),
    }
}

/// A bench with the last five of twenty.
fn forgetful() -> Bench {
    let mut bench = Bench::new(5, 100);
    for _ in 0..20 {
        bench.settle(1, Status::Confirmed);
    }
    bench
}

#[tokio::test]
async fn a_position_that_is_too_old_is_told_and_what_is_kept_comes_next() {
    let bench = forgetful();
    let mut listener = bench.listen(Filter::default(), Some(3)).await;
    assert_eq!(listener.position(), 3);
    assert_eq!(gap(&mut listener).await, (3, 15));
    for number in 16..=20 {
        assert_eq!(position(&mut listener).await, number);
    }
    assert!(listener.take().is_none());
}

#[tokio::test]
async fn the_last_position_behind_which_everything_is_kept_is_not_too_old() {
    let bench = forgetful();
    let mut listener = bench.listen(Filter::default(), Some(15)).await;
    assert_eq!(position(&mut listener).await, 16);
    let mut listener = bench.listen(Filter::default(), Some(14)).await;
    assert_eq!(gap(&mut listener).await, (14, 15));
}

#[tokio::test]
async fn who_asks_for_what_is_kept_is_not_told_that_there_was_more() {
    let bench = forgetful();
    let mut listener = bench.listen(Filter::default(), Some(0)).await;
    assert_eq!(position(&mut listener).await, 16);
}

#[tokio::test]
async fn a_position_that_was_never_reached_is_of_another_store() {
    let bench = forgetful();
    let mut listener = bench.listen(Filter::default(), Some(21)).await;
    assert_eq!(listener.position(), 0);
    assert_eq!(gap(&mut listener).await, (21, 15));
    assert_eq!(position(&mut listener).await, 16);
    let mut listener = bench.listen(Filter::default(), Some(20)).await;
    assert!(listener.take().is_none());
}

#[tokio::test]
async fn what_is_forgotten_before_a_slow_listener_gets_there_is_a_gap_too() {
    let mut bench = Bench::new(200, 10);
    let mut listener = bench.listen(Filter::default(), Some(0)).await;
    for _ in 0..150 {
        bench.settle(1, Status::Confirmed);
    }
    assert_eq!(position(&mut listener).await, 1);
    // The page that it has read by now is its own, and what comes behind goes.
    for _ in 0..350 {
        bench.settle(1, Status::Confirmed);
    }
    let (mut last, mut told) = (1, None);
    while last < 500 {
        match next(&mut listener).await {
            Next::Event(event) => {
                let expected = if told.is_some_and(|(_, to)| last < to) {
                    301
                } else {
                    last + 1
                };
                assert_eq!(event.position, expected);
                last = event.position;
            }
            Next::Gap { from, to } => {
                assert_eq!((from, told), (last, None));
                told = Some((from, to));
            }
        }
    }
    assert_eq!(told.map(|(_, to)| to), Some(300));
}

#[test]
fn the_ring_tells_of_gaps_as_the_store_did() {
    let kept = KeptSince {
        all: 7,
        unconfirmed: 2,
    };
    let mut ring = Ring::new(10);
    ring.start(4);
    let page = OutcomesPage {
        outcomes: Vec::new(),
        reached: 9,
        last: 9,
        kept,
    };
    ring.push(4, page);
    let step = |position, missing_to, status| {
        let wanted = Wanted {
            filter: Filter {
                status,
                ..Filter::default()
            },
            key: None,
        };
        ring.step(position, missing_to, &wanted)
    };
    assert!(matches!(step(4, 0, None), Step::Gap(4, 7)));
    assert!(matches!(step(6, 0, None), Step::Gap(6, 7)));
    assert!(matches!(step(7, 0, None), Step::Nothing(9)));
    assert!(matches!(step(4, 7, None), Step::Nothing(9)));
    assert!(matches!(
        step(4, 0, Some(Status::Returned)),
        Step::Nothing(9)
    ));
    assert!(matches!(step(3, 0, None), Step::NotHere));
}
