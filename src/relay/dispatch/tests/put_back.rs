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

/// While the broker is asked about an exchange, everything that goes there waits.
#[test]
fn a_backlog_that_has_waited_for_word_of_its_exchange_lets_others_pass_too() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick"];
    lane.accept_to("asked about", "sick", None, 300);
    for _ in 0..20 {
        lane.pull(MESSAGES_MAX);
        lane.ask();
        lane.refill();
    }
    lane.accept("well", None, 20);
    for _ in 0..400 {
        lane.round();
    }
    assert_eq!(lane.pending_for("well"), 0, "others wait behind it");
    assert_eq!(lane.pending_for("sick"), 300);
    lane.dead.clear();
    for _ in 0..1000 {
        lane.round();
    }
    assert_eq!(lane.pending_for("sick"), 0);
}

/// Those of other keys are not stirred by one of theirs.
#[test]
fn what_was_put_back_while_its_exchange_was_asked_about_goes_on_with_the_answer() {
    let mut lane = Lane::new();
    let keys: Vec<_> = (0..200).map(|key| key.to_string()).collect();
    for key in &keys {
        lane.accept_to("asked about", key, None, 1);
    }
    for _ in 0..20 {
        lane.pull(MESSAGES_MAX);
        lane.ask();
        lane.refill();
    }
    lane.accept("well", None, 20);
    for _ in 0..20 {
        lane.pull(MESSAGES_MAX);
        lane.answer(8);
        lane.commit();
        lane.ask();
        lane.refill();
    }
    assert_eq!(lane.pending_for("well"), 0, "others wait for the answer");
    for _ in 0..200 {
        lane.round();
    }
    assert_eq!(lane.stored.len(), 0);
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
fn while_the_memory_is_full_nothing_is_read_back_in_vain() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick"];
    lane.accept("sick", None, 200);
    for _ in 0..100 {
        lane.round();
    }
    lane.dead.clear();
    while lane.dispatch.quarantined() > 0 {
        lane.at.now += Duration::from_secs(1);
        lane.probe();
        lane.probed();
    }
    while !lane.dispatch.again.is_empty() {
        lane.pull(MESSAGES_MAX);
        lane.answer(MESSAGES_MAX);
    }
    lane.accept("well", None, MESSAGES_MAX);
    assert!(!lane.dispatch.needs_reading());
    assert_eq!(lane.dispatch.wants_reading(), None);
    while !lane.stored.is_empty() {
        lane.round();
    }
}

/// Nobody can be tried for it of those in memory, since they wait for another destination.
#[test]
fn a_destination_that_recovers_is_tried_though_all_that_wait_for_it_wait_for_another_too() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick", "well"];
    lane.accept("sick", Some("in order"), 1);
    lane.accept("well", Some("in order"), 15);
    for _ in 0..21 {
        lane.round();
    }
    lane.dead = vec!["sick"];
    lane.accept("well", None, 1);
    for _ in 0..200 {
        lane.round();
    }
    assert_eq!(lane.stored.len(), 16, "it waits");
}

/// Nobody who goes there is settled meanwhile, since those who were nacked wait for another destination.
#[test]
fn what_was_put_back_for_nacks_goes_on_when_no_pause_is_left() {
    let mut lane = Lane::new();
    lane.dead = vec!["sick"];
    lane.accept("sick", Some("in order"), 1);
    lane.pull(1);
    lane.refusing = vec!["full"];
    lane.accept("full", Some("in order"), 16);
    lane.at.now += Duration::from_millis(950);
    lane.pull(MESSAGES_MAX);
    lane.answer(MESSAGES_MAX);
    lane.accept("full", None, 1);
    lane.pull(MESSAGES_MAX);
    assert!(!lane.dispatch.put_back.is_empty(), "it was put back");
    lane.refusing.clear();
    for _ in 0..200 {
        lane.round();
    }
    let keyed = |one: &crate::store::Pending| one.message.draft.ordering_key.is_some();
    assert!(lane.stored.values().all(|(one, _)| keyed(one)), "it waits");
    assert_eq!(lane.stored.len(), 17);
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
    Accept(bool, usize, Option<usize>, usize),
    Know,
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
        4 => (any::<bool>(), 0..3_usize, prop::option::of(0..3_usize), 1..30_usize)
            .prop_map(|(asked, key, ordering_key, count)| Deed::Accept(asked, key, ordering_key, count)),
        2 => Just(Deed::Know),
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
                Deed::Accept(asked, key, ordering_key, count) => {
                    let exchange = if asked { "asked about" } else { "" };
                    lane.accept_to(exchange, KEYS[key], ordering_key.map(|key| KEYS[key]), count);
                }
                Deed::Know => lane.know(),
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
        lane.refusing.clear();
        let mut rounds = 0;
        while lane.has_pending_that_pass() {
            lane.round();
            rounds += 1;
            prop_assert!(rounds < 5000, "{:?} keep others waiting", lane.dead);
        }
        lane.dead.clear();
        let mut rounds = 0;
        while !lane.stored.is_empty() {
            lane.round();
            rounds += 1;
            prop_assert!(rounds < 5000, "{} are stuck", lane.stored.len());
        }
        lane.know();
        let left = &lane.dispatch;
        prop_assert!(left.entries.is_empty() && left.fresh.is_empty() && left.holds.is_empty());
        prop_assert_eq!((left.entry_bytes, left.in_flight_bytes, left.in_flight), (0, 0, 0));
    }
}
