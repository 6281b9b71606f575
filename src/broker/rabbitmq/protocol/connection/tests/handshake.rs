use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::connection::AMQPMethod::{self, Open, StartOk, TuneOk};
use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::super::*;
use super::model::{Broker, text};
use super::wire::{MOMENT, Wire, settings};
use crate::broker::rabbitmq::protocol::fixtures::message;

fn say(wire: &mut Wire, method: AMQPMethod) {
    wire.hear_bytes(&handshake::method(0, AMQPClass::Connection(method)));
}

/// The methods on channel 0 that the connection wants written, after the protocol header.
fn written(wire: &mut Wire) -> Vec<AMQPMethod> {
    let mut slices = [IoSlice::new(&[]); 4];
    let count = wire.connection.output(&mut slices);
    let bytes: Vec<u8> = slices[..count]
        .iter()
        .flat_map(|one| one.to_vec())
        .collect();
    wire.connection.wrote(bytes.len(), wire.now);
    let (mut rest, mut methods) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let (more, frame) = parse_frame(rest).expect("a good frame");
        if let AMQPFrame::Method(0, AMQPClass::Connection(method)) = frame {
            methods.push(method);
        }
        rest = more;
    }
    methods
}

fn new(settings: Settings) -> Wire {
    Wire::new(settings, Broker::new(131_072, 2047, 4096))
}

fn start(mechanisms: &str) -> AMQPMethod {
    AMQPMethod::Start(connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: FieldTable::default(),
        mechanisms: mechanisms.into(),
        locales: "en_US".into(),
    })
}

fn tune(frame_max: u32) -> AMQPMethod {
    AMQPMethod::Tune(connection::Tune {
        channel_max: 0,
        frame_max,
        heartbeat: 60,
    })
}

fn close(code: u16, words: &str) -> AMQPMethod {
    AMQPMethod::Close(connection::Close {
        reply_code: code,
        reply_text: text(words),
        class_id: 0,
        method_id: 0,
    })
}

#[test]
fn the_gateway_says_who_it_is_and_what_it_understands() {
    let mut wire = new(settings());
    say(&mut wire, start("AMQPLAIN PLAIN"));
    let methods = written(&mut wire);
    let [StartOk(ok)] = &methods[..] else {
        unreachable!("{methods:?}")
    };
    assert_eq!(ok.mechanism.as_str(), "PLAIN");
    assert_eq!(ok.response.as_bytes(), b"\0guest\0guest");
    let properties = ok.client_properties.inner();
    assert_eq!(
        properties.get("connection_name"),
        Some(&AMQPValue::LongString("test".into()))
    );
    let Some(AMQPValue::FieldTable(capabilities)) = properties.get("capabilities") else {
        unreachable!("no capabilities")
    };
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "connection.blocked",
        "authentication_failure_close",
    ] {
        let told = capabilities.inner().get(capability);
        assert_eq!(told, Some(&AMQPValue::Boolean(true)), "{capability}");
    }
}

#[test]
fn wrong_credentials_are_a_refusal_and_answered_with_close_ok() {
    let mut wire = new(settings());
    say(&mut wire, start("PLAIN"));
    written(&mut wire);
    say(&mut wire, close(403, "ACCESS_REFUSED - Login was refused"));
    assert!(wire.end().is_refusal());
    assert_eq!(wire.end().reason().reply_code, Some(403));
    let answer = AMQPMethod::CloseOk(connection::CloseOk {});
    assert_eq!(written(&mut wire), [answer]);
    assert!(!wire.connection.was_up());
}

#[test]
fn a_mechanism_that_the_broker_does_not_offer_is_a_refusal() {
    let mut wire = new(settings());
    say(&mut wire, start("AMQPLAIN PLAINER"));
    assert!(matches!(wire.end(), End::Unsupported(_)) && wire.end().is_refusal());

    let credentials = handshake::Credentials::External;
    let mut wire = new(Settings {
        credentials,
        ..settings()
    });
    say(&mut wire, start("PLAIN EXTERNAL"));
    let methods = written(&mut wire);
    let [StartOk(ok)] = &methods[..] else {
        unreachable!("{methods:?}")
    };
    assert_eq!((ok.mechanism.as_str(), ok.response.len()), ("EXTERNAL", 0));
}

