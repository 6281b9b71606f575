//! A model of RabbitMQ as a publisher meets it. What it does with a message is told by the name of
//! the exchange; when it confirms is told by the script.

use std::collections::BTreeMap;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, gen_frame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use amq_protocol::types::{FieldTable, ShortString};

use super::content::{Published, Reader, Said, Truths};
use crate::domain::RowId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    StartOk,
    TuneOk,
    Open,
    Running,
    /// The model has closed and waits for close-ok.
    Closing,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    None,
    Opened,
    Confirming,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ack,
    Nack,
    Silence,
}

pub(super) struct Broker {
    pub(super) frame_max: u32,
    pub(super) channel_max: u16,
    /// Bytes of a returned body's frames.
    pub(super) piece: usize,
    pub(super) truths: Truths,
    pub(super) blocked: bool,
    pub(super) channels_opened: u32,
    pub(super) said: Vec<u8>,
    said_total: u64,
    reader: Reader,
    stage: Stage,
    channel: (u16, Channel),
    next_tag: u64,
    unsettled: BTreeMap<u64, (RowId, Verdict)>,
}

pub(super) fn text(text: &str) -> ShortString {
    ShortString::try_new(text).expect("short")
}

pub(super) fn frame_bytes(frame: &AMQPFrame) -> Vec<u8> {
    let written = gen_frame(frame)(Vec::new().into()).expect("memory");
    written.into_inner().0
}

impl Broker {
    pub(super) fn new(frame_max: u32, channel_max: u16, piece: usize) -> Self {
        Self {
            frame_max,
            channel_max,
            piece,
            truths: Truths::new(),
            blocked: false,
            channels_opened: 0,
            said: Vec::new(),
            said_total: 0,
            reader: Reader::default(),
            stage: Stage::Header,
            channel: (0, Channel::None),
            next_tag: 1,
            unsettled: BTreeMap::new(),
        }
    }

    fn say(&mut self, frame: &AMQPFrame) -> u64 {
        let bytes = frame_bytes(frame);
        self.said_total += bytes.len() as u64;
        self.said.extend(bytes);
        self.said_total
    }

    fn say_connection(&mut self, method: connection::AMQPMethod) -> u64 {
        self.say(&AMQPFrame::Method(0, AMQPClass::Connection(method)))
    }

    fn say_channel(&mut self, method: channel::AMQPMethod) -> u64 {
        self.say(&AMQPFrame::Method(
            self.channel.0,
            AMQPClass::Channel(method),
        ))
    }

    fn say_basic(&mut self, method: basic::AMQPMethod) -> u64 {
        self.say(&AMQPFrame::Method(self.channel.0, AMQPClass::Basic(method)))
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.reader.push(bytes);
        while let Some(said) = self.reader.next() {
            match (self.stage, said) {
                (Stage::Over, said) => unreachable!("after the end: {}", named(&said)),
                (
                    Stage::Closing,
                    Said::Frame(AMQPFrame::Method(0, AMQPClass::Connection(method))),
                ) => match method {
                    connection::AMQPMethod::CloseOk(_) => self.stage = Stage::Over,
                    // Both have closed at the same time.
                    connection::AMQPMethod::Close(_) => {}
                    other => unreachable!("{other:?}"),
                },
                (Stage::Closing, _) => {}
                (_, Said::Message(message)) => self.on_publish(&message),
                (_, Said::Frame(frame)) => self.on_frame(frame),
            }
        }
    }

