//! One connection with one confirm channel, from the protocol header to the end.

mod incoming;

use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};

use super::close::{Close, End};
use super::frame;
use super::handshake::{self, Settings, Tuned};
use super::ledger::Ledger;
use super::outbox::Outbox;
use super::publish;
use super::returned::Incoming;
use crate::broker::{Handover, LaneEvent, Outcome, Room};
use crate::domain::{Reason, ReasonCode};

/// Bytes that may wait for the socket before no more messages are taken.
const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// How long to wait for the broker's answer to our own close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const HEARTBEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, frame::END];

#[derive(Debug)]
enum Phase {
    AwaitStart,
    AwaitTune,
    AwaitOpenOk,
    AwaitChannel,
    AwaitSelect,
    Open,
    /// Our own close was sent, and this is why.
    Closing(End),
    Over(End),
}

/// See the module. Its owner feeds it bytes ([`Connection::input`], [`Connection::received`]) and
/// hand-overs, writes what it wants written, tells it the time, and takes its events.
#[derive(Debug)]
pub struct Connection {
    settings: Settings,
    phase: Phase,
    input: BytesMut,
    outbox: Outbox,
    ledger: Ledger,
    incoming: Incoming,
    tuned: Tuned,
    channel: u16,
    blocked: bool,
    announced: bool,
    events: Vec<LaneEvent>,
    /// When the present phase must be over.
    phase_deadline: Option<Instant>,
    last_read: Instant,
    last_write: Instant,
    /// How long to wait for an answer to what is in flight, and since when.
    patience: Option<Duration>,
    unanswered_since: Option<Instant>,
    /// The socket did not take everything the last time.
    backed_up: bool,
    /// When bytes last went out that had waited for the socket.
    slow_until: Instant,
}