#[test]
fn the_smaller_frame_is_agreed_on_and_none_below_the_standards() {
    for (wanted, offered, agreed) in [
        (None, 0, 131_072),
        (None, 4096, 4096),
        (None, u32::MAX, 131_072),
        (Some(8192), 0, 8192),
        (Some(8192), 4096, 4096),
        (Some(1), 131_072, 4096),
        (Some(u32::MAX), 0, 131_072),
    ] {
        let mut wire = new(Settings {
            frame_bytes_max: wanted,
            ..settings()
        });
        say(&mut wire, start("PLAIN"));
        written(&mut wire);
        say(&mut wire, tune(offered));
        let methods = written(&mut wire);
        let [TuneOk(ok), Open(open)] = &methods[..] else {
            unreachable!("{methods:?}")
        };
        assert_eq!(ok.frame_max, agreed, "{wanted:?}, {offered}");
        assert_eq!((ok.channel_max, ok.heartbeat), (u16::MAX, 10));
        assert_eq!(open.virtual_host.as_str(), "/");
    }
    let mut wire = new(settings());
    say(&mut wire, start("PLAIN"));
    written(&mut wire);
    say(&mut wire, tune(4095));
    assert!(
        matches!(&written(&mut wire)[..], [AMQPMethod::Close(close)] if close.reply_code == 502)
    );
}

/// A wire after so many rounds of the handshake; five make it whole.
fn after_rounds(rounds: usize) -> Wire {
    let mut wire = new(settings());
    for _ in 0..rounds {
        wire.write(usize::MAX);
        wire.arrive(usize::MAX);
        wire.hear(usize::MAX);
    }
    wire
}

#[test]
fn the_broker_may_close_at_each_step_and_nothing_but_the_answer_is_written_then() {
    for rounds in 0..=5 {
        let mut wire = after_rounds(rounds);
        assert_eq!(wire.others.len(), rounds / 5);
        written(&mut wire);
        say(&mut wire, close(530, "NOT_ALLOWED - vhost / not found"));
        assert!(wire.end().is_refusal(), "after {rounds}");
        let answer = AMQPMethod::CloseOk(connection::CloseOk {});
        assert_eq!(written(&mut wire), [answer]);
        assert_eq!(wire.connection.room().messages, 0);
    }
}

#[test]
fn every_step_of_the_handshake_is_under_the_time_limit() {
    for rounds in 0..5 {
        let mut wire = after_rounds(rounds);
        let deadline = wire.now + settings().handshake_timeout;
        wire.write(usize::MAX);
        assert_eq!(wire.connection.deadline(), Some(deadline));
        wire.tick(settings().handshake_timeout.saturating_sub(MOMENT));
        assert!(!wire.is_over(), "after {rounds}");
        wire.tick(MOMENT);
        assert_eq!(wire.end(), &End::HandshakeTimeout);
    }
    let mut wire = after_rounds(5);
    wire.tick(settings().handshake_timeout);
    assert!(!wire.is_over());
}

#[test]
fn a_hand_over_before_the_end_of_the_handshake_is_unsent() {
    for rounds in 0..5 {
        let mut wire = after_rounds(rounds);
        assert_eq!(wire.connection.room().messages, 0);
        wire.push(&message(1, "good", 1));
        assert_eq!(wire.outcomes.len(), 1);
        wire.pump();
        assert!(wire.broker.truths.is_empty());
    }
}

#[test]
fn a_broker_that_blocks_before_the_channel_is_open_gets_nothing() {
    let mut wire = after_rounds(3);
    wire.broker.block(true);
    wire.broker.blocked = false;
    wire.pump();
    assert!(matches!(
        wire.others[..],
        [LaneEvent::Blocked(_), LaneEvent::Up]
    ));
    assert_eq!(wire.connection.room().messages, 0);
    let free = AMQPMethod::Unblocked(connection::Unblocked {});
    say(&mut wire, free);
    assert_eq!(wire.connection.room().messages, 100);
}

#[test]
fn a_server_of_another_version_is_recognised_and_not_answered() {
    let mut wire = new(settings());
    wire.write(usize::MAX);
    wire.hear_bytes(b"AMQP\0\0\x09\x00");
    assert!(wire.end().to_string().contains("version"));
    assert!(!wire.connection.has_output());
}

#[test]
fn methods_at_the_wrong_moment_end_the_connection() {
    for rounds in 0..=5 {
        let mut wire = after_rounds(rounds);
        written(&mut wire);
        let wrong = if rounds == 0 { tune(0) } else { start("PLAIN") };
        say(&mut wire, wrong);
        let told: Vec<_> = written(&mut wire);
        if rounds == 0 {
            assert!(matches!(wire.end(), End::Violation(one) if one.code == 503));
        } else {
            assert!(matches!(&told[..], [AMQPMethod::Close(close)] if close.reply_code == 503));
        }
    }
}

#[test]
fn a_close_before_the_broker_knows_us_just_ends() {
    let mut wire = new(settings());
    wire.close();
    assert_eq!(wire.end(), &End::Stopped);
    assert!(!wire.connection.has_output());
    wire.push(&message(1, "good", 1));
    assert_eq!(wire.outcomes.len(), 1);
}
