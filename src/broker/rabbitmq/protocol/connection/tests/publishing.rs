use super::super::*;
use super::model::Broker;
use super::wire::{Wire, settings};
use crate::broker::rabbitmq::protocol::fixtures::{handover, message, row, whole};
use crate::domain::{Draft, HeaderValue, Properties};

fn outcome(wire: &Wire, number: u64) -> &Outcome {
    wire.outcomes.get(&row(number)).expect("ended")
}

#[test]
fn a_return_and_the_confirms_of_others_between_are_told_apart() {
    let mut wire = Wire::opened();
    for (number, exchange) in [(1, "good"), (2, "unroutable"), (3, "good"), (4, "nacked")] {
        assert!(wire.submit(&message(number, exchange, 10)));
    }
    wire.pump();
    // First the confirm of the third, then that of the first, and the returned one's last.
    for pick in [2, 0, 1, 0] {
        wire.broker.settle(|_| pick, false);
    }
    wire.pump();
    assert_eq!(outcome(&wire, 1), &Outcome::Confirmed);
    assert!(matches!(outcome(&wire, 2), Outcome::Returned(_)));
    assert_eq!(outcome(&wire, 3), &Outcome::Confirmed);
    assert_eq!(outcome(&wire, 4), &Outcome::Nacked);
    wire.verdict();
}

#[test]
fn bulk_confirms_speak_of_everything_before_them() {
    for (exchange, expected) in [("good", Outcome::Confirmed), ("nacked", Outcome::Nacked)] {
        let mut wire = Wire::opened();
        for number in 1..=4 {
            assert!(wire.submit(&message(number, exchange, 10)));
        }
        wire.pump();
        wire.broker.settle(|_| 1, false);
        wire.broker.settle(|_| 1, true);
        wire.pump();
        for number in 1..=3 {
            assert_eq!(outcome(&wire, number), &expected);
        }
        assert_eq!(wire.open.len(), 1);
    }
}

#[test]
fn returned_bodies_of_no_bytes_and_of_many_frames_are_stepped_over() {
    for size in [0, 1, 4096, 4097, 100_000] {
        let mut wire = Wire::opened();
        assert!(wire.submit(&message(1, "unroutable", size)));
        assert!(wire.submit(&message(2, "good", 1)));
        wire.pump();
        wire.broker.settle(|_| 1, true);
        wire.pump();
        assert!(matches!(outcome(&wire, 1), Outcome::Returned(_)), "{size}");
        assert_eq!(outcome(&wire, 2), &Outcome::Confirmed);
    }
}

#[test]
fn while_the_broker_blocks_nothing_is_taken_but_confirms_are_heard() {
    let mut wire = Wire::opened();
    assert!(wire.submit(&message(1, "good", 10)));
    wire.pump();
    wire.broker.block(true);
    wire.pump();
    assert_eq!(wire.connection.room().messages, 0);
    wire.broker.settle(|_| 0, false);
    wire.pump();
    assert_eq!(outcome(&wire, 1), &Outcome::Confirmed);
    wire.broker.block(false);
    wire.pump();
    assert_eq!(wire.connection.room().messages, 100);
    assert!(matches!(
        wire.others[..],
        [LaneEvent::Up, LaneEvent::Blocked(_), LaneEvent::Unblocked]
    ));
}

#[test]
fn the_windows_of_messages_and_bytes_are_kept_and_a_larger_message_goes_alone() {
    let settings = Settings {
        window_messages: 3,
        window_bytes: 100,
        ..settings()
    };
    let mut wire = Wire::new(settings, Broker::new(0, 0, 4096));
    wire.pump();
    assert!(wire.submit(&message(1, "good", 101)));
    assert!(!wire.submit(&message(2, "good", 1)));
    wire.pump();
    wire.broker.settle(|_| 0, false);
    wire.pump();
    for number in 2..=4 {
        assert!(wire.submit(&message(number, "good", 33)));
    }
    assert_eq!(wire.connection.room().messages, 0);
    assert!(!wire.submit(&message(5, "good", 0)));
}

#[test]
fn a_socket_that_takes_nothing_stops_the_taking_of_messages() {
    let mut wire = Wire::opened();
    let mut number = 0;
    while wire.submit(&message(number + 1, "good", 60_000)) {
        number += 1;
    }
    assert_eq!(number, 5);
    wire.pump();
    assert!(wire.submit(&message(number + 1, "good", 60_000)));
}

#[test]
fn a_message_that_fits_no_frame_is_refused_and_the_others_go_on() {
    let mut wire = Wire::opened();
    let value = HeaderValue::Text("x".repeat(131_072).into());
    let draft = Draft {
        properties: Properties {
            headers: vec![("large".into(), value)],
            ..Properties::default()
        },
        ..message(2, "good", 5).draft.clone()
    };
    assert!(wire.submit(&message(1, "good", 5)));
    wire.connection.submit(handover(whole(2, draft)));
    let events = std::mem::take(wire.connection.events());
    let refused = &events[0];
    assert!(matches!(
        refused,
        LaneEvent::Ended(
            _,
            Outcome::Refused {
                maybe_taken: false,
                ..
            }
        )
    ));
    assert!(wire.submit(&message(3, "good", 5)));
    wire.pump();
    wire.broker.settle(|_| 1, true);
    wire.pump();
    assert_eq!(outcome(&wire, 1), &Outcome::Confirmed);
    assert_eq!(outcome(&wire, 3), &Outcome::Confirmed);
}

#[test]
fn after_a_channel_was_closed_the_connection_publishes_on_a_fresh_one() {
    let mut wire = Wire::opened();
    for (number, exchange) in [(1, "good"), (2, "missing"), (3, "good")] {
        assert!(wire.submit(&message(number, exchange, 10)));
    }
    wire.pump();
    assert_eq!(outcome(&wire, 1), &Outcome::Unknown);
    assert!(matches!(outcome(&wire, 2), Outcome::Suspect(_)));
    assert_eq!(outcome(&wire, 3), &Outcome::Unknown);
    assert_eq!(wire.broker.channels_opened, 2);
    assert!(wire.submit(&message(4, "missing", 10)));
    wire.pump();
    assert!(matches!(
        outcome(&wire, 4),
        Outcome::Refused { maybe_taken: false, reason } if reason.reply_code == Some(404)
    ));
    assert!(wire.submit(&message(5, "good", 10)));
    wire.pump();
    wire.broker.settle(|_| 0, false);
    wire.pump();
    assert_eq!(outcome(&wire, 5), &Outcome::Confirmed);
    assert_eq!(wire.others, [LaneEvent::Up]);
    wire.lost();
    wire.verdict();
}

#[test]
fn a_message_half_written_when_its_channel_is_closed_is_finished_and_unsent() {
    let mut wire = Wire::opened();
    for (number, exchange, size) in [(1, "missing", 0), (2, "good", 9000), (3, "good", 5)] {
        assert!(wire.submit(&message(number, exchange, size)));
    }
    wire.write(400);
    wire.arrive(usize::MAX);
    wire.hear(usize::MAX);
    assert!(matches!(outcome(&wire, 1), Outcome::Refused { .. }));
    assert_eq!(outcome(&wire, 2), &Outcome::Unsent);
    assert_eq!(outcome(&wire, 3), &Outcome::Unsent);
    // The model accepts close-ok only between messages, and drops what comes before it.
    wire.pump();
    assert_eq!(wire.broker.channels_opened, 2);
    assert_eq!(wire.connection.room().messages, 100);
    wire.lost();
    wire.verdict();
}
