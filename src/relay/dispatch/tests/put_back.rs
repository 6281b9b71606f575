//! More messages that wait than there is memory for: others pass, and all go out once and in order.

mod lane;

use std::time::Duration;

use proptest::prelude::*;

use super::cases;
use crate::relay::dispatch::Why;
use lane::{Lane, MESSAGES_MAX};

#[test]
fn a_backlog_for_a_silent_destination_lets_others_pass_and_goes_out_in_order_later() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick"];
    lane.accept("sick", None, 300);
    lane.accept("well", None, 20);
    lane.accept("sick", None, 300);
    lane.accept("well", None, 20);
    for _ in 0..400 {
        lane.round();
    }
    assert_eq!(lane.pending_for("well"), 0, "others wait behind it");
    assert_eq!(lane.pending_for("sick"), 600);
    lane.accept("well", None, 1);
    lane.round();
    assert_eq!(lane.pending_for("well"), 0);
    lane.dead.clear();
    for _ in 0..2000 {
        lane.round();
    }
    assert_eq!(lane.pending_for("sick"), 0);
}

#[test]
fn what_waits_between_tries_lets_others_pass() {
    let mut lane = Lane::pausing(Duration::from_mins(1));
    lane.refusing = vec!["full"];
    lane.accept("full", None, 500);
    lane.accept("well", None, 20);
    let mut rounds = 0;
    while lane.pending_for("well") > 0 {
        lane.round();
        rounds += 1;
        assert!(rounds < 200, "others wait behind it");
    }
    assert_eq!(lane.pending_for("full"), 500);
    for _ in 0..3000 {
        lane.round();
        lane.at.now += Duration::from_secs(5);
    }
    assert_eq!(lane.pending_for("full"), 0);
}

#[test]
fn one_that_recovers_goes_on_beside_one_that_does_not() {
    let mut lane = Lane::new();
    lane.dead = vec!["first", "second"];
    for _ in 0..100 {
        lane.accept("first", None, 3);
        lane.accept("second", None, 3);
    }
    for _ in 0..200 {
        lane.round();
    }
    lane.dead = vec!["first"];
    for _ in 0..2000 {
        lane.round();
    }
    assert_eq!(
        (lane.pending_for("first"), lane.pending_for("second")),
        (300, 0)
    );
}

#[test]
fn what_was_withdrawn_before_it_was_looked_at_is_not_read_back_with_later_ones_of_its_key() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick"];
    lane.accept("sick", None, 200);
    for _ in 0..100 {
        lane.round();
    }
    // The lane has put back all that it cannot hold, and is not behind the store: a new one comes into
    // memory, is withdrawn, and the next one of its key is put back.
    lane.accept("sick", None, 1);
    let last = lane.stored.len() - 1;
    assert_eq!(lane.dispatch.fresh.len(), 1);
    lane.withdraw_at(last, Why::Cancelled);
    lane.accept("sick", None, 1);
    lane.pull(MESSAGES_MAX);
    lane.dead.clear();
    // Commits come late, so that a reading finds the withdrawn one.
    for _ in 0..100 {
        lane.pull(MESSAGES_MAX);
        lane.answer(8);
        lane.probe();
        lane.probed();
        lane.ask();
        lane.refill();
        lane.at.now += Duration::from_millis(50);
    }
    while !lane.stored.is_empty() {
        lane.round();
    }
}

const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Deed {
    Accept(usize, Option<usize>, usize),
    Pull(usize),
    Answer(usize),
    Commit,
    Look,
    Probe,
    Probed,
    Ask,
    Refill,
    /// Messages come between a reading and its answer.
    Race(usize, usize),
    Pass(u64),
    Dead(u8),
    Refusing(u8),
    Rounds(usize),
    Withdraw(prop::sample::Index, bool),
    Replay(prop::sample::Index),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0..3_usize, prop::option::of(0..3_usize), 1..30_usize)
            .prop_map(|(key, ordering_key, count)| Deed::Accept(key, ordering_key, count)),
        3 => (1..50_usize).prop_map(Deed::Pull),
        3 => (1..9_usize).prop_map(Deed::Answer),
        2 => Just(Deed::Commit),
        2 => Just(Deed::Look),
        2 => Just(Deed::Probe),
        2 => Just(Deed::Probed),
        3 => Just(Deed::Ask),
        3 => Just(Deed::Refill),
        3 => (0..3_usize, 1..9_usize).prop_map(|(key, count)| Deed::Race(key, count)),
        3 => (0..1500_u64).prop_map(Deed::Pass),
        1 => (0..8_u8).prop_map(Deed::Dead),
        1 => (0..8_u8).prop_map(Deed::Refusing),
        2 => (1..40_usize).prop_map(Deed::Rounds),
        4 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, why)| Deed::Withdraw(which, why)),
        2 => any::<prop::sample::Index>().prop_map(Deed::Replay),
    ]
}

fn those(mask: u8) -> Vec<&'static str> {
    let marked = |(at, key): (usize, &&'static str)| (mask >> at & 1 == 1).then_some(*key);
    KEYS.iter().enumerate().filter_map(marked).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(300)) })]

    #[test]
    fn whatever_waits_however_long_everything_goes_out_once_and_in_order(
        deeds in prop::collection::vec(any_deed(), 0..80),
    ) {
        let mut lane = Lane::new();
        for deed in deeds {
            match deed {
                Deed::Accept(key, ordering_key, count) => {
                    lane.accept(KEYS[key], ordering_key.map(|key| KEYS[key]), count);
                }
                Deed::Pull(count) => { lane.pull(count); }
                Deed::Answer(count) => lane.answer(count),
                Deed::Commit => lane.commit(),
                Deed::Look => lane.look(),
                Deed::Probe => lane.probe(),
                Deed::Probed => lane.probed(),
                Deed::Ask => lane.ask(),
                Deed::Refill => lane.refill(),
                Deed::Race(key, count) => {
                    lane.answer(MESSAGES_MAX);
                    lane.ask();
                    lane.accept(KEYS[key], None, count);
                    lane.pull(count);
                    lane.refill();
                }
                Deed::Pass(ms) => lane.at.now += Duration::from_millis(ms),
                Deed::Dead(mask) => lane.dead = those(mask),
                Deed::Refusing(mask) => lane.refusing = those(mask),
                Deed::Withdraw(which, expired) => {
                    lane.withdraw(which, if expired { Why::Expired } else { Why::Cancelled });
                }
                Deed::Replay(which) => lane.replay(which),
                Deed::Rounds(count) => for _ in 0..count { lane.round(); },
            }
        }
        lane.dead.clear();
        lane.refusing.clear();
        let mut rounds = 0;
        while !lane.stored.is_empty() {
            lane.round();
            rounds += 1;
            prop_assert!(rounds < 5000, "{} are stuck", lane.stored.len());
        }
        let left = &lane.dispatch;
        prop_assert!(left.entries.is_empty() && left.fresh.is_empty() && left.holds.is_empty());
        prop_assert_eq!((left.entry_bytes, left.in_flight_bytes, left.in_flight), (0, 0, 0));
    }
}
