//! A lane without a socket: messages from the dispatch into frames, and acks back into settlements.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amqpost::broker::rabbitmq::protocol::{Connection, Credentials, Settings};
use amqpost::broker::{Handover, LaneEvent};
use amqpost::domain::{IdMinter, Message, Properties, Reason, ReasonCode, RetrySchedule, Turn};
use amqpost::relay::dispatch::{self, Dispatch, Ends, MemoryBudget, Moment, Settled};
use amqpost::store::Pending;

use super::{Hot, NOW, draft};

/// An open connection, and what feeds it.
pub struct Lane {
    dispatch: Dispatch,
    connection: Connection,
    minter: IdMinter,
    properties: Properties,
    batch: usize,
    now: Instant,
    tag: u64,
    handed: Vec<Handover>,
    settled: Vec<Settled>,
}

impl Lane {
    /// Hands over so many messages with these properties at a time, which are acknowledged together.
    pub fn new(batch: usize, properties: Properties) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a moment to begin with")]
        let now = Instant::now();
        let down = Reason::own(ReasonCode::BrokerUnavailable, "not yet");
        let mut dispatch = Dispatch::new(settings(), down);
        dispatch.report([LaneEvent::Up], &mut ends(now, &mut Vec::new()));
        Self {
            dispatch,
            connection: open(now),
            minter: IdMinter::default(),
            properties,
            batch,
            now,
            tag: 0,
            handed: Vec::new(),
            settled: Vec::new(),
        }
    }

    fn accept(&mut self) -> Vec<Pending> {
        let one = |_| {
            let message = Message {
                id: self.minter.mint(NOW, 7),
                accepted_at: NOW,
                draft: amqpost::domain::Draft {
                    properties: self.properties.clone(),
                    ..draft()
                },
            };
            Pending {
                turn: Turn::from(message.id.row()),
                message: Arc::new(message),
                replays: 0,
                duplicate_possible: false,
                attempts: 0,
            }
        };
        (0..self.batch).map(one).collect()
    }
}

impl Hot for Lane {
    fn messages(&self) -> usize {
        self.batch
    }

    fn once(&mut self) {
        let new = self.accept();
        self.dispatch.enqueue(new);
        let room = self.connection.room();
        self.dispatch.pull(self.now, room, &mut self.handed);
        assert_eq!(self.handed.len(), self.batch);
        for handover in self.handed.drain(..) {
            self.connection.submit(handover);
        }
        write_all(&mut self.connection, self.now);
        self.tag += self.batch as u64;
        let ack = method(1, 60, 80, &[&self.tag.to_be_bytes()[..], &[1]].concat());
        receive(&mut self.connection, self.now, &ack);
        let events = self.connection.events();
        self.dispatch
            .report(events.drain(..), &mut ends(self.now, &mut self.settled));
        assert_eq!(self.settled.len(), self.batch);
        self.settled.clear();
    }
}

fn settings() -> dispatch::Settings {
    dispatch::Settings {
        retry: RetrySchedule::default(),
        exchange_known: Duration::from_mins(1),
        stall_after: Duration::from_secs(5),
        memory: MemoryBudget {
            messages_max: 20_000,
            bytes_max: 32 << 20,
        },
    }
}

fn ends(now: Instant, settled: &mut Vec<Settled>) -> Ends<'_> {
    Ends {
        at: Moment { now, wall: NOW },
        dice: || 0.5,
        settled,
    }
}

/// A connection behind its handshake, of which the broker's half is said here.
fn open(now: Instant) -> Connection {
    let settings = Settings {
        credentials: Credentials::Plain {
            user: "guest".into(),
            password: "guest".into(),
        },
        vhost: "/".into(),
        connection_name: "bench".into(),
        frame_bytes_max: None,
        heartbeat: Duration::ZERO,
        handshake_timeout: Duration::from_secs(10),
        window_messages: 1000,
        window_bytes: 32 << 20,
    };
    let mut connection = Connection::new(settings, now);
    let start = b"\x00\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US";
    let tune = [
        &2047_u16.to_be_bytes()[..],
        &131_072_u32.to_be_bytes(),
        &[0, 0],
    ]
    .concat();
    let said = [
        method(0, 10, 10, start),
        method(0, 10, 30, &tune),
        method(0, 10, 41, &[0]),
        method(1, 20, 11, &[0, 0, 0, 0]),
        method(1, 85, 11, &[]),
    ];
    for bytes in said {
        write_all(&mut connection, now);
        receive(&mut connection, now, &bytes);
    }
    assert!(
        connection.events().contains(&LaneEvent::Up),
        "{:?}",
        connection.ended()
    );
    connection.events().clear();
    connection
}

fn method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let length = u32::try_from(arguments.len() + 4).expect("a short frame");
    let mut frame = vec![1];
    frame.extend_from_slice(&channel.to_be_bytes());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&class.to_be_bytes());
    frame.extend_from_slice(&method.to_be_bytes());
    frame.extend_from_slice(arguments);
    frame.push(0xce);
    frame
}

fn receive(connection: &mut Connection, now: Instant, bytes: &[u8]) {
    connection.input().extend_from_slice(bytes);
    connection.received(now);
}

/// As if a socket took everything at once.
fn write_all(connection: &mut Connection, now: Instant) {
    while connection.has_output() {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = connection.output(&mut slices);
        let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
        connection.wrote(bytes, now);
    }
}
