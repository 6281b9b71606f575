//! Nacks, and who waits for whom.

use super::{NONE, keyed, plain, pull, suspect, world};
use crate::broker::{LaneEvent, Outcome};
use crate::domain::RowId;
use crate::relay::dispatch::tests::model::{PAUSES, Whereabouts, draft};

#[test]
fn pauses_grow_and_the_deadline_is_the_first_to_end() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(1, Outcome::Nacked)]);
    let first = world.now + PAUSES[0];
    world.now += PAUSES[0] / 2;
    world.report([(0, Outcome::Nacked)]);
    assert_eq!(world.dispatch.deadline(), Some(first));
    world.now = first;
    assert_eq!(pull(&mut world), [1]);
    world.report([(1, Outcome::Nacked)]);
    world.now = first + PAUSES[0] / 2;
    assert_eq!(pull(&mut world), [0]);
    assert_eq!(world.dispatch.deadline(), Some(first + PAUSES[1]));
    world.run_out();
}

#[test]
fn after_the_last_try_a_nacked_message_has_failed_and_lets_its_key_go() {
    let mut world = world();
    keyed(&mut world, "", "a", 2);
    world.pull(1, 100);
    for pause in PAUSES {
        world.report([(0, Outcome::Nacked)]);
        world.now += pause;
        assert_eq!(pull(&mut world), [0]);
    }
    // The model expects failed and nacked of the third.
    world.report([(0, Outcome::Nacked)]);
    assert_eq!(world.all[0].whereabouts, Whereabouts::Settled);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}

#[test]
fn a_nacked_message_without_an_explicit_key_holds_nobody() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    world.pull(1, 100);
    world.report([(0, Outcome::Nacked)]);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}

#[test]
fn later_messages_of_an_explicit_key_wait_until_the_nacked_one_is_settled() {
    let mut world = world();
    keyed(&mut world, "", "a", 2);
    // The routing key is the ordering key of this one, and it is the same.
    world.enqueue(draft("", "a", None, 1));
    keyed(&mut world, "", "b", 1);
    world.pull(1, 100);
    world.report([(0, Outcome::Nacked)]);
    assert_eq!(pull(&mut world), [3]);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [0]);
    assert_eq!(pull(&mut world), NONE);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), [1, 2]);
    world.run_out();
}

#[test]
fn later_messages_of_an_explicit_key_wait_on_when_the_retried_one_is_lost() {
    let mut world = world();
    keyed(&mut world, "", "a", 2);
    world.pull(1, 100);
    world.report([(0, Outcome::Nacked)]);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [0]);
    world.report([(0, Outcome::Unknown)]);
    assert_eq!(pull(&mut world), [0]);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}

#[test]
fn messages_of_an_explicit_key_that_were_nacked_together_are_settled_one_after_the_other() {
    let mut world = world();
    keyed(&mut world, "", "a", 3);
    world.pull(2, 100);
    world.report([(0, Outcome::Nacked), (1, Outcome::Nacked)]);
    world.now += PAUSES[0];
    for index in 0..3 {
        assert_eq!(pull(&mut world), [index]);
        world.report([(index, Outcome::Confirmed)]);
    }
    world.run_out();
}

#[test]
fn the_older_of_two_nacked_messages_goes_first_whichever_was_nacked_first() {
    let mut world = world();
    keyed(&mut world, "", "a", 3);
    world.pull(2, 100);
    world.report([(1, Outcome::Nacked)]);
    world.now += PAUSES[0] / 2;
    world.report([(0, Outcome::Nacked)]);
    world.now += PAUSES[0] / 2;
    assert_eq!(pull(&mut world), NONE);
    world.now += PAUSES[0] / 2;
    for index in 0..3 {
        assert_eq!(pull(&mut world), [index]);
        world.report([(index, Outcome::Confirmed)]);
    }
    world.run_out();
}

#[test]
fn an_older_message_that_is_nacked_while_a_newer_one_is_retried_still_holds_the_key() {
    let mut world = world();
    keyed(&mut world, "", "a", 3);
    world.pull(2, 100);
    world.report([(1, Outcome::Nacked)]);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [1]);
    world.report([(0, Outcome::Nacked)]);
    world.report([(1, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), NONE);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [0]);
    assert_eq!(pull(&mut world), NONE);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), [2]);
    world.run_out();
}

#[test]
fn a_lost_message_does_not_wait_for_a_newer_one_of_its_explicit_key_that_was_nacked() {
    let mut world = world();
    keyed(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(1, Outcome::Nacked)]);
    world.report([(0, Outcome::Unknown)]);
    assert_eq!(pull(&mut world), [0]);
    world.run_out();
}

#[test]
fn events_of_messages_that_are_not_in_flight_change_nothing() {
    let mut world = world();
    plain(&mut world, "", "a", 3);
    world.pull(2, 100);
    world.report([(0, Outcome::Confirmed), (1, Outcome::Nacked)]);
    let never_here = RowId::from_stored(99);
    let rows = [world.row(0), world.row(1), world.row(2), never_here];
    for row in rows {
        for outcome in [
            Outcome::Confirmed,
            Outcome::Nacked,
            Outcome::Unknown,
            suspect(),
        ] {
            world.tell(&[LaneEvent::Ended(row, outcome)]);
            world.check();
        }
    }
    assert!(!world.dispatch.has_suspects());
    assert_eq!(pull(&mut world), [2]);
    world.run_out();
}
