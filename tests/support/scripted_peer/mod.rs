//! An AMQP 0-9-1 server that says what the test tells it to, when the test tells it.
//!
//! It does on its own what every client needs: the handshake, opening of channels, confirm.select,
//! and the answers to closes. All else, above all acks, nacks and returns, comes from the script.
//! A frame that no server would take is reported as [`PeerEvent::Broken`].

mod connection;
mod reader;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::AMQPValue;
use tokio::net::TcpListener;

pub use connection::PeerConnection;

use super::wait::{self, SOON};

/// What the server offers, and where its handshake goes wrong.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// The largest frame that the server takes.
    pub frame_max: u32,
    /// The number of channels that the server takes.
    pub channel_max: u16,
    /// Seconds; 0 is none.
    pub heartbeat: u16,
    /// What the server does instead of its part of a step of the handshake.
    pub faults: BTreeMap<Step, Fault>,
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: 0,
            faults: BTreeMap::new(),
        }
    }
}

impl PeerSettings {
    /// With a fault at a step.
    #[must_use]
    pub fn with_fault(mut self, step: Step, fault: Fault) -> Self {
        self.faults.insert(step, fault);
        self
    }
}

/// What the server has just been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// `AMQP 0 0 9 1`; the answer would be Start.
    ProtocolHeader,
    /// The answer would be Tune.
    StartOk,
    /// There would be no answer.
    TuneOk,
    /// The answer would be Open-Ok.
    Open,
    /// The answer would be channel Open-Ok.
    ChannelOpen,
    /// The answer would be Select-Ok.
    ConfirmSelect,
}

/// What the server does instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing, for ever.
    Silence,
    /// Ends the connection.
    Cut,
    /// `connection.close`.
    CloseConnection {
        /// As 403 or 530.
        code: u16,
        /// As `ACCESS_REFUSED - …`.
        text: String,
    },
    /// Sends these bytes.
    Bytes(Vec<u8>),
}

/// Who connected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// As `PLAIN`.
    pub mechanism: String,
    /// The answer to the mechanism, as `\0guest\0guest`.
    pub response: Vec<u8>,
    /// `connection_name` and the like.
    pub properties: BTreeMap<String, AMQPValue>,
    /// The vhost that was opened.
    pub vhost: String,
    /// What was agreed on.
    pub frame_max: u32,
    /// What was agreed on.
    pub heartbeat: u16,
}

/// What a client did.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    /// The handshake is complete.
    Connected(Client),
    /// A channel was opened.
    ChannelOpened(u16),
    /// Publishes on the channel are counted from here.
    ConfirmSelected(u16),
    /// A whole message.
    Published(Box<Publish>),
    /// The channel that the script closed is closed.
    ChannelCloseOk {
        /// Which one.
        channel: u16,
        /// Publishes that came between close and close-ok, which a server throws away.
        ignored_publishes: usize,
    },
    /// The connection that the script closed is closed.
    ConnectionCloseOk,
    /// The client closed a channel.
    ChannelClosedByClient {
        /// Which one.
        channel: u16,
        /// Its reply code.
        code: u16,
    },
    /// The client closed the connection.
    ClosedByClient {
        /// Its reply code.
        code: u16,
        /// Its reply text.
        text: String,
    },
    /// The socket has ended.
    Ended,
    /// The client broke the protocol; nothing is read any more.
    Broken(String),
}

/// A message as the server got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The delivery tag, from 1 for each channel; 0 without confirms.
    pub tag: u64,
    /// The channel.
    pub channel: u16,
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Whether it asks for a return.
    pub mandatory: bool,
    /// All properties, headers among them.
    pub properties: AMQPProperties,
    /// The body, put together.
    pub body: Vec<u8>,
    /// How many body frames it came in.
    pub body_frames: usize,
}

impl Publish {
    /// The value of a header that is text.
    pub fn header_text(&self, name: &str) -> Option<String> {
        match self.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => {
                Some(String::from_utf8_lossy(text.as_bytes()).into_owned())
            }
            _ => None,
        }
    }

    /// The gateway's id of the message.
    pub fn amqpost_id(&self) -> Option<String> {
        self.header_text("x-amqpost-id")
    }

    /// Whether it says that it may have been published before.
    pub fn duplicate_possible(&self) -> bool {
        let headers = self.properties.headers().as_ref();
        headers.and_then(|table| table.inner().get("x-amqpost-duplicate-possible"))
            == Some(&AMQPValue::Boolean(true))
    }
}

/// Listens for clients.
#[derive(Debug)]
pub struct ScriptedPeer {
    listener: TcpListener,
    address: SocketAddr,
    settings: PeerSettings,
}

impl ScriptedPeer {
    /// Listens on a port of 127.0.0.1.
    pub async fn listen() -> Self {
        Self::listen_with(PeerSettings::default()).await
    }

    /// As [`ScriptedPeer::listen`], with other settings.
    pub async fn listen_with(settings: PeerSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("it is bound");
        Self {
            listener,
            address,
            settings,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL, with heartbeats as the settings say.
    pub fn url(&self) -> String {
        let heartbeat = self.settings.heartbeat;
        format!(
            "amqp://guest:guest@{}/%2f?heartbeat={heartbeat}",
            self.address
        )
    }

    /// Changes the settings for the clients that are accepted from now on.
    pub fn set(&mut self, settings: PeerSettings) {
        self.settings = settings;
    }

    /// Takes the next client's socket. Its handshake runs on its own from here; as many clients as
    /// the test wants can be connected at a time.
    pub async fn accept(&self) -> PeerConnection {
        self.accept_within(SOON).await
    }

    /// As [`ScriptedPeer::accept`], with a limit.
    pub async fn accept_within(&self, limit: Duration) -> PeerConnection {
        let (socket, _) = wait::within("a client connects", limit, self.listener.accept())
            .await
            .expect("a listener that is bound accepts");
        PeerConnection::start(socket, self.settings.clone())
    }

    /// As [`ScriptedPeer::accept`], and waits until the client's first channel is in confirm mode.
    pub async fn accept_publisher(&self) -> PeerConnection {
        let mut connection = self.accept().await;
        connection.expect_confirm_channel().await;
        connection
    }
}
