//! From the protocol header to an open connection: what to answer, and what is agreed on.

use amq_protocol::frame::{AMQPFrame, ProtocolVersion, gen_frame};
use amq_protocol::protocol::{AMQPClass, connection};
use amq_protocol::types::{AMQPValue, FieldTable, LongString, ShortString};
use std::time::Duration;

use super::close::End;
use super::frame::Violation;

/// Bytes of a frame at most, whatever the broker offers: RabbitMQ's own default.
const FRAME_BYTES_MAX: u32 = 131_072;
/// AMQP 0-9-1, 4.2.3: both sides must take frames of this size.
pub const FRAME_BYTES_MIN: u32 = 4096;

/// How to log in.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// User and password.
    Plain {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// The client certificate speaks.
    External,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain { user, .. } => write!(f, "Plain({user})"),
            Self::External => f.write_str("External"),
        }
    }
}

/// What one connection is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to log in.
    pub credentials: Credentials,
    /// The virtual host.
    pub vhost: String,
    /// Shown to operators of the broker.
    pub connection_name: String,
    /// Bytes of a frame at most; the broker may want less.
    pub frame_bytes_max: Option<u32>,
    /// The interval of the heartbeats; none when zero.
    pub heartbeat: Duration,
    /// The time that the handshake may take.
    pub handshake_timeout: Duration,
    /// Messages in flight at most.
    pub window_messages: usize,
    /// Bytes in flight at most; a larger message goes alone.
    pub window_bytes: usize,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuned {
    /// Bytes of a frame at most.
    pub frame_bytes_max: usize,
    /// The highest channel number.
    pub channel_max: u16,
}

/// The bytes that open the conversation.
#[must_use]
pub fn protocol_header() -> Vec<u8> {
    bytes_of(&AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1()))
}

/// The answer to `connection.start`.
///
/// # Errors
/// [`End::Unsupported`] when the broker does not offer the mechanism.
pub fn start_ok(settings: &Settings, start: &connection::Start) -> Result<Vec<u8>, End> {
    let (mechanism, response) = match &settings.credentials {
        Credentials::Plain { user, password } => ("PLAIN", format!("\0{user}\0{password}")),
        Credentials::External => ("EXTERNAL", String::new()),
    };
    let offered = String::from_utf8_lossy(start.mechanisms.as_bytes()).into_owned();
    if !offered.split(' ').any(|one| one == mechanism) {
        let text = format!("the broker offers the mechanisms {offered:?}, and not {mechanism}");
        return Err(End::Unsupported(text));
    }
    let start_ok = connection::StartOk {
        client_properties: client_properties(&settings.connection_name),
        mechanism: mechanism.into(),
        response: response.into(),
        locale: "en_US".into(),
    };
    Ok(method(
        0,
        AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok)),
    ))
}

fn client_properties(connection_name: &str) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let mut capabilities = FieldTable::default();
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "connection.blocked",
        "authentication_failure_close",
    ] {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert("product".into(), text("amqpost"));
    properties.insert("version".into(), text(env!("CARGO_PKG_VERSION")));
    properties.insert("platform".into(), text("Rust"));
    properties.insert("connection_name".into(), text(connection_name));
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

/// The answers to `connection.tune`: what is agreed on, and the opening of the virtual host.
///
/// # Errors
/// [`End`] when the broker wants the impossible.
pub fn tune_ok(settings: &Settings, tune: &connection::Tune) -> Result<(Tuned, Vec<u8>), End> {
    // Zero means that the broker has no limit of its own.
    let bounded = |offered: u32, max: u32| if offered == 0 { max } else { offered.min(max) };
    let wanted = settings.frame_bytes_max.map_or(FRAME_BYTES_MAX, |wanted| {
        wanted.clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX)
    });
    let frame_max = bounded(tune.frame_max, wanted);
    if frame_max < FRAME_BYTES_MIN {
        return Err(Violation::syntax("a frame_max below what AMQP requires").into());
    }
    let channel_max = if tune.channel_max == 0 {
        u16::MAX
    } else {
        tune.channel_max
    };
    let heartbeat = u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX);
    let tune_ok = connection::TuneOk {
        channel_max,
        frame_max,
        heartbeat,
    };
    let vhost = ShortString::try_new(settings.vhost.as_str())
        .map_err(|_| End::Unsupported("the virtual host is longer than 255 bytes".into()))?;
    let open = connection::Open {
        virtual_host: vhost,
    };
    let mut answer = method(
        0,
        AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)),
    );
    answer.extend(method(
        0,
        AMQPClass::Connection(connection::AMQPMethod::Open(open)),
    ));
    Ok((
        Tuned {
            frame_bytes_max: frame_max as usize,
            channel_max,
        },
        answer,
    ))
}

/// A whole method frame.
#[must_use]
pub fn method(channel: u16, class: AMQPClass) -> Vec<u8> {
    bytes_of(&AMQPFrame::Method(channel, class))
}

fn bytes_of(frame: &AMQPFrame) -> Vec<u8> {
    // Writing into memory cannot fail, and short strings were checked when they were made.
    gen_frame(frame)(Vec::with_capacity(256).into())
        .map(|context| context.into_inner().0)
        .unwrap_or_default()
}
