//! The server's side of the protocol, frame by frame: what to answer and what to tell the script.

use std::collections::BTreeMap;

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};

use super::wire::{self, FRAME_OVERHEAD_BYTES};
use super::{Client, Fault, PeerEvent, PeerSettings, Publish, Step};

/// What to do after a frame.
#[derive(Debug, Default)]
pub(super) struct Reaction {
    /// To be sent.
    pub answer: Vec<u8>,
    /// To be told to the script.
    pub events: Vec<PeerEvent>,
    /// The socket is to be dropped.
    pub cut: bool,
}

impl Reaction {
    fn answer(mut self, frame: AMQPFrame) -> Self {
        self.answer.extend(wire::encode(&[frame]));
        self
    }

    fn event(mut self, event: PeerEvent) -> Self {
        self.events.push(event);
        self
    }
}

#[derive(Debug, Default)]
struct Channel {
    confirms: bool,
    published: u64,
    closing: bool,
    ignored_publishes: usize,
    partial: Option<Partial>,
}

/// A message whose frames are still coming.
#[derive(Debug)]
struct Partial {
    publish: Publish,
    /// Known once the header has come.
    body_bytes: Option<usize>,
}

/// The state of the server's side.
#[derive(Debug)]
pub(super) struct Reader {
    settings: PeerSettings,
    client: Client,
    channels: BTreeMap<u16, Channel>,
    closing: bool,
    /// A fault has struck that leaves the server without an answer to anything.
    silent: bool,
}

impl Reader {
    pub(super) fn new(settings: PeerSettings) -> Self {
        Self {
            settings,
            client: Client::default(),
            channels: BTreeMap::new(),
            closing: false,
            silent: false,
        }
    }

    /// The largest frame that may be sent to the client.
    pub(super) fn frame_max(&self) -> usize {
        const NO_LIMIT: u32 = 1 << 30;
        let agreed = [self.client.frame_max, self.settings.frame_max, NO_LIMIT];
        let frame_max = agreed.into_iter().find(|frame_max| *frame_max != 0);
        usize::try_from(frame_max.unwrap_or(NO_LIMIT)).expect("usize has at least 32 bits")
    }

    /// The script is about to close a channel.
    pub(super) fn closing_channel(&mut self, id: u16) {
        self.channels.entry(id).or_default().closing = true;
    }

    /// The script is about to close the connection.
    pub(super) fn closing_connection(&mut self) {
        self.closing = true;
    }

