//! Lost messages and suspects, and the order of their keys.

use super::{NONE, all_tried, keyed, plain, pull, suspect, world};
use crate::broker::{Outcome, Presence};
use crate::relay::dispatch::tests::model::{KNOWN, PAUSES, draft};

#[test]
fn lost_messages_go_out_again_in_their_order_before_newer_ones() {
    let mut world = world();
    plain(&mut world, "", "a", 3);
    assert_eq!(pull(&mut world), [0, 1, 2]);
    plain(&mut world, "", "a", 1);
    world.report([
        (0, Outcome::Unknown),
        (1, Outcome::Unknown),
        (2, Outcome::Unsent),
    ]);
    assert_eq!(pull(&mut world), [0, 1, 2, 3]);
    world.run_out();
}

#[test]
fn a_suspect_holds_its_key_and_no_other() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, suspect())]);
    plain(&mut world, "", "a", 1);
    plain(&mut world, "", "b", 1);
    assert_eq!(pull(&mut world), [2]);
    assert_eq!(world.try_alone(), Some(0));
    assert_eq!(pull(&mut world), NONE);
    world.tried(Outcome::Confirmed);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}

#[test]
fn older_lost_messages_of_a_suspects_key_go_with_it_and_newer_ones_after_it() {
    let mut world = world();
    plain(&mut world, "", "a", 3);
    plain(&mut world, "", "b", 1);
    pull(&mut world);
    world.report([
        (0, Outcome::Unknown),
        (1, suspect()),
        (2, Outcome::Unknown),
        (3, Outcome::Unsent),
    ]);
    assert_eq!(pull(&mut world), [3]);
    assert_eq!(all_tried(&mut world), [0, 1]);
    assert_eq!(pull(&mut world), [2]);
    world.run_out();
}

/// It would take another connection, and nobody knows which one the broker reads first.
#[test]
fn a_suspect_waits_for_an_earlier_one_of_its_key_that_is_in_flight() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    world.now += KNOWN;
    plain(&mut world, "x", "a", 1);
    plain(&mut world, "x", "b", 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.ask(), 1);
    world.answer("x", Some(Presence::Missing));
    assert_eq!(all_tried(&mut world), [2]);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(all_tried(&mut world), [1]);
    world.run_out();
}

#[test]
fn one_that_was_tried_and_is_a_suspect_again_waits_for_no_later_one() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    world.now += KNOWN;
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), NONE);
    world.ask();
    world.answer("x", Some(Presence::Missing));
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(world.try_alone(), Some(1));
    world.tried(Outcome::Nacked);
    world.answer("x", Some(Presence::There));
    world.now += PAUSES[0];
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [1, 2]);
    world.report([(1, suspect()), (2, Outcome::Unknown)]);
    assert_eq!(world.try_alone(), Some(1));
    world.tried(Outcome::Confirmed);
    world.run_out();
}

#[test]
fn a_suspect_whose_try_is_lost_is_tried_alone_again() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(0, suspect()), (1, suspect())]);
    for lost in [Outcome::Unknown, Outcome::Unsent, suspect()] {
        assert_eq!(world.try_alone(), Some(0));
        world.tried(lost);
        assert_eq!(pull(&mut world), NONE);
    }
    assert_eq!(all_tried(&mut world), [0, 1]);
    world.run_out();
}

#[test]
fn a_suspect_that_is_nacked_is_one_no_longer_and_loses_its_place() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(0, suspect()), (1, Outcome::Unsent)]);
    world.try_alone();
    world.tried(Outcome::Nacked);
    assert_eq!(pull(&mut world), [1]);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [0]);
    world.run_out();
}

