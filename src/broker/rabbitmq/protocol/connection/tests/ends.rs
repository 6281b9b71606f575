use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic;

use super::super::*;
use super::model::{frame_bytes, text};
use super::wire::{MOMENT, Wire, settings};
use crate::broker::rabbitmq::protocol::fixtures::{message, row};

/// An open wire with three messages, of which two were written and half of the third.
fn half_way() -> Wire {
    let mut wire = Wire::opened();
    for number in 1..=4 {
        assert!(wire.submit(&message(number, "stuck", 1000)));
    }
    wire.write(3000);
    wire.arrive(usize::MAX);
    wire
}

fn outcomes(wire: &Wire) -> Vec<Outcome> {
    (1..=4)
        .map(|number| wire.outcomes[&row(number)].clone())
        .collect()
}

fn basic(method: basic::AMQPMethod) -> Vec<u8> {
    frame_bytes(&AMQPFrame::Method(1, AMQPClass::Basic(method)))
}

fn returned() -> Vec<u8> {
    basic(basic::AMQPMethod::Return(basic::Return {
        reply_code: 312,
        reply_text: text("NO_ROUTE"),
        exchange: text("x"),
        routing_key: text("k"),
    }))
}

fn header(number: u64, body_size: u64) -> Vec<u8> {
    let mut headers = amq_protocol::types::FieldTable::default();
    let id = message(number, "x", 0).id.to_string();
    headers.insert(
        text("x-amqpost-id"),
        amq_protocol::types::AMQPValue::LongString(id.into()),
    );
    frame_bytes(&AMQPFrame::Header(
        1,
        AMQPContentHeader {
            class_id: 60,
            body_size,
            properties: basic::AMQPProperties::default().with_headers(headers),
        },
    ))
}

#[test]
fn what_breaks_the_protocol_is_answered_with_its_code_and_leaves_everything_unknown() {
    use Outcome::{Unknown, Unsent};
    let ack = basic(basic::AMQPMethod::Ack(basic::Ack {
        delivery_tag: 9,
        multiple: true,
    }));
    let nothing = AMQPContentHeader {
        class_id: 60,
        body_size: 0,
        properties: basic::AMQPProperties::default(),
    };
    let without_id = frame_bytes(&AMQPFrame::Header(1, nothing));
    let body = |size| frame_bytes(&AMQPFrame::Body(1, vec![0; size]));
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unknown id", [returned(), header(77, 0)].concat(), 505),
        ("an unwritten id", [returned(), header(4, 0)].concat(), 505),
        ("no id", [returned(), without_id].concat(), 505),
        (
            "a method in a return",
            [returned(), returned()].concat(),
            505,
        ),
        ("body before header", [returned(), body(1)].concat(), 505),
        ("header out of place", header(1, 0), 505),
        ("body out of place", body(1), 505),
        ("unknown tag", ack, 503),
        ("a beat on a channel", vec![8, 0, 9, 0, 0, 0, 0, 0xCE], 503),
        (
            "a channel that is not open",
            vec![1, 0, 9, 0, 0, 0, 0, 0xCE],
            504,
        ),
        ("content on 0", vec![3, 0, 0, 0, 0, 0, 0, 0xCE], 503),
        ("too long", vec![3, 0, 1, 0, 2, 0, 0], 501),
        ("no end octet", vec![8, 0, 0, 0, 0, 0, 0, 0], 501),
        ("unknown type", vec![9], 501),
        ("no method", vec![1, 0, 1, 0, 0, 0, 0, 0xCE], 502),
        (
            "unknown method",
            vec![1, 0, 1, 0, 0, 0, 4, 0, 60, 9, 9, 0xCE],
            502,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut wire = half_way();
        wire.closing = true;
        wire.hear_bytes(&bytes);
        // The third is finished before our close, and the broker takes it.
        assert_eq!(
            outcomes(&wire),
            [Unknown, Unknown, Unknown, Unsent],
            "{what}"
        );
        wire.pump();
        assert!(wire.broker.is_over(), "{what}");
        let End::Violation(violation) = wire.end() else {
            unreachable!("{what}: {:?}", wire.end())
        };
        assert_eq!(violation.code, code, "{what}");
        assert!(!wire.connection.has_output());
    }
}

#[test]
fn a_body_that_does_not_end_as_announced_is_a_violation_and_the_return_stands() {
    let body = frame_bytes(&AMQPFrame::Body(1, vec![0; 11]));
    for (instead, code) in [(body, 501), (returned(), 505), (header(2, 0), 505)] {
        let mut wire = half_way();
        wire.closing = true;
        wire.hear_bytes(&[returned(), header(1, 10), instead].concat());
        assert!(matches!(outcomes(&wire)[0], Outcome::Returned(_)));
        assert_eq!(outcomes(&wire)[1], Outcome::Unknown);
        wire.pump();
        assert!(matches!(wire.end(), End::Violation(one) if one.code == code));
    }
}

#[test]
fn half_a_frame_and_then_a_loss_is_a_loss() {
    use Outcome::{Unknown, Unsent};
    let mut wire = half_way();
    let ack = basic(basic::AMQPMethod::Ack(basic::Ack {
        delivery_tag: 1,
        multiple: false,
    }));
    wire.hear_bytes(&ack[..ack.len() - 1]);
    wire.lost();
    assert_eq!(outcomes(&wire), [Unknown, Unknown, Unsent, Unsent]);
    assert_eq!(wire.end(), &End::Lost("cut".into()));
    wire.hear_bytes(&ack[ack.len() - 1..]);
    wire.lost();
    assert_eq!((wire.outcomes.len(), wire.open.len()), (4, 0));
}

