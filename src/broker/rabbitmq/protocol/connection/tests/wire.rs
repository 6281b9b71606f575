//! A connection, the model and the wire between them, with a witness who keeps the books.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::*;
use super::content::{Reader, Said};
use super::model::Broker;
use crate::clock;
use crate::domain::{Message, RowId};

/// The shortest time that is told apart here.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

pub(super) fn settings() -> Settings {
    Settings {
        credentials: handshake::Credentials::Plain {
            user: "guest".into(),
            password: "guest".into(),
        },
        vhost: "/".into(),
        connection_name: "test".into(),
        frame_bytes_max: None,
        heartbeat: Duration::from_secs(10),
        handshake_timeout: Duration::from_secs(5),

        window_messages: 100,
        window_bytes: 1 << 20,
    }
}

pub(super) struct Wire {
    pub(super) connection: Connection,
    pub(super) broker: Broker,
    pub(super) now: Instant,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    /// Reads along what the client writes.
    tap: Reader,
    written: BTreeSet<RowId>,
    /// What is unsent and may be finished all the same, since it was begun.
    half_written: Option<RowId>,
    /// Bytes that the client has heard before its end.
    pub(super) heard: u64,
    /// The client closes by its own will, now or soon.
    pub(super) closing: bool,
    /// What is in flight, with its bytes.
    pub(super) open: BTreeMap<RowId, usize>,
    pub(super) outcomes: BTreeMap<RowId, Outcome>,
    pub(super) others: Vec<LaneEvent>,
    window: (usize, usize),
    /// Of every hand-over.
    pub(super) patience: Option<Duration>,
}

impl Wire {
    pub(super) fn new(settings: Settings, broker: Broker) -> Self {
        let now = clock::monotonic();
        Self {
            window: (settings.window_messages, settings.window_bytes),
            connection: Connection::new(settings, now),
            broker,
            now,
            up: VecDeque::new(),
            down: VecDeque::new(),
            tap: Reader::default(),
            written: BTreeSet::new(),
            half_written: None,
            heard: 0,
            closing: false,
            open: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            others: Vec::new(),
            patience: None,
        }
    }

    /// A wire whose connection is open.
    pub(super) fn opened() -> Self {
        let mut wire = Self::new(settings(), Broker::new(131_072, 2047, 4096));
        wire.pump();
        assert_eq!(wire.others, [LaneEvent::Up]);
        wire
    }

    pub(super) fn is_over(&self) -> bool {
        self.connection.ended().is_some()
    }

    /// Hands `message` over when there is room.
    pub(super) fn submit(&mut self, message: &Arc<Message>) -> bool {
        let room = self.connection.room();
        let size = message.draft.payload.len();
        let fits = size <= room.bytes || room.empty;
        if room.messages == 0 || !fits {
            return false;
        }
        assert_eq!(room.empty, self.open.is_empty());
        self.push(message);
        let bytes: usize = self.open.values().sum();
        assert!(self.open.len() <= self.window.0);
        // One that is larger goes without any other bytes.
        assert!(bytes <= self.window.1 || self.open.values().any(|one| *one == bytes));
        true
    }

    /// Hands `message` over, room or no room.
    pub(super) fn push(&mut self, message: &Arc<Message>) {
        let size = message.draft.payload.len();
        let before = self.open.insert(message.id.row(), size);
        assert_eq!(before, None);
        let message = Arc::clone(message);
        self.connection.submit(Handover {
            message,
            duplicate_possible: false,
            patience: self.patience,
        });
        self.witness();
    }

    /// The client's socket takes up to `most` bytes.
    pub(super) fn write(&mut self, most: usize) -> usize {
        let mut slices = [IoSlice::new(&[]); 3];
        let count = self.connection.output(&mut slices);
        let mut taken: Vec<u8> = slices[..count]
            .iter()
            .flat_map(|one| one.to_vec())
            .collect();
        taken.truncate(most);
        if taken.is_empty() {
            return 0;
        }
        self.connection.wrote(taken.len(), self.now);
        self.tap.push(&taken);
        while let Some(said) = self.tap.next() {
            if let Said::Message(message) = said {
                let row = message.row();
                let unsent = self.outcomes.get(&row) == Some(&Outcome::Unsent);
                assert!(
                    !unsent || self.half_written == Some(row),
                    "{row:?} is unsent"
                );
                self.written.insert(row);
            }
        }
        self.up.extend(&taken);
        taken.len()
    }