    fn on_frame(&mut self, frame: AMQPFrame) {
        use connection::AMQPMethod::{Close, CloseOk, Open, OpenOk, Start, StartOk, Tune, TuneOk};
        match (self.stage, frame) {
            (Stage::Header, AMQPFrame::ProtocolHeader(_)) => {
                self.say_connection(Start(connection::Start {
                    version_major: 0,
                    version_minor: 9,
                    server_properties: FieldTable::default(),
                    mechanisms: "PLAIN AMQPLAIN".into(),
                    locales: "en_US".into(),
                }));
                self.stage = Stage::StartOk;
            }
            (Stage::StartOk, AMQPFrame::Method(0, AMQPClass::Connection(StartOk(_)))) => {
                self.say_connection(Tune(connection::Tune {
                    channel_max: self.channel_max,
                    frame_max: self.frame_max,
                    heartbeat: 60,
                }));
                self.stage = Stage::TuneOk;
            }
            (Stage::TuneOk, AMQPFrame::Method(0, AMQPClass::Connection(TuneOk(tune)))) => {
                assert!(self.frame_max == 0 || tune.frame_max <= self.frame_max);
                assert!(self.channel_max == 0 || tune.channel_max <= self.channel_max);
                self.frame_max = tune.frame_max;
                self.stage = Stage::Open;
            }
            (Stage::Open, AMQPFrame::Method(0, AMQPClass::Connection(Open(open)))) => {
                assert_eq!(open.virtual_host.as_str(), "/");
                self.say_connection(OpenOk(connection::OpenOk {}));
                self.stage = Stage::Running;
            }
            (Stage::Running, AMQPFrame::Heartbeat) => {}
            (Stage::Running, AMQPFrame::Method(0, AMQPClass::Connection(Close(_)))) => {
                self.say_connection(CloseOk(connection::CloseOk {}));
                self.stage = Stage::Over;
            }
            (Stage::Running, AMQPFrame::Method(number, class)) => self.on_channel(number, &class),
            (stage, frame) => unreachable!("{frame:?} in {stage:?}"),
        }
        assert!(self.reader.longest_frame <= self.frame_max.max(4096) as usize);
    }