    /// Takes one frame of `bytes` bytes. An error is what the client did wrong.
    pub(super) fn take(&mut self, frame: AMQPFrame, bytes: usize) -> Result<Reaction, String> {
        if bytes > self.frame_max() {
            let frame_max = self.frame_max();
            return Err(format!("a frame of {bytes} bytes, {frame_max} agreed on"));
        }
        if self.silent {
            return Ok(Reaction::default());
        }
        match frame {
            AMQPFrame::ProtocolHeader(_) => Ok(self.step(Step::ProtocolHeader, wire::start())),
            AMQPFrame::Heartbeat => Ok(Reaction::default()),
            AMQPFrame::InvalidHeartbeat(id) => Err(format!("a heartbeat on channel {id}")),
            AMQPFrame::Method(0, AMQPClass::Connection(method)) => self.on_connection(method),
            AMQPFrame::Method(id, AMQPClass::Channel(method)) => self.on_channel(id, method),
            // Until close-ok comes, all but the answer is thrown away.
            _ if self.closing => Ok(Reaction::default()),
            AMQPFrame::Method(id, AMQPClass::Confirm(confirm::AMQPMethod::Select(_))) => {
                self.open_channel(id)?.confirms = true;
                Ok(self
                    .step(Step::ConfirmSelect, wire::select_ok(id))
                    .event(PeerEvent::ConfirmSelected(id)))
            }
            AMQPFrame::Method(id, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))) => {
                self.on_publish(id, &publish)
            }
            AMQPFrame::Header(id, header) => {
                let body_bytes = usize::try_from(header.body_size).map_err(|e| e.to_string())?;
                self.on_content(id, |partial| {
                    if partial.body_bytes.replace(body_bytes).is_some() {
                        return Err("a second header".to_owned());
                    }
                    partial.publish.properties = header.properties;
                    Ok(())
                })
            }
            AMQPFrame::Body(id, part) => self.on_content(id, |partial| {
                partial.publish.body.extend(part);
                partial.publish.body_frames += 1;
                Ok(())
            }),
            other @ AMQPFrame::Method(..) => Err(format!("unexpected {other:?}")),
        }
    }

    /// The answer to a step of the handshake, or what the settings say instead.
    fn step(&mut self, step: Step, answer: AMQPFrame) -> Reaction {
        let mut reaction = Reaction::default();
        match self.settings.faults.get(&step) {
            None => return reaction.answer(answer),
            Some(Fault::Silence) => self.silent = true,
            Some(Fault::Cut) => reaction.cut = true,
            Some(Fault::CloseConnection { code, text }) => {
                self.closing = true;
                reaction = reaction.answer(wire::connection_close(*code, text));
            }
            Some(Fault::Bytes(bytes)) => reaction.answer.clone_from(bytes),
        }
        reaction
    }

    fn on_connection(&mut self, method: connection::AMQPMethod) -> Result<Reaction, String> {
        use connection::AMQPMethod as Method;
        match method {
            Method::StartOk(start_ok) => {
                self.client.mechanism = start_ok.mechanism.to_string();
                self.client.response = start_ok.response.as_bytes().to_vec();
                for (name, value) in start_ok.client_properties.inner() {
                    let named = (name.to_string(), value.clone());
                    self.client.properties.insert(named.0, named.1);
                }
                let settings = &self.settings;
                let tune = wire::tune(settings.channel_max, settings.frame_max, settings.heartbeat);
                Ok(self.step(Step::StartOk, tune))
            }
            Method::TuneOk(tune_ok) => {
                let (asked, offered) = (tune_ok.frame_max, self.settings.frame_max);
                if offered != 0 && (asked == 0 || asked > offered) {
                    return Err(format!("frame_max {asked}, {offered} offered"));
                }
                self.client.frame_max = asked;
                self.client.heartbeat = tune_ok.heartbeat;
                // There is nothing to answer, so only a fault has something to do here.
                if self.settings.faults.contains_key(&Step::TuneOk) {
                    return Ok(self.step(Step::TuneOk, AMQPFrame::Heartbeat));
                }
                Ok(Reaction::default())
            }
            Method::Open(open) => {
                self.client.vhost = open.virtual_host.to_string();
                let ok = wire::on_connection(Method::OpenOk(connection::OpenOk {}));
                let connected = PeerEvent::Connected(self.client.clone());
                Ok(self.step(Step::Open, ok).event(connected))
            }
            Method::Close(close) => {
                self.closing = true;
                let closed = PeerEvent::ClosedByClient {
                    code: close.reply_code,
                    text: close.reply_text.to_string(),
                };
                let ok = wire::on_connection(Method::CloseOk(connection::CloseOk {}));
                Ok(Reaction::default().answer(ok).event(closed))
            }
            Method::CloseOk(_) if self.closing => {
                Ok(Reaction::default().event(PeerEvent::ConnectionCloseOk))
            }
            other => Err(format!("unexpected {other:?}")),
        }
    }

    fn on_channel(&mut self, id: u16, method: channel::AMQPMethod) -> Result<Reaction, String> {
        use channel::AMQPMethod as Method;
        match method {
            _ if self.closing => Ok(Reaction::default()),
            Method::Open(_) => {
                if id == 0 || self.channels.contains_key(&id) {
                    return Err(format!("channel {id} cannot be opened"));
                }
                self.channels.insert(id, Channel::default());
                let ok = wire::on_channel(id, Method::OpenOk(channel::OpenOk {}));
                Ok(self
                    .step(Step::ChannelOpen, ok)
                    .event(PeerEvent::ChannelOpened(id)))
            }
            Method::Close(close) => {
                self.channels.remove(&id);
                let closed = PeerEvent::ChannelClosedByClient {
                    channel: id,
                    code: close.reply_code,
                };
                let ok = wire::on_channel(id, Method::CloseOk(channel::CloseOk {}));
                Ok(Reaction::default().answer(ok).event(closed))
            }
            Method::CloseOk(_) => match self.channels.remove(&id) {
                Some(channel) if channel.closing => {
                    Ok(Reaction::default().event(PeerEvent::ChannelCloseOk {
                        channel: id,
                        ignored_publishes: channel.ignored_publishes,
                    }))
                }
                _ => Err(format!("close-ok on channel {id}, which was not closed")),
            },
            other => Err(format!("unexpected {other:?}")),
        }
    }

    fn open_channel(&mut self, id: u16) -> Result<&mut Channel, String> {
        self.channels
            .get_mut(&id)
            .ok_or_else(|| format!("channel {id} is not open (a broker says 504)"))
    }

    fn on_publish(&mut self, id: u16, method: &basic::Publish) -> Result<Reaction, String> {
        let channel = self.open_channel(id)?;
        if channel.partial.is_some() {
            return Err("a publish within a message".to_owned());
        }
        if channel.closing {
            channel.ignored_publishes += 1;
        }
        channel.partial = Some(Partial {
            body_bytes: None,
            publish: Publish {
                tag: 0,
                channel: id,
                exchange: method.exchange.to_string(),
                routing_key: method.routing_key.to_string(),
                mandatory: method.mandatory,
                properties: basic::AMQPProperties::default(),
                body: Vec::new(),
                body_frames: 0,
            },
        });
        Ok(Reaction::default())
    }

    /// Puts a header or a part of a body to its message, and hands out the message once it is whole.
    fn on_content(
        &mut self,
        id: u16,
        put: impl FnOnce(&mut Partial) -> Result<(), String>,
    ) -> Result<Reaction, String> {
        let body_frame_max = self.frame_max() - FRAME_OVERHEAD_BYTES;
        let channel = self.open_channel(id)?;
        let mut partial = channel.partial.take().ok_or("content without publish")?;
        put(&mut partial)?;
        let expected = partial.body_bytes.ok_or("a body before its header")?;
        let got = partial.publish.body.len();
        if got > expected {
            return Err(format!("a body of {got} bytes, {expected} announced"));
        }
        if got < expected {
            channel.partial = Some(partial);
            return Ok(Reaction::default());
        }
        if partial.publish.body_frames > expected.div_ceil(body_frame_max) {
            return Err("more body frames than needed".to_owned());
        }
        if channel.closing {
            return Ok(Reaction::default());
        }
        if channel.confirms {
            channel.published += 1;
            partial.publish.tag = channel.published;
        }
        Ok(Reaction::default().event(PeerEvent::Published(Box::new(partial.publish))))
    }
}
