//! What comes in, frame by frame, and what it leads to.

use std::time::Instant;

use amq_protocol::protocol::{AMQPClass, channel, confirm, connection};
use amq_protocol::types::ShortString;
use bytes::BufMut as _;

use super::super::close::{Close, End, Scope};
use super::super::frame::{Frame, Kind, Violation};
use super::super::handshake;
use super::super::method::{self, Method};
use super::super::returned::{self, Incoming};
use super::{CLOSE_TIMEOUT, Connection, Phase};
use crate::broker::LaneEvent;
use crate::domain::{Reason, ReasonCode};

impl Connection {
    pub(super) fn on_frame(&mut self, frame: Frame<'_>, now: Instant) -> Result<(), End> {
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
    pub(super) fn give_up(&mut self, end: End, now: Instant) {
        match &end {
            End::Violation(violation) if !matches!(self.phase, Phase::AwaitStart) => {
                let (code, text) = (violation.code, violation.text.clone());
                self.send_close(code, &text, end, now);
            }
            _ => self.lost(end),
        }
    }

    pub(super) fn send_close(&mut self, code: u16, text: &str, end: End, now: Instant) {
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
