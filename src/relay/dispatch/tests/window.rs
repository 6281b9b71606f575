//! The room of a window, long rows of held messages, and the end of handing over.

use super::{NONE, plain, pull, suspect, world};
use crate::broker::{Outcome, Room};
use crate::relay::dispatch::pulling::LOOKED_AT_MAX;
use crate::relay::dispatch::tests::model::{PAUSES, draft};

#[test]
fn no_more_is_handed_over_than_there_is_room_for() {
    let mut world = world();
    for _ in 0..5 {
        world.enqueue(draft("", "a", None, 40));
    }
    assert_eq!(world.pull(0, 1000), NONE);
    assert_eq!(world.pull(1, 1000), [0]);
    assert_eq!(world.pull(9, 100), [1, 2]);
    assert_eq!(world.pull(9, 39), NONE);
    assert_eq!(world.pull(9, 80), [3, 4]);
    world.run_out();
}

#[test]
fn a_message_larger_than_the_window_goes_alone_when_nothing_is_in_flight() {
    let mut world = world();
    for bytes in [10, 500, 0] {
        world.enqueue(draft("", "a", None, bytes));
    }
    assert_eq!(world.pull(9, 100), [0]);
    assert_eq!(world.pull(9, 100), NONE);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(world.pull(1, 100), [1]);
    world.report([(1, Outcome::Unknown)]);
    // The same when it goes out again.
    assert_eq!(world.pull(1, 100), [1]);
    world.run_out();
}

#[test]
fn a_long_row_of_held_messages_starves_nobody() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, suspect())]);
    plain(&mut world, "", "a", LOOKED_AT_MAX + 10);
    plain(&mut world, "", "b", 1);
    let room = Room {
        messages: 10,
        bytes: 100,
        empty: true,
    };
    let mut into = Vec::new();
    assert!(world.dispatch.pull(world.now, room, &mut into));
    assert!(into.is_empty());
    assert_eq!(world.pull(10, 100), [LOOKED_AT_MAX + 11]);
    world.try_alone();
    world.tried(Outcome::Confirmed);
    assert_eq!(world.pull(3, 100), [1, 2, 3]);
}

#[test]
fn after_a_halt_nothing_goes_out_and_what_is_in_flight_still_ends() {
    let mut world = world();
    plain(&mut world, "", "a", 3);
    plain(&mut world, "", "b", 1);
    world.pull(3, 100);
    world.report([(0, suspect()), (1, Outcome::Nacked)]);
    world.dispatch.halt();
    world.now += PAUSES[0];
    assert_eq!(world.pull(10, 1000), NONE);
    assert_eq!(world.try_alone(), None);
    assert_eq!(world.dispatch.in_flight(), 1);
    world.report([(2, Outcome::Confirmed)]);
    assert_eq!(world.dispatch.in_flight(), 0);
}

#[test]
fn after_a_halt_there_is_no_time_to_pull_again() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, Outcome::Nacked)]);
    world.dispatch.halt();
    assert_eq!(world.dispatch.deadline(), None);
}
