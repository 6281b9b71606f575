//! When a lane's connection is not to be believed.

use std::time::Duration;

use super::model::{PAUSES, World};
use super::{NONE, plain, pull, world};
use crate::broker::{LaneEvent, Outcome};
use crate::domain::ReasonCode;

/// The pause before the first fresh connection.
const FIRST: Duration = Duration::from_millis(500);
/// What is in flight then is waited for so long.
const DRAIN: Duration = Duration::from_secs(1);

/// The connection was given up, and there is another.
fn reconnect(world: &mut World) {
    let lost = world.lane.clone();
    world.report(lost.into_iter().map(|index| (index, Outcome::Unknown)));
    let down = super::model::reason(ReasonCode::BrokerUnavailable);
    world.tell(&[LaneEvent::Down(down), LaneEvent::Up]);
    world.check();
}

/// One message, nacked as the first that its connection heard of the destination.
fn refused(world: &mut World) {
    let index = world.all.len();
    plain(world, "", "a", 1);
    assert_eq!(pull(world), [index]);
    world.report([(index, Outcome::Nacked)]);
}

#[test]
fn a_connection_that_only_refuses_a_destination_is_replaced_once_nothing_is_in_flight() {
    let mut world = world();
    refused(&mut world);
    let due = world.now + FIRST;
    assert_eq!(world.dispatch.renewal_check(), Some(due));
    plain(&mut world, "", "b", 2);
    assert_eq!(pull(&mut world), [1, 2]);
    world.now = due.checked_sub(Duration::from_millis(1)).expect("a time");
    assert!(!world.renews());
    world.now = due;
    assert!(!world.renews());
    plain(&mut world, "", "b", 1);
    assert_eq!(pull(&mut world), NONE);
    assert_eq!(world.dispatch.renewal_check(), Some(due + DRAIN));
    world.report([(1, Outcome::Confirmed)]);
    assert!(!world.renews());
    world.report([(2, Outcome::Confirmed)]);
    assert!(world.renews());
    assert!(!world.renews());
    reconnect(&mut world);
    assert_eq!(pull(&mut world), [0, 3]);
    world.run_out();
}

#[test]
fn what_has_no_answer_when_the_connection_is_given_up_is_sent_again() {
    let mut world = world();
    refused(&mut world);
    plain(&mut world, "", "b", 1);
    assert_eq!(pull(&mut world), [1]);
    world.now += FIRST;
    assert!(!world.renews());
    world.now += DRAIN;
    assert!(world.renews());
    reconnect(&mut world);
    assert_eq!(pull(&mut world), [0, 1]);
    world.run_out();
}

#[test]
fn a_destination_that_took_something_on_this_connection_is_believed_when_it_refuses() {
    for taken in [Outcome::Confirmed, returned()] {
        let mut world = world();
        plain(&mut world, "", "a", 2);
        pull(&mut world);
        world.report([(0, taken), (1, Outcome::Nacked)]);
        assert_eq!(world.dispatch.renewal_check(), None);
        // What it took on another connection says nothing.
        reconnect(&mut world);
        world.now += PAUSES[0];
        assert_eq!(pull(&mut world), [1]);
        world.report([(1, Outcome::Nacked)]);
        assert!(world.dispatch.renewal_check().is_some());
        world.run_out();
    }
}

#[test]
fn what_a_destination_took_is_remembered_while_nothing_is_in_memory_for_it() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, Outcome::Confirmed)]);
    refused(&mut world);
    assert_eq!(world.dispatch.renewal_check(), None);
    world.now += PAUSES[0];
    world.run_out();
}

fn returned() -> Outcome {
    Outcome::Returned(Box::new(super::model::reason(ReasonCode::NoRoute)))
}

#[test]
fn a_destination_that_takes_something_after_all_keeps_its_connection() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(0, Outcome::Nacked)]);
    assert_eq!(pull(&mut world), NONE);
    world.now += FIRST;
    assert!(!world.renews());
    world.report([(1, Outcome::Confirmed)]);
    assert_eq!(world.dispatch.renewal_check(), None);
    world.now += DRAIN;
    assert!(!world.renews());
    assert_eq!(pull(&mut world), [0]);
    world.run_out();
}

#[test]
fn refused_messages_wait_for_their_time_where_no_fresh_connection_has_helped() {
    let mut world = world();
    plain(&mut world, "", "a", 2);
    pull(&mut world);
    world.report([(0, Outcome::Nacked), (1, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), NONE);
    // Nor does a connection help that was lost by itself.
    reconnect(&mut world);
    assert_eq!(pull(&mut world), NONE);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [0]);
    world.report([(0, Outcome::Nacked)]);
    reconnect(&mut world);
    assert_eq!(pull(&mut world), NONE);
    world.run_out();
}

#[test]
fn pauses_between_fresh_connections_grow_until_the_connection_is_lost_otherwise() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    for pause in [FIRST, FIRST * 2] {
        assert_eq!(pull(&mut world), [0]);
        world.report([(0, Outcome::Nacked)]);
        assert_eq!(world.dispatch.renewal_check(), Some(world.now + pause));
        world.now += pause;
        assert!(world.renews());
        reconnect(&mut world);
    }
    reconnect(&mut world);
    assert_eq!(pull(&mut world), [0]);
    plain(&mut world, "", "b", 1);
    assert_eq!(pull(&mut world), [1]);
    world.report([(1, Outcome::Nacked)]);
    assert_eq!(world.dispatch.renewal_check(), Some(world.now + FIRST));
    world.run_out();
}

#[test]
fn nobody_needs_a_fresh_connection_once_the_refused_messages_have_ended() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    for pause in PAUSES {
        world.report([(0, Outcome::Nacked)]);
        world.now += pause;
        assert_eq!(pull(&mut world), [0]);
    }
    world.report([(0, Outcome::Nacked)]);
    assert!(world.dispatch.renewal_check().is_some());
    world.now += FIRST;
    assert!(!world.renews());
    assert_eq!(world.dispatch.renewal_check(), None);
}

#[test]
fn over_the_fresh_connection_one_message_goes_at_once_and_the_others_when_it_is_taken() {
    let mut world = world();
    plain(&mut world, "", "a", 3);
    plain(&mut world, "", "b", 1);
    pull(&mut world);
    world.report([(3, Outcome::Confirmed)]);
    world.report([0, 1, 2].map(|index| (index, Outcome::Nacked)));
    world.now += FIRST;
    assert_eq!(pull(&mut world), [0, 1, 2]);
    world.report([0, 1, 2].map(|index| (index, Outcome::Nacked)));
    // Another destination that refuses, and is believed.
    plain(&mut world, "", "b", 2);
    pull(&mut world);
    world.report([(4, Outcome::Confirmed), (5, Outcome::Nacked)]);
    assert!(world.renews());
    reconnect(&mut world);
    assert_eq!(pull(&mut world), [0]);
    world.report([(0, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), [1, 2]);
    world.report([(1, Outcome::Confirmed), (2, Outcome::Confirmed)]);
    assert_eq!(pull(&mut world), NONE);
    world.run_out();
}
