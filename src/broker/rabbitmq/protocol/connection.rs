//! One connection with one confirm channel, from the protocol header to the end.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use amq_protocol::protocol::{AMQPClass, channel, confirm, connection};
use amq_protocol::types::ShortString;
use bytes::{Buf, BufMut, BytesMut};

use super::close::{Close, End, Scope};
use super::frame::{self, Frame, Kind, Violation};
use super::handshake::{self, Settings, Tuned};
use super::ledger::Ledger;
use super::method::{self, Method};
use super::outbox::Outbox;
use super::publish;
use super::returned::{self, Incoming};
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
        self.phase_deadline.into_iter().chain(heartbeat).min()
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

    fn on_frame(&mut self, frame: Frame<'_>, now: Instant) -> Result<(), End> {
        match frame.kind {
            Kind::Heartbeat if frame.channel == 0 => Ok(()),
            Kind::Heartbeat => Err(Violation::command("a heartbeat on a channel").into()),
            _ if frame.channel == 0 => match frame.kind {
                Kind::Method => self.on_connection_method(method::read(frame.payload)?),
                _ => Err(Violation::command("content on channel 0").into()),
            },
            // AMQP 0-9-1, connection.close: whoever has closed drops everything but the answer.
            _ if matches!(self.phase, Phase::Closing(_)) => Ok(()),
            _ if frame.channel != self.channel => {
                let text = format!("a frame on channel {}, which is not open", frame.channel);
                Err(Violation::channel(text).into())
            }
            Kind::Method => self.on_channel_method(method::read(frame.payload)?, now),
            Kind::Header => Ok(self.on_header(frame.payload)?),
            Kind::Body => Ok(self.on_body(frame.payload.len())?),
        }
    }

    fn on_connection_method(&mut self, method: Method<'_>) -> Result<(), End> {
        match method {
            Method::ConnectionClose { code, text } => {
                self.on_connection_close(code, text.into_owned());
                return Ok(());
            }
            Method::ConnectionCloseOk if matches!(self.phase, Phase::Closing(_)) => {
                self.lost(End::Stopped);
                return Ok(());
            }
            _ if matches!(self.phase, Phase::Closing(_)) => return Ok(()),
            Method::Blocked { reason } => {
                self.blocked = true;
                let reason = Reason {
                    reply_text: Some(reason.into()),
                    ..Reason::own(
                        ReasonCode::BrokerBlocked,
                        "the broker takes no messages at present",
                    )
                };
                self.events.push(LaneEvent::Blocked(reason));
                return Ok(());
            }
            Method::Unblocked => {
                self.blocked = false;
                self.events.push(LaneEvent::Unblocked);
                return Ok(());
            }
            _ => {}
        }
        let Method::Other(class) = method else {
            return Err(Violation::command("a channel's method on channel 0").into());
        };
        self.on_handshake(*class)
    }

    fn on_handshake(&mut self, class: AMQPClass) -> Result<(), End> {
        use connection::AMQPMethod::{OpenOk, Start, Tune};
        match (&self.phase, class) {
            (Phase::AwaitStart, AMQPClass::Connection(Start(start))) => {
                let answer = handshake::start_ok(&self.settings, &start)?;
                self.outbox.tail().put_slice(&answer);
                self.phase = Phase::AwaitTune;
            }
            (Phase::AwaitTune, AMQPClass::Connection(Tune(tune))) => {
                let (tuned, answer) = handshake::tune_ok(&self.settings, &tune)?;
                self.tuned = tuned;
                self.outbox.tail().put_slice(&answer);
                self.phase = Phase::AwaitOpenOk;
            }
            (Phase::AwaitOpenOk, AMQPClass::Connection(OpenOk(_))) => self.open_channel(),
            (_, class) => {
                return Err(Violation::command(format!("{class:?} at the wrong moment")).into());
            }
        }
        Ok(())
    }

    fn open_channel(&mut self) {
        self.channel = self.channel % self.tuned.channel_max + 1;
        let open = channel::AMQPMethod::Open(channel::Open {});
        let open = handshake::method(self.channel, AMQPClass::Channel(open));
        self.outbox.tail().put_slice(&open);
        self.phase = Phase::AwaitChannel;
    }

    fn on_channel_method(&mut self, method: Method<'_>, now: Instant) -> Result<(), End> {
        if !matches!(self.incoming, Incoming::None) {
            return Err(Violation::unexpected("a method inside the content of a return").into());
        }
        let open = matches!(self.phase, Phase::Open);
        match method {
            Method::Ack { tag, multiple } if open => {
                let written = self.outbox.written();
                self.ledger.ack(tag, multiple, written, &mut self.events)?;
            }
            Method::Nack { tag, multiple } if open => {
                let written = self.outbox.written();
                self.ledger.nack(tag, multiple, written, &mut self.events)?;
            }
            Method::Return { code, text } if open => {
                self.incoming = Incoming::Header(returned::reason(code, &text));
            }
            Method::ChannelClose { code, text } => {
                self.on_channel_close(code, text.into_owned(), now);
            }
            Method::Other(class) => return self.on_channel_handshake(&class),
            _ => return Err(Violation::command("a method at the wrong moment").into()),
        }
        Ok(())
    }

    fn on_channel_handshake(&mut self, class: &AMQPClass) -> Result<(), End> {
        match (&self.phase, class) {
            (Phase::AwaitChannel, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_))) => {
                let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
                let select = handshake::method(self.channel, AMQPClass::Confirm(select));
                self.outbox.tail().put_slice(&select);
                self.phase = Phase::AwaitSelect;
            }
            (Phase::AwaitSelect, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))) => {
                self.phase = Phase::Open;
                self.phase_deadline = None;
                if !self.announced {
                    self.announced = true;
                    self.events.push(LaneEvent::Up);
                }
            }
            _ => return Err(Violation::command(format!("{class:?} at the wrong moment")).into()),
        }
        Ok(())
    }

    fn on_header(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let Incoming::Header(reason) = std::mem::replace(&mut self.incoming, Incoming::None) else {
            return Err(Violation::unexpected(
                "a content header that nothing announced",
            ));
        };
        let (id, body_size) = returned::read_header(payload)?;
        self.ledger.returned(id, reason, self.outbox.written())?;
        if body_size > 0 {
            self.incoming = Incoming::Body(body_size);
        }
        Ok(())
    }

    fn on_body(&mut self, bytes: usize) -> Result<(), Violation> {
        let Incoming::Body(left) = self.incoming else {
            return Err(Violation::unexpected("a body that nothing announced"));
        };
        self.incoming = match left.checked_sub(bytes as u64) {
            Some(0) => Incoming::None,
            Some(left) => Incoming::Body(left),
            None => return Err(Violation::frame("a body that is longer than announced")),
        };
        Ok(())
    }

    /// The broker closed the channel. Nothing more may be written on it but close-ok; a message that
    /// is half written is finished first, since the broker drops what follows its close anyway.
    fn on_channel_close(&mut self, code: u16, text: String, now: Instant) {
        self.closed_by_broker(&Close {
            scope: Scope::Channel,
            code,
            text,
        });
        let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
        let close_ok = handshake::method(self.channel, AMQPClass::Channel(close_ok));
        self.outbox.tail().put_slice(&close_ok);
        self.open_channel();
        self.phase_deadline = Some(now + self.settings.handshake_timeout);
    }

    fn on_connection_close(&mut self, code: u16, text: String) {
        let close = Close {
            scope: Scope::Connection,
            code,
            text,
        };
        self.closed_by_broker(&close);
        self.over(End::Closed(close));
        let close_ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
        let close_ok = handshake::method(0, AMQPClass::Connection(close_ok));
        self.outbox.tail().put_slice(&close_ok);
    }

    /// The broker cannot be understood, or does not offer what is needed: tell it and end.
    fn give_up(&mut self, end: End, now: Instant) {
        match &end {
            End::Violation(violation) if !matches!(self.phase, Phase::AwaitStart) => {
                let (code, text) = (violation.code, violation.text.clone());
                self.send_close(code, &text, end, now);
            }
            _ => self.lost(end),
        }
    }

    fn send_close(&mut self, code: u16, text: &str, end: End, now: Instant) {
        if matches!(self.phase, Phase::Closing(_)) {
            self.lost(end);
            return;
        }
        // The broker still takes a message that is finished before our close.
        let finished = self.cut();
        self.ledger.close(finished, None, &mut self.events);
        let close = connection::AMQPMethod::Close(connection::Close {
            reply_code: code,
            reply_text: ShortString::try_new(text).unwrap_or_else(|_| "see the log".into()),
            class_id: 0,
            method_id: 0,
        });
        let close = handshake::method(0, AMQPClass::Connection(close));
        self.outbox.tail().put_slice(&close);
        self.phase = Phase::Closing(end);
        self.phase_deadline = Some(now + CLOSE_TIMEOUT);
    }
}

#[cfg(test)]
mod tests;