    fn on_channel(&mut self, number: u16, class: &AMQPClass) {
        match (self.channel, class) {
            (
                (old, Channel::None),
                AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
            ) => {
                assert!(number > 0 && (number != old || self.channel_max == 1));
                assert!(self.channel_max == 0 || number <= self.channel_max);
                self.channel = (number, Channel::Opened);
                self.channels_opened += 1;
                self.say_channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}));
            }
            ((old, Channel::Opened), AMQPClass::Confirm(confirm::AMQPMethod::Select(select))) => {
                assert!(old == number && !select.nowait);
                self.channel.1 = Channel::Confirming;
                (self.next_tag, self.unsettled) = (1, BTreeMap::new());
                let ok = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
                self.say(&AMQPFrame::Method(number, AMQPClass::Confirm(ok)));
            }
            (
                (old, Channel::Closing),
                AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {})),
            ) => {
                assert!(old == number && self.reader.between_messages());
                self.channel.1 = Channel::None;
            }
            (state, class) => unreachable!("{class:?} on {number} in {state:?}"),
        }
    }

    fn on_publish(&mut self, message: &Published) {
        let (number, state) = self.channel;
        assert_eq!(message.channel, number, "a message on another channel");
        if state == Channel::Closing {
            return;
        }
        assert_eq!(state, Channel::Confirming);
        let row = message.row();
        let tag = self.next_tag;
        self.next_tag += 1;
        let exchange = message.publish.exchange.as_str();
        let poison = match exchange {
            "missing" => Some((404, "NOT_FOUND - no exchange 'missing' in vhost '/'".into())),
            "vague" => Some((406, "PRECONDITION_FAILED - something or other".into())),
            "large" => {
                let size = message.body.len();
                let text = format!("PRECONDITION_FAILED - message size {size} is larger than 1");
                Some((406, text))
            }
            "crash" => Some((541, "INTERNAL_ERROR".into())),
            _ => None,
        };
        if let Some((code, words)) = poison {
            let at = self.close(code, &words);
            self.truths.entry(row).or_default().closed_at = Some(at);
            return;
        }
        let verdict = match exchange {
            "nacked" => Verdict::Nack,
            "stuck" => Verdict::Silence,
            _ => Verdict::Ack,
        };
        self.unsettled.insert(tag, (row, verdict));
        if exchange == "unroutable" && message.publish.mandatory {
            let at = self.give_back(message);
            self.truths.entry(row).or_default().returned_at = Some(at);
        }
        let truth = self.truths.entry(row).or_default();
        assert!(!truth.processed, "{row:?} came twice");
        truth.processed = true;
    }

    fn give_back(&mut self, message: &Published) -> u64 {
        self.say_basic(basic::AMQPMethod::Return(basic::Return {
            reply_code: 312,
            reply_text: text("NO_ROUTE"),
            exchange: message.publish.exchange.clone(),
            routing_key: message.publish.routing_key.clone(),
        }));
        self.beat();
        let header = AMQPContentHeader {
            class_id: 60,
            body_size: message.body.len() as u64,
            properties: message.header.properties.clone(),
        };
        let at = self.say(&AMQPFrame::Header(self.channel.0, header));
        for piece in message.body.chunks(self.piece) {
            self.beat();
            self.say(&AMQPFrame::Body(self.channel.0, piece.to_vec()));
        }
        at
    }

    pub(super) fn beat(&mut self) {
        self.say(&AMQPFrame::Heartbeat);
    }

    /// Closes the connection for 320, 402 and from 500 on, and else the channel.
    pub(super) fn close(&mut self, code: u16, words: &str) -> u64 {
        if code > 500 || [320, 402].contains(&code) {
            self.stage = Stage::Closing;
            return self.say_connection(connection::AMQPMethod::Close(connection::Close {
                reply_code: code,
                reply_text: text(words),
                class_id: 0,
                method_id: 0,
            }));
        }
        self.channel.1 = Channel::Closing;
        self.unsettled.clear();
        self.say_channel(channel::AMQPMethod::Close(channel::Close {
            reply_code: code,
            reply_text: text(words),
            class_id: 60,
            method_id: 40,
        }))
    }

    pub(super) fn can_close(&self) -> bool {
        self.stage == Stage::Running
    }

    pub(super) fn block(&mut self, blocked: bool) {
        if self.stage != Stage::Running || self.blocked == blocked {
            return;
        }
        self.blocked = blocked;
        self.say_connection(if blocked {
            connection::AMQPMethod::Blocked(connection::Blocked {
                reason: text("low on memory"),
            })
        } else {
            connection::AMQPMethod::Unblocked(connection::Unblocked {})
        });
    }

    /// Whether anything waits for its confirm and will get one.
    pub(super) fn owes_confirms(&self) -> bool {
        let mut owed = self.unsettled.values();
        self.can_close() && owed.any(|(_, verdict)| *verdict != Verdict::Silence)
    }

    /// Confirms the message that `pick` chooses among those that will be confirmed; with
    /// `multiple`, all before it too, as far as they have the same verdict.
    pub(super) fn settle(&mut self, pick: impl Fn(usize) -> usize, multiple: bool) {
        let owed: Vec<_> = self
            .unsettled
            .iter()
            .filter(|(_, (_, verdict))| *verdict != Verdict::Silence)
            .map(|(tag, (_, verdict))| (*tag, *verdict))
            .collect();
        if !self.can_close() || owed.is_empty() {
            return;
        }
        let (tag, verdict) = owed[pick(owed.len())];
        let same = self
            .unsettled
            .range(..=tag)
            .all(|(_, (_, one))| *one == verdict);
        let multiple = multiple && same;
        let tags: Vec<_> = self
            .unsettled
            .range(if multiple { 1 } else { tag }..=tag)
            .map(|(tag, _)| *tag)
            .collect();
        let at = self.say_basic(match verdict {
            Verdict::Nack => basic::AMQPMethod::Nack(basic::Nack {
                delivery_tag: tag,
                multiple,
                requeue: false,
            }),
            _ => basic::AMQPMethod::Ack(basic::Ack {
                delivery_tag: tag,
                multiple,
            }),
        });
        for tag in tags {
            let (row, _) = self.unsettled.remove(&tag).expect("unsettled");
            let truth = self.truths.entry(row).or_default();
            truth.settled_at = Some(at);
            truth.nacked = verdict == Verdict::Nack;
        }
    }
}

fn named(said: &Said) -> String {
    match said {
        Said::Message(message) => format!("message {:?}", message.row()),
        Said::Frame(frame) => format!("{frame:?}"),
    }
}
