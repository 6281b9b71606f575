//! Any script, any split of the streams, any order of reading and writing.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::super::fixtures::{cases, message, whole};
use super::super::*;
use super::model::Broker;
use super::wire::{Wire, settings};
use crate::domain::{Draft, HeaderValue, Message, Properties};

#[derive(Clone, Debug)]
struct Kind {
    exchange: &'static str,
    mandatory: bool,
    size: usize,
    header: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Submit(Vec<Kind>),
    Write(usize),
    Arrive(usize),
    Hear(usize),
    Settle { pick: Index, multiple: bool },
    Pump,
    Beat,
    Block(bool),
    Tick(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    /// Everything is confirmed that ever will be, and then the socket breaks.
    Quiet,
    Lost,
    Polite,
    Silence,
    /// The broker closes the connection, and for no message.
    Forced(u16),
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let exchange = prop_oneof![
        12 => Just("good"),
        8 => Just("unroutable"),
        3 => Just("nacked"),
        1 => Just("stuck"),
        1 => prop::sample::select(vec!["missing", "vague", "large"]),
    ];
    let exchange = prop_oneof![60 => exchange, 1 => Just("crash")];
    let size = prop_oneof![
        3 => 0_usize..3,
        3 => 3_usize..300,
        2 => 4000_usize..9000,
        1 => 16_000_usize..40_000,
    ];
    (exchange, prop::bool::weighted(0.9), size, any::<bool>()).prop_map(
        |(exchange, mandatory, size, header)| Kind {
            exchange,
            mandatory,
            size,
            header,
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let amount = || prop_oneof![1_usize..12, 1_usize..400, 1_usize..12_000, Just(usize::MAX)];
    prop_oneof![
        6 => prop::collection::vec(any_kind(), 1..6).prop_map(Step::Submit),
        6 => amount().prop_map(Step::Write),
        6 => amount().prop_map(Step::Arrive),
        6 => amount().prop_map(Step::Hear),
        6 => (any::<Index>(), any::<bool>())
            .prop_map(|(pick, multiple)| Step::Settle { pick, multiple }),
        2 => Just(Step::Pump),
        1 => Just(Step::Beat),
        1 => prop::bool::weighted(0.4).prop_map(Step::Block),
        1 => (0_u64..2500).prop_map(Step::Tick),
    ]
}

fn any_ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        4 => Just(Ending::Quiet),
        2 => Just(Ending::Lost),
        2 => Just(Ending::Polite),
        1 => Just(Ending::Silence),
        1 => prop::sample::select(vec![320, 402, 530]).prop_map(Ending::Forced),
    ]
}

fn message_of(number: u64, kind: &Kind) -> Arc<Message> {
    let mut headers = Vec::new();
    if kind.header {
        headers.push(("a".into(), HeaderValue::Int(7)));
    }
    let draft = Draft {
        caller: crate::domain::Caller::default(),
        mandatory: kind.mandatory,
        properties: Properties {
            headers,
            ..Properties::default()
        },
        ..message(number, kind.exchange, kind.size).draft.clone()
    };
    whole(number, draft)
}

/// The script of one connection; `number` is that of the last message.
struct Play {
    wire: Wire,
    number: u64,
}

impl Play {
    fn submit(&mut self, kinds: &[Kind]) {
        for kind in kinds {
            let message = message_of(self.number + 1, kind);
            if self.wire.submit(&message) {
                self.number += 1;
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let wire = &mut self.wire;
        match step {
            Step::Submit(kinds) => self.submit(kinds),
            Step::Write(most) => drop(wire.write(*most)),
            Step::Arrive(most) => drop(wire.arrive(*most)),
            Step::Hear(most) => drop(wire.hear(*most)),
            Step::Settle { pick, multiple } => {
                wire.broker.settle(|count| pick.index(count), *multiple);
            }
            Step::Pump => wire.pump(),
            Step::Beat if wire.broker.can_close() => wire.broker.beat(),
            Step::Beat => {}
            Step::Block(blocked) => wire.broker.block(*blocked),
            Step::Tick(millis) => wire.tick(Duration::from_millis(*millis)),
        }
    }

    /// Lets everything come that will come by itself.
    fn rest(&mut self) {
        self.wire.broker.block(false);
        self.wire.broker.blocked = false;
        self.wire.pump();
        while self.wire.broker.owes_confirms() {
            self.wire.broker.settle(|count| count / 2, true);
            self.wire.pump();
        }
    }

    fn end(&mut self, ending: Ending) {
        let already = self.wire.is_over();
        match ending {
            Ending::Quiet => {
                self.rest();
                if !self.wire.is_over() {
                    // The connection goes on, also after its channel was closed.
                    self.submit(&[Kind {
                        exchange: "good",
                        mandatory: true,
                        size: 10,
                        header: false,
                    }]);
                    self.rest();
                    let all = &self.wire.outcomes;
                    let last = all.get(&message(self.number, "", 0).id.row());
                    assert!(self.wire.is_over() || !self.wire.open.is_empty() || last.is_some());
                }
                self.wire.lost();
            }
            Ending::Lost => self.wire.lost(),
            Ending::Polite => self.wire.close(),
            Ending::Silence => self.wire.tick(Duration::from_secs(100)),
            Ending::Forced(code) => {
                if self.wire.broker.can_close() {
                    self.wire.broker.close(code, "FORCED");
                }
            }
        }
        // As the owner of the socket does, who writes what is left when the end has come.
        self.rest();
        if matches!(ending, Ending::Lost | Ending::Silence) && !already {
            assert!(!self.wire.connection.has_output());
        }
        self.wire.lost();
        assert!(self.wire.is_over() && self.wire.connection.deadline().is_none());
        self.number += 1;
        self.wire.push(&message(self.number, "good", 1));
        self.wire.pump();
        self.wire.verdict();
        assert_eq!(self.wire.outcomes.len() as u64, self.number);
    }
}

proptest! {
    #![proptest_config(cases(160))]

    #[test]
    fn every_hand_over_ends_once_and_as_the_broker_has_dealt_with_it(
        steps in prop::collection::vec(any_step(), 1..160),
        ending in any_ending(),
        frame_max in prop::sample::select(vec![4096, 8192, 131_072]),
        channel_max in prop::sample::select(vec![0, 1, 2, 2047]),
        window in (1_usize..40, prop::sample::select(vec![1_usize, 5000, 60_000])),
        piece in prop::sample::select(vec![1000_usize, 4000, 4088]),
        split in prop::sample::select(vec![1_usize, 3, 50, usize::MAX]),
    ) {
        let settings = Settings {
            window_messages: window.0,
            window_bytes: window.1,
            ..settings()
        };
        let mut wire = Wire::new(settings, Broker::new(frame_max, channel_max, piece));
        while wire.write(split) + wire.arrive(split) + wire.hear(split) > 0 {}
        prop_assert_eq!(&wire.others, &[LaneEvent::Up]);
        let mut play = Play { wire, number: 0 };
        for step in &steps {
            play.step(step);
        }
        play.end(ending);
    }
}

/// Bytes that look like something, and some that do not.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (0_u8..8, any::<bool>(), any::<bool>()).prop_map(|(tag, multiple, nack)| {
            let method = if nack { 120 } else { 80 };
            let tag = [0, 0, 0, 0, 0, 0, 0, tag, u8::from(multiple)];
            [&[0, 60, 0, method][..], &tag].concat()
        }),
        Just(b"\0\x3c\0\x32\x01\x38\x08NO_ROUTE\0\0".to_vec()),
        (0_u64..8, 0_u8..4).prop_map(|(number, size)| {
            let id = message(number, "", 0).id.to_string();
            let head = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, size, 0x20, 0, 0, 0, 0, 54];
            [&head[..], b"\x0cx-amqpost-idS\0\0\0\x24", id.as_bytes()].concat()
        }),
        prop::sample::select(vec![
            b"\0\x14\0\x28\x01\x94\0\0\0\0\0".to_vec(),
            b"\0\x14\0\x29".to_vec(),
            b"\0\x14\0\x0b\0\0\0\0".to_vec(),
            b"\0\x55\0\x0b".to_vec(),
            b"\0\x0a\0\x32\x01\x40\0\0\0\0\0".to_vec(),
            b"\0\x0a\0\x33".to_vec(),
            b"\0\x0a\0\x3c\x01x".to_vec(),
            b"\0\x0a\0\x3d".to_vec(),
        ]),
    ];
    let kind = prop::sample::select(vec![1_u8, 1, 1, 2, 3, 8]);
    let framed = (kind, 0_u16..3, payload).prop_map(|(kind, channel, payload)| {
        let size = u32::try_from(payload.len()).expect("small");
        let mut frame = vec![kind];
        frame.extend_from_slice(&channel.to_be_bytes());
        frame.extend_from_slice(&size.to_be_bytes());
        frame.extend(payload);
        frame.push(0xCE);
        frame
    });
    prop_oneof![20 => framed, 1 => prop::collection::vec(any::<u8>(), 1..30)]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whatever_the_broker_sends_every_hand_over_ends_once(
        input in prop::collection::vec((any_bytes(), 0_usize..600), 1..30),
        open in any::<bool>(),
    ) {
        let mut wire = Wire::new(settings(), Broker::new(131_072, 2047, 4096));
        if open {
            wire.pump();
        }
        wire.closing = true;
        for number in 1..6 {
            wire.push(&message(number, "good", 100));
        }
        for (bytes, written) in input {
            wire.write(written);
            wire.hear_bytes(&bytes);
        }
        wire.lost();
        prop_assert_eq!(wire.outcomes.len(), 5);
        prop_assert!(wire.open.is_empty() && wire.connection.deadline().is_none());
    }
}
