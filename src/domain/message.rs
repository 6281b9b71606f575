//! What a caller hands over, and what the gateway makes of it.

use bytes::Bytes;

use super::caller::Caller;
use super::headers::{self, Table};
use super::id::MessageId;
use super::terms::{Due, Terms};
use super::time::WallTime;

/// Whether the broker keeps the message on disk (`delivery_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// 1
    Transient,
    /// 2, the default of this gateway.
    #[default]
    Persistent,
}

impl DeliveryMode {
    /// The octet on the wire.
    #[must_use]
    pub fn octet(self) -> u8 {
        match self {
            Self::Transient => 1,
            Self::Persistent => 2,
        }
    }
}

/// The AMQP basic properties by their standard names. Strings hold at most 255 bytes once they have
/// passed [`super::Rules`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// MIME content type.
    pub content_type: Option<Box<str>>,
    /// MIME content encoding.
    pub content_encoding: Option<Box<str>>,
    /// The caller's own headers, without the gateway's.
    pub headers: Table,
    /// Transient or persistent.
    pub delivery_mode: DeliveryMode,
    /// 0 to 255; queues use as many as they were declared with.
    pub priority: Option<u8>,
    /// Application correlation identifier.
    pub correlation_id: Option<Box<str>>,
    /// Address to reply to.
    pub reply_to: Option<Box<str>>,
    /// Milliseconds after which a queue drops the message, in digits.
    pub expiration: Option<Box<str>>,
    /// The caller's own; without one, the message's id is sent.
    pub message_id: Option<Box<str>>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Message type name (`type`).
    pub kind: Option<Box<str>>,
    /// Must be the user of the connection.
    pub user_id: Option<Box<str>>,
    /// Application identifier.
    pub app_id: Option<Box<str>>,
}

/// A message as its caller describes it, before the gateway takes it over.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Who hands it over.
    pub caller: Caller,
    /// `""` is the default exchange.
    pub exchange: Box<str>,
    /// At most 255 bytes.
    pub routing_key: Box<str>,
    /// Whether the broker shall return what it cannot route.
    pub mandatory: bool,
    /// What to keep in order with; the routing key when there is none.
    pub ordering_key: Option<Box<str>>,
    /// Everything that travels in the content header.
    pub properties: Properties,
    /// The bytes that consumers get.
    pub payload: Bytes,
    /// What most messages do without; boxed, so that those do not pay for it.
    pub terms: Option<Box<Terms>>,
}

impl Draft {
    /// The caller's label, if it gave one.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.terms.as_ref()?.group.as_deref()
    }
}

/// A message that the gateway has taken over. It never changes; what happens to it is kept apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its one id.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted_at: WallTime,
    /// What the caller handed over.
    pub draft: Draft,
}

impl Message {
    /// When it is due; `None` is at once.
    #[must_use]
    pub fn due(&self) -> Option<Due> {
        self.draft.terms.as_ref()?.due(self.accepted_at)
    }

    /// When its first life begins: when it is due, or at once.
    #[must_use]
    pub fn starts_at(&self) -> WallTime {
        self.due()
            .map_or(self.accepted_at, |due| due.at.max(self.accepted_at))
    }

    /// When it is not tried any more, for a life that began at `from` (acceptance, due time, replay).
    #[must_use]
    pub fn give_up_at(&self, from: WallTime) -> Option<WallTime> {
        let after_ms = self.draft.terms.as_ref()?.give_up_after_ms?;
        Some(from.plus_ms(after_ms))
    }

    /// Bytes that this message is accounted with in the budgets for memory: its content and a round
    /// figure for what is kept beside it.
    #[must_use]
    pub fn footprint_bytes(&self) -> usize {
        const BESIDE_BYTES: usize = 512;
        let draft = &self.draft;
        let headers = &draft.properties.headers;
        // A header costs more in memory than on the wire: a slot in the table for each value.
        let headers = if headers.is_empty() {
            0
        } else {
            4 * headers::encoded_len(headers)
        };
        BESIDE_BYTES
            + draft.payload.len()
            + draft.exchange.len()
            + draft.routing_key.len()
            + draft.ordering_key.as_deref().map_or(0, str::len)
            + headers
            + (draft.terms.as_ref()).map_or(0, |terms| size_of::<Terms>() + terms.text_bytes())
    }
}