#[test]
fn what_was_given_up_as_unsent_is_not_written_any_more() {
    let mut wire = half_way();
    wire.tick(settings().heartbeat * 2);
    assert_eq!(wire.end(), &End::Silent);
    assert_eq!(outcomes(&wire)[2], Outcome::Unsent);
    assert!(!wire.connection.has_output());
}

#[test]
fn a_beat_is_sent_after_half_the_interval_and_silence_ends_after_two() {
    let mut wire = Wire::opened();
    let half = settings().heartbeat / 2;
    assert_eq!(wire.connection.deadline(), Some(wire.now + half));
    wire.tick(half.saturating_sub(MOMENT));
    assert!(!wire.connection.has_output());
    wire.tick(MOMENT);
    assert_eq!(wire.write(usize::MAX), 8);
    for _ in 0..2 {
        wire.tick(half);
        assert_eq!(wire.write(usize::MAX), 8);
    }
    assert_eq!(wire.connection.deadline(), Some(wire.now + half));
    wire.tick(half);
    assert_eq!(wire.end(), &End::Silent);
}

#[test]
fn anything_that_is_heard_puts_off_the_silence() {
    let mut wire = Wire::opened();
    for _ in 0..10 {
        wire.tick(settings().heartbeat);
        wire.broker.beat();
        wire.hear(usize::MAX);
        assert!(!wire.is_over());
    }
}

#[test]
fn without_an_interval_nobody_beats_and_nobody_is_silent() {
    let heartbeat = Duration::ZERO;
    let settings = Settings {
        heartbeat,
        ..settings()
    };
    let mut wire = Wire::new(settings, super::model::Broker::new(0, 0, 4096));
    wire.pump();
    assert_eq!(wire.connection.deadline(), None);
    wire.tick(Duration::from_hours(24));
    assert!(!wire.is_over() && !wire.connection.has_output());
}

#[test]
fn a_polite_close_finishes_what_is_begun_and_waits_for_the_answer() {
    use Outcome::{Unknown, Unsent};
    let mut wire = half_way();
    wire.close();
    assert_eq!(outcomes(&wire), [Unknown, Unknown, Unknown, Unsent]);
    assert!(!wire.is_over() && wire.connection.room().messages == 0);
    wire.pump();
    assert_eq!(wire.end(), &End::Stopped);
    assert!(wire.broker.is_over() && wire.broker.truths[&row(3)].processed);
    assert!(!wire.broker.truths.contains_key(&row(4)));
}

#[test]
fn an_answer_to_a_polite_close_is_not_waited_for_longer_than_two_seconds() {
    let mut wire = half_way();
    wire.close();
    assert_eq!(wire.connection.deadline(), Some(wire.now + CLOSE_TIMEOUT));
    wire.tick(CLOSE_TIMEOUT.saturating_sub(MOMENT));
    assert!(!wire.is_over());
    wire.tick(MOMENT);
    assert_eq!(wire.end(), &End::Stopped);
    assert_eq!(wire.outcomes.len(), 4);
}

#[test]
fn words_that_were_cut_inside_a_character_are_told_all_the_same() {
    let mut wire = half_way();
    wire.hear_bytes(&[
        1, 0, 1, 0, 0, 0, 14, 0, 20, 0, 40, 1, 0x94, 3, b'x', b' ', 0xC3, 0, 0, 0, 0, 0xCE,
    ]);
    let Outcome::Suspect(reason) = &outcomes(&wire)[0] else {
        unreachable!("{:?}", outcomes(&wire))
    };
    assert_eq!(reason.reply_text.as_deref(), Some("x \u{fffd}"));
}

#[test]
fn the_brokers_own_close_blames_a_message_only_for_what_a_message_can_do() {
    for (code, blamed) in [(320, false), (541, true)] {
        let mut wire = half_way();
        wire.broker.close(code, "CLOSED");
        wire.hear(usize::MAX);
        let all = outcomes(&wire);
        assert_eq!(matches!(all[0], Outcome::Suspect(_)), blamed);
        assert_eq!(matches!(all[1], Outcome::Suspect(_)), blamed);
        assert_eq!(all[2..], [Outcome::Unsent, Outcome::Unsent]);
        wire.pump();
        assert!(
            wire.broker.is_over(),
            "close-ok stands after the whole message"
        );
        assert!(!wire.broker.truths.contains_key(&row(3)));
    }
}

#[test]
fn what_is_not_answered_in_time_ends_the_connection() {
    let limit = Duration::from_secs(3);
    let mut wire = Wire::new(settings(), super::model::Broker::new(0, 0, 4096));
    wire.patience = Some(limit);
    wire.pump();
    wire.tick(Duration::from_secs(4));
    assert!(!wire.is_over(), "nothing is in flight");
    assert!(wire.submit(&message(1, "x", 1)));
    wire.write(usize::MAX);
    wire.tick(Duration::ZERO);
    wire.tick(Duration::from_secs(2));
    assert!(!wire.is_over());
    wire.tick(Duration::from_secs(1));
    assert_eq!(wire.outcomes[&row(1)], Outcome::Unanswered);
    assert_eq!(wire.end(), &End::Unanswered);
}
