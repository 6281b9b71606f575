//! The words for what became of a message, as callers see them.

/// Where a message stands; exactly one at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Stored, no final outcome yet.
    Pending,
    /// The broker acknowledged it and did not return it.
    Confirmed,
    /// Published `mandatory`, and the broker could not route it.
    Returned,
    /// The gateway has stopped trying.
    Failed,
}

impl Status {
    /// Whether the status is an outcome: it no longer changes by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }

    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Returned => "returned",
            Self::Failed => "failed",
        }
    }
}

/// Why a message is where it is. Callers must ignore codes that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// No queue matched (`basic.return`).
    NoRoute,
    /// The broker refused it with `basic.nack`.
    Nacked,
    /// Closed with 404.
    ExchangeNotFound,
    /// Closed with 403.
    AccessRefused,
    /// Closed with 406.
    PreconditionFailed,
    /// Over the broker's limit for messages or frames.
    MessageTooLarge,
    /// A hand-over was cut off; its outcome is not known.
    ConnectionLost,
    /// No broker can be reached.
    BrokerUnavailable,
    /// The broker takes no messages at present (memory or disk alarm).
    BrokerBlocked,
    /// The broker closed the connection because of this message.
    BrokerError,
    /// It was not settled within the time that its caller gave it.
    Expired,
    /// Its caller cancelled it.
    Cancelled,
}

impl ReasonCode {
    /// Every code, for the documents.
    pub const ALL: [Self; 12] = [
        Self::NoRoute,
        Self::Nacked,
        Self::ExchangeNotFound,
        Self::AccessRefused,
        Self::PreconditionFailed,
        Self::MessageTooLarge,
        Self::ConnectionLost,
        Self::BrokerUnavailable,
        Self::BrokerBlocked,
        Self::BrokerError,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Nacked => "nacked",
            Self::ExchangeNotFound => "exchange_not_found",
            Self::AccessRefused => "access_refused",
            Self::PreconditionFailed => "precondition_failed",
            Self::MessageTooLarge => "message_too_large",
            Self::ConnectionLost => "connection_lost",
            Self::BrokerUnavailable => "broker_unavailable",
            Self::BrokerBlocked => "broker_blocked",
            Self::BrokerError => "broker_error",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A code with the broker's own words, where it said any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What happened.
    pub code: ReasonCode,
    /// The AMQP reply code, where the broker gave one (312, 404, …).
    pub reply_code: Option<u16>,
    /// The broker's words, as it sent them.
    pub reply_text: Option<Box<str>>,
    /// One sentence for people.
    pub detail: Box<str>,
}

impl Reason {
    /// A reason for which the broker said nothing.
    #[must_use]
    pub fn own(code: ReasonCode, detail: impl Into<Box<str>>) -> Self {
        Self {
            code,
            reply_code: None,
            reply_text: None,
            detail: detail.into(),
        }
    }

    /// A reason in the broker's words.
    #[must_use]
    pub fn told(
        code: ReasonCode,
        reply_code: u16,
        reply_text: impl Into<Box<str>>,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self {
            code,
            reply_code: Some(reply_code),
            reply_text: Some(reply_text.into()),
            detail: detail.into(),
        }
    }
}
