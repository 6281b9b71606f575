//! Destinations that do not answer, in single sentences.

use std::time::{Duration, Instant};

use super::model::{STALL_AFTER, World, draft};
use super::{NONE, plain, pull, world};
use crate::broker::{LaneEvent, Outcome};
use crate::domain::ReasonCode;
use crate::relay::dispatch::Why;

/// The lane's connection is given up, and everything in flight is lost.
fn stall(world: &mut World) {
    world.now += STALL_AFTER;
    assert!(world.look());
    let lost = world.lane.clone();
    world.report(lost.into_iter().map(|index| (index, Outcome::Unknown)));
    let down = super::model::reason(ReasonCode::BrokerUnavailable);
    world.tell(&[LaneEvent::Down(down), LaneEvent::Up]);
    world.check();
}

#[test]
fn the_silent_ones_are_tried_alone_and_the_others_go_on() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    pull(&mut world);
    world.now += STALL_AFTER / 2;
    plain(&mut world, "", "b", 2);
    pull(&mut world);
    world.report([(2, Outcome::Confirmed)]);
    world.now -= STALL_AFTER / 2;
    stall(&mut world);
    assert_eq!(pull(&mut world), [3]);
    plain(&mut world, "", "a", 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.probe(), Some(0));
    assert_eq!(world.probe(), None);
    world.probed(0, Outcome::Confirmed);
    assert_eq!(pull(&mut world), [1, 4]);
    world.run_out();
}

#[test]
fn a_lost_message_goes_before_the_try_of_a_later_one_of_its_key() {
    let mut world = world();
    world.enqueue(draft("", "well", Some("k"), 1));
    plain(&mut world, "", "well", 1);
    plain(&mut world, "", "sick", 1);
    assert_eq!(pull(&mut world), [0, 1, 2]);
    world.now += STALL_AFTER / 2;
    world.report([(1, Outcome::Confirmed)]);
    world.now -= STALL_AFTER / 2;
    world.enqueue(draft("", "sick", Some("k"), 1));
    stall(&mut world);
    assert_eq!(pull(&mut world), [0]);
    // Of those that wait for the silent destination, the first can be tried at once, and is refused.
    assert_eq!(world.probe(), Some(2));
    world.probed(2, Outcome::Unanswered);
    world.report([(0, Outcome::Unknown)]);
    world.now = world.dispatch.next_probe_at().expect("it has a turn");
    assert_eq!(world.probe(), Some(2));
    world.probed(2, Outcome::Confirmed);
    assert_eq!(pull(&mut world), [0, 3]);
    world.run_out();
}

#[test]
fn one_of_a_key_that_is_under_way_keeps_the_later_one_from_being_tried() {
    let mut world = world();
    world.enqueue(draft("", "also sick", Some("z"), 1));
    world.enqueue(draft("", "sick", Some("z"), 1));
    assert_eq!(pull(&mut world), [0, 1]);
    stall(&mut world);
    // Of the key k, one is in flight on the lane, and the later one is the first to be tried for its
    // destination, since the other one there waits for its own key.
    world.enqueue(draft("", "well", Some("k"), 1));
    world.enqueue(draft("", "sick", Some("k"), 1));
    assert_eq!(pull(&mut world), [2]);
    assert_eq!((world.probe(), world.probe()), (Some(0), None));
    world.report([(2, Outcome::Unknown)]);
    world.now = world.dispatch.next_probe_at().expect("it has a turn");
    assert_eq!(world.probe(), None);
    assert_eq!(pull(&mut world), [2]);
    world.report([(2, Outcome::Confirmed)]);
    world.now = world.dispatch.next_probe_at().expect("it has a turn");
    assert_eq!(world.probe(), Some(3));
    world.run_out();
}

/// With so many connections, and an answer after so long.
const LANES: usize = 8;
const ROUND_TRIP: Duration = Duration::from_millis(20);

#[test]
fn behind_many_dead_destinations_the_well_ones_get_out_within_two_seconds() {
    const OF_EACH: usize = 40;
    let mut world = world();
    // The dead ones were heard of last, so that nothing speaks for the others.
    for kind in ["well", "dead"] {
        for number in 0..OF_EACH {
            plain(&mut world, "", &format!("{kind} {number}"), 1);
        }
        let warm = world.pull(200, 10_000);
        world.now += ROUND_TRIP;
        world.report(warm.into_iter().map(|index| (index, Outcome::Confirmed)));
    }
    for number in 0..OF_EACH {
        plain(&mut world, "", &format!("dead {number}"), 1);
        plain(&mut world, "", &format!("well {number}"), 1);
    }
    world.pull(200, 10_000);
    stall(&mut world);
    world.pull(200, 10_000);
    let stalled = world.now;
    let mut left = OF_EACH;
    let mut trying: Vec<(Instant, usize, Outcome)> = Vec::new();
    while left > 0 {
        while trying.len() < LANES
            && let Some(index) = world.probe()
        {
            let key = &world.all[index].message.draft.routing_key;
            let (after, outcome) = if key.starts_with("well") {
                (ROUND_TRIP, Outcome::Confirmed)
            } else {
                (world.patience, Outcome::Unanswered)
            };
            trying.push((world.now + after, index, outcome));
        }
        trying.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
        let Some((at, index, outcome)) = trying.pop() else {
            world.now = world.dispatch.next_probe_at().expect("somebody is left");
            continue;
        };
        world.now = world.now.max(at);
        left -= usize::from(outcome == Outcome::Confirmed);
        world.probed(index, outcome);
    }
    let took = world.now - stalled;
    assert!(took < Duration::from_secs(2), "it took {took:?}");
}

#[test]
fn a_destination_that_answers_now_and_then_is_not_silent() {
    let mut world = world();
    plain(&mut world, "", "a", 20);
    pull(&mut world);
    for index in 0..20 {
        world.now += STALL_AFTER * 9 / 10;
        assert!(!world.look());
        world.report([(index, Outcome::Confirmed)]);
    }
    world.run_out();
}

#[test]
fn what_the_broker_blocks_is_not_silent() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    let blocked = super::model::reason(ReasonCode::BrokerBlocked);
    world.tell(&[LaneEvent::Blocked(blocked)]);
    world.now += STALL_AFTER * 3;
    assert!(!world.look());
    world.tell(&[LaneEvent::Unblocked]);
    assert!(!world.look());
    world.now += STALL_AFTER / 2;
    assert!(!world.look());
    world.now += STALL_AFTER / 2;
    assert!(world.look());
}

#[test]
fn nobody_is_tried_for_a_silent_destination_once_the_only_one_that_waits_is_withdrawn() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    stall(&mut world);
    assert_eq!(pull(&mut world), NONE);
    // It keeps its order by the same name, and waits for the first.
    world.enqueue(draft("", "b", Some("a"), 1));
    assert_eq!(pull(&mut world), NONE);
    assert!(world.dispatch.next_probe_at().is_some());
    world.withdraw(0, Why::Cancelled);
    assert_eq!(world.dispatch.next_probe_at(), None);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}
