//! What is told of messages that have not ended.

use super::{keyed, plain, pull, reason, suspect, world};
use crate::broker::{LaneEvent, Outcome};
use crate::domain::ReasonCode;
use crate::relay::Progress;
use crate::relay::dispatch::tests::model::{PAUSES, World};

fn progress(world: &World, index: usize) -> Progress {
    world.check();
    let row = world.row(index);
    (world.dispatch).progress(row, row.into(), world.moment())
}

fn code(world: &World, index: usize) -> Option<ReasonCode> {
    progress(world, index).reason.map(|reason| reason.code)
}

#[test]
fn a_first_try_that_goes_well_has_no_reason() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    assert_eq!(progress(&world, 0), Progress::default());
    pull(&mut world);
    let told = progress(&world, 0);
    assert_eq!((told.attempts, told.reason), (1, None));
}

#[test]
fn a_message_waits_because_the_broker_is_away_or_blocked() {
    let mut world = World::new();
    plain(&mut world, "", "a", 1);
    assert_eq!(code(&world, 0), Some(ReasonCode::BrokerUnavailable));
    world.tell(&[LaneEvent::Up]);
    assert_eq!(code(&world, 0), None);
    world.tell(&[LaneEvent::Blocked(reason(ReasonCode::BrokerBlocked))]);
    assert_eq!(code(&world, 0), Some(ReasonCode::BrokerBlocked));
    assert!(world.dispatch.is_up() && world.dispatch.is_blocked());
    world.tell(&[LaneEvent::Down(reason(ReasonCode::BrokerUnavailable))]);
    assert_eq!(code(&world, 0), Some(ReasonCode::BrokerUnavailable));
    // A new connection is not blocked until the broker says so again.
    world.tell(&[LaneEvent::Up]);
    assert_eq!(code(&world, 0), None);
    world.run_out();
}

#[test]
fn a_lost_message_says_so_once_the_broker_is_back() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, Outcome::Unknown)]);
    assert_eq!(code(&world, 0), Some(ReasonCode::ConnectionLost));
    assert!(progress(&world, 0).duplicate_possible);
    world.tell(&[LaneEvent::Down(reason(ReasonCode::BrokerUnavailable))]);
    assert_eq!(code(&world, 0), Some(ReasonCode::BrokerUnavailable));
    world.tell(&[LaneEvent::Up]);
    pull(&mut world);
    assert_eq!(
        (code(&world, 0), progress(&world, 0).attempts),
        (Some(ReasonCode::ConnectionLost), 2)
    );
    world.run_out();
}

#[test]
fn an_unsent_message_was_not_tried_and_leaves_no_doubt() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, Outcome::Unsent)]);
    assert_eq!(progress(&world, 0), Progress::default());
    world.run_out();
}

#[test]
fn a_suspect_tells_the_brokers_words() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, suspect())]);
    assert_eq!(
        progress(&world, 0).reason,
        Some(reason(ReasonCode::BrokerError))
    );
    world.run_out();
}

#[test]
fn a_nacked_message_tells_when_it_goes_out_again() {
    let mut world = world();
    keyed(&mut world, "", "a", 2);
    world.pull(1, 100);
    world.report([(0, Outcome::Nacked)]);
    world.now += PAUSES[0] / 4;
    let told = progress(&world, 0);
    let left = u64::try_from((PAUSES[0] * 3 / 4).as_millis()).expect("short");
    assert_eq!(
        told.next_attempt_at,
        Some(world.moment().wall.plus_ms(left))
    );
    assert_eq!((told.attempts, told.duplicate_possible), (1, true));
    // A nack is the message's own, whatever the lane's trouble is.
    world.tell(&[LaneEvent::Down(reason(ReasonCode::BrokerUnavailable))]);
    assert_eq!(code(&world, 0), Some(ReasonCode::Nacked));
    assert_eq!(code(&world, 1), Some(ReasonCode::BrokerUnavailable));
    world.tell(&[LaneEvent::Up]);
    world.now += PAUSES[0];
    assert_eq!(pull(&mut world), [0]);
    let told = progress(&world, 0);
    assert_eq!((told.attempts, told.next_attempt_at), (2, None));
    world.run_out();
}

#[test]
fn a_message_that_is_being_settled_was_tried() {
    let mut world = world();
    plain(&mut world, "", "a", 1);
    pull(&mut world);
    world.report([(0, Outcome::Confirmed)]);
    let told = progress(&world, 0);
    assert_eq!((told.attempts, told.reason), (1, None));
}