#[test]
fn a_suspect_of_an_explicit_key_that_is_nacked_is_settled_before_the_next_suspect() {
    let mut world = world();
    keyed(&mut world, "x", "a", 2);
    pull(&mut world);
    world.ask();
    world.answer("x", Some(Presence::Missing));
    assert_eq!(world.try_alone(), Some(0));
    world.tried(Outcome::Nacked);
    assert_eq!(world.try_alone(), None);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), NONE);
    world.ask();
    world.answer("x", Some(Presence::There));
    assert_eq!(pull(&mut world), [0]);
    assert_eq!(world.try_alone(), None);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(world.try_alone(), Some(1));
    world.run_out();
}

#[test]
fn a_nacked_message_waits_for_an_older_suspect_of_its_explicit_key() {
    let mut world = world();
    keyed(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(1, Outcome::Nacked)]);
    world.report([(0, suspect())]);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(all_tried(&mut world), [0]);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}

#[test]
fn a_suspect_waits_for_an_older_message_of_its_explicit_key_that_is_nacked() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    keyed(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    world.now += KNOWN;
    keyed(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), NONE);
    world.ask();
    world.answer("x", Some(Presence::Missing));
    assert_eq!(world.dispatch.suspects.len(), 1);
    world.report([(0, Outcome::Nacked)]);
    assert_eq!(world.try_alone(), None);
    world.run_out();
}

#[test]
fn lost_messages_are_not_overtaken_by_what_waited_for_a_missing_exchange() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    plain(&mut world, "x", "a", 2);
    assert_eq!(pull(&mut world), [0, 1]);
    world.now += KNOWN;
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), NONE);
    // The lane is down and does not pull in between.
    world.report([(0, Outcome::Unknown), (1, Outcome::Unknown)]);
    world.ask();
    world.answer("x", Some(Presence::Missing));
    assert_eq!(all_tried(&mut world), [0, 1, 2]);
    world.run_out();
}

#[test]
fn messages_behind_a_suspect_are_not_overtaken_by_what_waited_for_a_missing_exchange() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    plain(&mut world, "x", "a", 1);
    pull(&mut world);
    world.report([(0, suspect())]);
    plain(&mut world, "x", "a", 1);
    plain(&mut world, "x", "b", 1);
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.ask(), 1);
    world.answer("x", Some(Presence::Missing));
    assert_eq!(all_tried(&mut world), [0, 1, 2, 3]);
    world.run_out();
}

#[test]
fn a_suspect_that_nobody_answers_is_none_any_more_and_lets_the_others_try() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    plain(&mut world, "", "b", 1);
    pull(&mut world);
    world.report([(0, suspect()), (1, Outcome::Unsent), (2, suspect())]);
    assert_eq!(world.try_alone(), Some(0));
    world.tried(Outcome::Unanswered);
    // Its destination is silent, and is tried where that hurts nobody; the others of it wait.
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.try_alone(), Some(2));
    world.tried(Outcome::Confirmed);
    assert_eq!(world.probe(), None);
    world.now = world.dispatch.next_probe_at().expect("it has a turn");
    assert_eq!(world.probe(), Some(0));
    world.probed(0, Outcome::Confirmed);
    assert_eq!(pull(&mut world), [1]);
    world.run_out();
}

#[test]
fn once_a_suspect_got_no_answer_the_others_of_its_destination_are_waited_for_only_briefly() {
    let mut world = world();
    for key in ["k", "l", "m"] {
        let name = if key == "m" { "well" } else { "frozen" };
        world.enqueue(draft("", name, Some(key), 1));
    }
    assert_eq!(pull(&mut world), [0, 1, 2]);
    world.report([0, 1, 2].map(|index| (index, suspect())));
    assert_eq!(world.try_alone(), Some(0));
    let usual = world.patience;
    world.tried(Outcome::Unanswered);
    assert_eq!(world.try_alone(), Some(1));
    assert!(world.patience <= usual / 10, "{:?}", world.patience);
    world.tried(Outcome::Unanswered);
    assert_eq!(world.try_alone(), Some(2));
    assert_eq!(world.patience, usual);
    world.tried(Outcome::Confirmed);
    world.run_out();
}
