//! With a store that survives, nothing is handed over before the store knows that it may have been.

use super::bench::{AMPLE, Bench, draft, reason};
use crate::broker::{LaneEvent, Outcome};

#[tokio::test]
async fn what_was_accepted_while_no_lane_was_up_waits_until_the_store_knows_of_the_hand_over() {
    let mut bench = Bench::new(AMPLE, true);
    bench.lane_is(LaneEvent::Down(reason()));
    let row = bench.accept("a").await;
    assert_eq!(bench.gates(), [None]);
    bench.commit_begins().await;
    bench.lane_is(LaneEvent::Up);
    bench.hold();
    assert_eq!(bench.pull(), []);
    bench.commit_begins().await;
    assert_eq!(bench.pull(), []);
    bench.let_go();
    bench.until(|bench| bench.gates().len() >= 2).await;
    assert_eq!(bench.gates()[1], Some(row.into()));
    let mut pulled = bench.pull();
    while pulled.is_empty() {
        tokio::task::yield_now().await;
        pulled = bench.pull();
    }
    assert_eq!(pulled, [row]);
}

#[tokio::test]
async fn while_a_lane_is_up_the_news_rides_along_with_each_commit() {
    let mut bench = Bench::new(AMPLE, true);
    let row = bench.accept("a").await;
    assert_eq!(bench.gates(), [Some(row.into())]);
    assert_eq!(bench.pull(), [row]);
}

#[tokio::test]
async fn final_statuses_ride_along_with_new_messages() {
    let mut bench = Bench::new(AMPLE, true);
    let first = bench.accept("a").await;
    bench.commit_begins().await;
    assert_eq!(bench.pull(), [first]);
    bench.hold();
    let relay = bench.relay.clone();
    let second = tokio::join!(relay.accept(draft("b")), async {
        bench.commit_begins().await;
        bench.report(first, Outcome::Confirmed);
        let relay = bench.relay.clone();
        let third = tokio::join!(relay.accept(draft("c")), async { bench.let_go() }).0;
        third.expect("accepted").id.row()
    });
    let (second, third) = (second.0.expect("accepted").id.row(), second.1);
    let kept = |accepted: &[_], settled: &[_]| {
        super::bench::Note::Kept(accepted.to_vec(), settled.to_vec())
    };
    bench.until(|bench| bench.notes().len() >= 4).await;
    let expected = [
        kept(&[first], &[]),
        kept(&[second], &[]),
        kept(&[third], &[first]),
        super::bench::Note::Told(first),
    ];
    assert_eq!(bench.notes(), expected);
}