impl Connection {
    /// A connection that wants its protocol header written.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let mut outbox = Outbox::default();
        outbox.tail().put_slice(&handshake::protocol_header());
        let phase_deadline = Some(now + settings.handshake_timeout);
        Self {
            settings,
            phase: Phase::AwaitStart,
            input: BytesMut::new(),
            outbox,
            ledger: Ledger::default(),
            incoming: Incoming::None,
            tuned: Tuned {
                frame_bytes_max: handshake::FRAME_BYTES_MIN as usize,
                channel_max: u16::MAX,
            },
            channel: 0,
            blocked: false,
            announced: false,
            events: Vec::new(),
            phase_deadline,
            last_read: now,
            last_write: now,
            patience: None,
            unanswered_since: None,
            backed_up: false,
            slow_until: now,
        }
    }

    /// Where bytes from the socket are appended before [`Connection::received`] is called.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Deals with everything in the input that is whole.
    pub fn received(&mut self, now: Instant) {
        self.last_read = now;
        let mut input = std::mem::take(&mut self.input);
        let mut used = 0;
        while !self.is_over() {
            match frame::first(&input[used..], self.tuned.frame_bytes_max) {
                Ok(Some(frame)) => {
                    let length = frame.len();
                    if let Err(end) = self.on_frame(frame, now) {
                        self.give_up(end, now);
                    }
                    used += length;
                }
                Ok(None) => break,
                Err(violation) => self.give_up(violation.into(), now),
            }
        }
        input.advance(used);
        self.input = input;
    }

    /// What may be handed over now.
    #[must_use]
    pub fn room(&self) -> Room {
        let open = self.ledger.open();
        let takes = matches!(self.phase, Phase::Open)
            && !self.blocked
            && self.outbox.len() < OUTBOX_BYTES_MAX
            && self.ledger.has_place();
        Room {
            messages: if takes {
                self.settings.window_messages.saturating_sub(open)
            } else {
                0
            },
            bytes: self
                .settings
                .window_bytes
                .saturating_sub(self.ledger.open_bytes()),
            empty: open == 0,
        }
    }

    /// Queues a hand-over to be written. Every one ends in exactly one event, also one that comes
    /// when there is no room.
    pub fn submit(&mut self, handover: Handover) {
        let row = handover.message.id.row();
        if !matches!(self.phase, Phase::Open) {
            self.events.push(LaneEvent::Ended(row, Outcome::Unsent));
            return;
        }
        if self.ledger.open() == 0 {
            self.patience = handover.patience;
            self.unanswered_since = None;
        }
        let frame_max = self.tuned.frame_bytes_max;
        let start = self.outbox.end();
        match publish::encode(&mut self.outbox, self.channel, &handover, frame_max) {
            Ok(()) => self
                .ledger
                .published(handover.message, start..self.outbox.end()),
            Err(unencodable) => {
                let reason = Reason::own(ReasonCode::MessageTooLarge, unencodable.to_string());
                let refused = Outcome::Refused {
                    reason: Box::new(reason),
                    maybe_taken: false,
                };
                self.events.push(LaneEvent::Ended(row, refused));
            }
        }
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Fills in what to write next, first things first, and says how many slices that is.
    pub fn output<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        self.outbox.slices(into)
    }

    /// The socket took `count` bytes of the output.
    pub fn wrote(&mut self, count: usize, now: Instant) {
        self.outbox.wrote(count);
        self.last_write = now;
        let backed_up = !self.outbox.is_empty();
        if backed_up || self.backed_up {
            self.slow_until = now;
        }
        self.backed_up = backed_up;
    }

    /// Until when the socket took bytes, and took them only slowly: what is in flight may not have
    /// been written for long.
    #[must_use]
    pub fn slow_until(&self) -> Instant {
        self.slow_until
    }

    /// Ends the connection, since what is in flight gets no answer.
    pub fn stalled(&mut self) {
        self.lost(End::Stalled);
    }

    /// Lets time pass: heartbeats are sent and missed, and phases end.
    pub fn tick(&mut self, now: Instant) {
        if self.phase_deadline.is_some_and(|deadline| deadline <= now) {
            let end = match &self.phase {
                Phase::Closing(end) => end.clone(),
                _ => End::HandshakeTimeout,
            };
            self.lost(end);
            return;
        }
        if self.is_unanswered(now) {
            self.give_up_unanswered();
            return;
        }
        let Some(heartbeat) = self.heartbeat() else {
            return;
        };
        if now >= self.last_read + heartbeat * 2 {
            self.lost(End::Silent);
        } else if now >= self.last_write + heartbeat / 2 && self.outbox.is_empty() {
            self.outbox.tail().put_slice(&HEARTBEAT);
        }
    }

    /// When [`Connection::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let heartbeat = self.heartbeat().map(|heartbeat| {
            let beat = self.last_write + heartbeat / 2;
            let silent = self.last_read + heartbeat * 2;
            // While bytes wait for a socket that takes none, a beat more would not get out either.
            if self.outbox.is_empty() {
                beat.min(silent)
            } else {
                silent
            }
        });
        let answer = self
            .unanswered_since
            .zip(self.patience)
            .map(|(since, patience)| since + patience);
        self.phase_deadline
            .into_iter()
            .chain(heartbeat)
            .chain(answer)
            .min()
    }

    /// Keeps the time of what is in flight. A broker that blocks says so, and is waited for.
    fn is_unanswered(&mut self, now: Instant) -> bool {
        let Some(patience) = self.patience else {
            return false;
        };
        if self.ledger.open() == 0 || self.blocked {
            self.unanswered_since = None;
            return false;
        }
        if !self.outbox.is_empty() {
            self.unanswered_since = Some(self.last_write);
        }
        now >= *self.unanswered_since.get_or_insert(now) + patience
    }

    fn give_up_unanswered(&mut self) {
        let before = self.events.len();
        self.lost(End::Unanswered);
        for event in &mut self.events[before..] {
            if let LaneEvent::Ended(_, outcome @ Outcome::Unknown) = event {
                *outcome = Outcome::Unanswered;
            }
        }
    }

    fn heartbeat(&self) -> Option<Duration> {
        let agreed = matches!(
            self.phase,
            Phase::AwaitOpenOk | Phase::AwaitChannel | Phase::AwaitSelect | Phase::Open
        );
        (agreed && !self.settings.heartbeat.is_zero()).then_some(self.settings.heartbeat)
    }

    /// Closes the connection politely; what is in flight is not waited for.
    pub fn close(&mut self, now: Instant) {
        match self.phase {
            Phase::Over(_) | Phase::Closing(_) => {}
            Phase::AwaitStart | Phase::AwaitTune => self.lost(End::Stopped),
            _ => self.send_close(200, "the gateway is stopping", End::Stopped, now),
        }
    }

    /// The connection is gone, or nobody waits for it any longer: what is outstanding is reported,
    /// and of the messages nothing more is written.
    pub fn lost(&mut self, end: End) {
        // Once it is closing, everything was reported, and what waits is our own close.
        if !matches!(self.phase, Phase::Over(_) | Phase::Closing(_)) {
            let written = self.outbox.written();
            self.outbox.truncate_to(written);
            self.ledger.close(written, None, &mut self.events);
        }
        self.over(end);
    }

    fn over(&mut self, end: End) {
        let end = match std::mem::replace(&mut self.phase, Phase::AwaitStart) {
            Phase::Over(first) | Phase::Closing(first) => first,
            _ => end,
        };
        self.phase = Phase::Over(end);
        self.phase_deadline = None;
    }

    /// Takes back every message that the socket has not begun with. One that is half written stays
    /// and is finished, since nothing else may stand inside it. Says where the messages end now.
    fn cut(&mut self) -> u64 {
        let written = self.outbox.written();
        let Some(boundary) = self.ledger.boundary(written) else {
            return written;
        };
        self.outbox.truncate_to(boundary);
        boundary
    }

    /// The broker has closed: it drops whatever comes after, so what was not completely written by
    /// now is unsent.
    fn closed_by_broker(&mut self, close: &Close) {
        let written = self.outbox.written();
        self.cut();
        self.ledger.close(written, Some(close), &mut self.events);
        self.incoming = Incoming::None;
    }

    /// What has happened since the last call, in order.
    pub fn events(&mut self) -> &mut Vec<LaneEvent> {
        &mut self.events
    }

    /// Why the connection is over, once it is and its last bytes are written.
    #[must_use]
    pub fn ended(&self) -> Option<&End> {
        match &self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    /// Whether it was opened completely at some time.
    #[must_use]
    pub fn was_up(&self) -> bool {
        self.announced
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }
}

#[cfg(test)]
mod tests;