    /// Up to `most` bytes reach the broker.
    pub(super) fn arrive(&mut self, most: usize) -> usize {
        if self.broker.blocked {
            return 0;
        }
        let count = most.min(self.up.len());
        let bytes: Vec<u8> = self.up.drain(..count).collect();
        self.broker.hear(&bytes);
        count
    }

    /// Up to `most` bytes reach the client.
    pub(super) fn hear(&mut self, most: usize) -> usize {
        self.down.extend(std::mem::take(&mut self.broker.said));
        let count = most.min(self.down.len());
        if count == 0 {
            return 0;
        }
        let bytes: Vec<u8> = self.down.drain(..count).collect();
        if !self.is_over() && !self.closing {
            self.heard += count as u64;
        }
        self.hear_bytes(&bytes);
        count
    }

    pub(super) fn hear_bytes(&mut self, bytes: &[u8]) {
        self.connection.input().extend_from_slice(bytes);
        self.connection.received(self.now);
        self.witness();
    }

    /// Moves bytes until nothing moves.
    pub(super) fn pump(&mut self) {
        while self.write(usize::MAX) + self.arrive(usize::MAX) + self.hear(usize::MAX) > 0 {}
    }

    pub(super) fn tick(&mut self, passes: Duration) {
        self.now += passes;
        self.connection.tick(self.now);
        self.witness();
    }

    pub(super) fn close(&mut self) {
        self.closing = true;
        self.connection.close(self.now);
        self.witness();
    }

    pub(super) fn lost(&mut self) {
        self.connection.lost(End::Lost("cut".into()));
        self.witness();
    }

    pub(super) fn end(&self) -> &End {
        self.connection.ended().expect("over")
    }

    fn witness(&mut self) {
        let events = std::mem::take(self.connection.events());
        let mut in_doubt = 0;
        let mut refused = false;
        let mut half_way = self.tap.is_half_way();
        for event in events {
            let LaneEvent::Ended(row, outcome) = event else {
                self.others.push(event);
                continue;
            };
            assert!(self.open.remove(&row).is_some(), "{row:?} ended twice");
            let written = self.written.contains(&row);
            match &outcome {
                Outcome::Unsent => {
                    assert!(!written, "{row:?} was written");
                    if std::mem::take(&mut half_way) {
                        self.half_written = Some(row);
                    }
                }
                Outcome::Unknown if self.closing => in_doubt += 1,
                Outcome::Unknown | Outcome::Suspect(_) | Outcome::Refused { .. } => {
                    in_doubt += 1;
                    assert!(written, "{row:?} was not written");
                }
                _ => assert!(written, "{row:?} was not written"),
            }
            refused |= matches!(outcome, Outcome::Refused { .. });
            self.outcomes.insert(row, outcome);
        }
        assert!(!refused || in_doubt == 1, "refused, and not alone");
        let room = self.connection.room();
        assert!(room.messages + self.open.len() <= self.window.0.max(self.open.len()));
        assert_eq!(room.empty, self.open.is_empty());
    }

    /// Compares what was reported with what the model did. Everything is over.
    pub(super) fn verdict(&self) {
        assert!(self.open.is_empty(), "never ended: {:?}", self.open);
        for (row, outcome) in &self.outcomes {
            let nothing = super::content::Truth::default();
            let truth = self.broker.truths.get(row).unwrap_or(&nothing);
            let heard = |at: Option<u64>| at.is_some_and(|at| at <= self.heard);
            let good = match outcome {
                Outcome::Returned(reason) => {
                    heard(truth.returned_at)
                        && reason.reply_code == Some(312)
                        && reason.reply_text.as_deref() == Some("NO_ROUTE")
                }
                _ if heard(truth.returned_at) => false,
                Outcome::Confirmed => heard(truth.settled_at) && !truth.nacked,
                Outcome::Nacked => heard(truth.settled_at) && truth.nacked,
                _ if heard(truth.settled_at) => false,
                Outcome::Refused {
                    reason,
                    maybe_taken,
                } => heard(truth.closed_at) && *maybe_taken == (reason.reply_code == Some(541)),
                Outcome::Suspect(_) => true,
                Outcome::Unknown | Outcome::Unanswered => !heard(truth.closed_at),
                Outcome::Unsent => !truth.processed && truth.closed_at.is_none(),
            };
            assert!(
                good,
                "{row:?} is {outcome:?}, and {truth:?}, heard {}",
                self.heard
            );
        }
    }
}
