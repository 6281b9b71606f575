//! What is known of exchanges, and who waits for it.

use super::{NONE, all_tried, plain, pull, refused, suspect, world};
use crate::broker::{Outcome, Presence};
use crate::relay::dispatch::tests::model::{KNOWN, World};

/// Everything that is in flight is confirmed.
fn confirm_all(world: &mut World) {
    let lane = world.lane.clone();
    world.report(lane.into_iter().map(|index| (index, Outcome::Confirmed)));
}

#[test]
fn nothing_goes_to_an_exchange_that_nobody_has_asked_about_and_others_pass() {
    let mut world = world();
    plain(&mut world, "x", "a", 2);
    plain(&mut world, "", "a", 1);
    plain(&mut world, "x", "b", 1);
    assert_eq!(pull(&mut world), [2]);
    assert_eq!(world.ask(), 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.ask(), 0);
    world.answer("x", Some(Presence::There));
    assert_eq!(pull(&mut world), [0, 1, 3]);
    world.run_out();
}

#[test]
fn when_the_broker_cannot_be_asked_the_messages_go_out() {
    let mut world = world();
    plain(&mut world, "x", "a", 1);
    pull(&mut world);
    world.ask();
    world.answer("x", None);
    assert_eq!(pull(&mut world), [0]);
    world.run_out();
}

#[test]
fn messages_to_a_missing_exchange_are_tried_alone_and_the_next_one_asks_again() {
    let mut world = world();
    plain(&mut world, "x", "a", 2);
    pull(&mut world);
    world.ask();
    world.answer("x", Some(Presence::Missing));
    plain(&mut world, "x", "b", 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.ask(), 1);
    assert_eq!(all_tried(&mut world), [0, 1]);
    world.answer("x", Some(Presence::There));
    assert_eq!(pull(&mut world), [2]);
    world.run_out();
}

#[test]
fn what_is_known_of_an_exchange_expires_and_is_asked_again() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    for index in 1..4 {
        world.now += KNOWN;
        plain(&mut world, "x", "a", 1);
        assert_eq!(pull(&mut world), NONE);
        assert_eq!(world.ask(), 1);
        world.answer("x", Some(Presence::There));
        assert_eq!(pull(&mut world), [index]);
    }
    world.run_out();
}

#[test]
fn confirms_renew_what_is_known_of_an_exchange() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    for index in 0..10 {
        plain(&mut world, "x", "a", 1);
        assert_eq!(pull(&mut world), [index]);
        confirm_all(&mut world);
        world.now += KNOWN * 6 / 10;
    }
    assert_eq!(world.ask(), 0);
    world.run_out();
}

#[test]
fn a_message_that_is_lost_or_nacked_renews_nothing() {
    for outcome in [Outcome::Unknown, Outcome::Nacked] {
        let mut world = world();
        world.answer("x", Some(Presence::There));
        plain(&mut world, "x", "a", 1);
        world.now += KNOWN * 9 / 10;
        assert_eq!(pull(&mut world), [0]);
        world.report([(0, outcome)]);
        world.now += KNOWN / 10;
        plain(&mut world, "x", "b", 1);
        assert_eq!(pull(&mut world), NONE);
        assert_eq!(world.ask(), 1);
        world.run_out();
    }
}

#[test]
fn a_suspect_or_a_refusal_forgets_the_exchange_whatever_is_confirmed_after_it() {
    for outcome in [suspect(), refused()] {
        let mut world = world();
        world.answer("x", Some(Presence::There));
        world.now += KNOWN * 9 / 10;
        plain(&mut world, "x", "a", 1);
        plain(&mut world, "x", "b", 1);
        assert_eq!(pull(&mut world), [0, 1]);
        world.report([(0, outcome), (1, Outcome::Confirmed)]);
        plain(&mut world, "x", "c", 1);
        assert_eq!(pull(&mut world), NONE);
        assert_eq!(world.ask(), 1);
        world.run_out();
    }
}

#[test]
fn a_missing_exchange_is_forgotten_although_an_older_confirm_renewed_it() {
    let mut world = world();
    world.answer("x", Some(Presence::There));
    world.now += KNOWN * 9 / 10;
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    world.now += KNOWN / 10;
    plain(&mut world, "x", "b", 1);
    assert_eq!(pull(&mut world), NONE);
    world.report([(0, Outcome::Confirmed)]);
    world.ask();
    world.answer("x", Some(Presence::Missing));
    plain(&mut world, "x", "c", 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.ask(), 1);
    world.run_out();
}

#[test]
fn an_answer_that_nobody_here_has_asked_for_is_believed() {
    let mut world = world();
    world.answer("x", Some(Presence::Missing));
    world.answer("x", Some(Presence::There));
    plain(&mut world, "x", "a", 1);
    assert_eq!(pull(&mut world), [0]);
    world.run_out();
}
