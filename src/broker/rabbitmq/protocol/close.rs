//! Why a channel or connection ended, and whom the broker may have meant.

use crate::domain::{Message, Reason, ReasonCode};

/// What was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The confirm channel; the connection goes on.
    Channel,
    /// The connection.
    Connection,
}

/// A close that the broker sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// What was closed.
    pub scope: Scope,
    /// The AMQP reply code.
    pub code: u16,
    /// The broker's words. RabbitMQ 3.10 cuts them after 252 bytes.
    pub text: String,
}

/// The beginning of RabbitMQ's complaint about the size of a message.
const TOO_LARGE: &str = "PRECONDITION_FAILED - message size ";

impl Close {
    /// Whether a message can be the cause. An operator's or the node's own doing (320, 402, 403 and
    /// 530 on a connection) is nobody's fault.
    #[must_use]
    pub fn may_blame_a_message(&self) -> bool {
        match self.scope {
            Scope::Channel => true,
            Scope::Connection => matches!(self.code, 501..=506 | 540 | 541),
        }
    }

    /// Whether it would be the same the next time: 506 and 541 may be a passing fault of the node.
    #[must_use]
    pub fn is_about_the_message(&self) -> bool {
        self.may_blame_a_message() && !matches!(self.code, 320 | 506 | 541)
    }

    /// As a reason for callers, in the broker's words.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let (code, detail) = match (self.scope, self.code) {
            (Scope::Channel, 404) => (ReasonCode::ExchangeNotFound, "the exchange does not exist"),
            (Scope::Channel, 403) => (
                ReasonCode::AccessRefused,
                "the broker does not let the gateway publish this",
            ),
            (Scope::Channel, 406) if self.text.starts_with(TOO_LARGE) => (
                ReasonCode::MessageTooLarge,
                "the message is over the broker's limit",
            ),
            (Scope::Channel, 406) => (
                ReasonCode::PreconditionFailed,
                "the broker refused a property of the message",
            ),
            (Scope::Channel, _) => (ReasonCode::BrokerError, "the broker closed the channel"),
            (Scope::Connection, _) => (ReasonCode::BrokerError, "the broker closed the connection"),
        };
        Reason::told(code, self.code, &*self.text, detail)
    }

    /// Those of `candidates` that the broker's words fit. When they fit none, or say nothing that
    /// could be compared, all of them.
    #[must_use]
    pub fn suspects<'a>(&self, candidates: &[&'a Message]) -> Vec<&'a Message> {
        let clues: [&dyn Fn(&Message) -> bool; 3] = [
            &|message| self.names_exchange(&message.draft.exchange),
            &|message| self.names_size(message.draft.payload.len()),
            &|message| self.text.contains("user_id") && message.draft.properties.user_id.is_some(),
        ];
        for clue in clues {
            let fitting: Vec<_> = candidates.iter().copied().filter(|one| clue(one)).collect();
            if !fitting.is_empty() {
                return fitting;
            }
        }
        candidates.to_vec()
    }

    /// RabbitMQ says `… exchange 'NAME' in vhost …`; a long name may be cut, even inside a character.
    fn names_exchange(&self, exchange: &str) -> bool {
        const BEFORE: &str = "exchange '";
        const AFTER: &str = "' in vhost '";
        let named = if exchange.is_empty() {
            "amq.default"
        } else {
            exchange
        };
        self.text.match_indices(BEFORE).any(|(at, _)| {
            let rest = &self.text[at + BEFORE.len()..];
            if let Some(after) = rest.strip_prefix(named) {
                return after.starts_with(AFTER) || AFTER.starts_with(after);
            }
            let cut = rest.trim_end_matches(['\u{fffd}', '.']);
            cut.len() > 100 && named.starts_with(cut)
        })
    }

    fn names_size(&self, bytes: usize) -> bool {
        let Some(rest) = self.text.strip_prefix(TOO_LARGE) else {
            return false;
        };
        rest.split(' ')
            .next()
            .and_then(|digits| digits.parse().ok())
            == Some(bytes)
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The broker closed it.
    #[error("the broker closed the connection: {} {}", .0.code, .0.text)]
    Closed(Close),
    /// There was no connection at all.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// The socket ended or failed.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The broker broke the protocol.
    #[error("{0}")]
    Violation(#[from] super::frame::Violation),
    /// Nothing was heard for two heartbeats.
    #[error("the broker has been silent for two heartbeats")]
    Silent,
    /// Something was in flight, and nothing was confirmed in time.
    #[error("the broker did not confirm in time")]
    Unanswered,
    /// Among others, something in flight got no answer for too long.
    #[error("some destination is not served, and a fresh connection is made")]
    Stalled,
    /// The handshake took too long.
    #[error("the broker did not finish the handshake in time")]
    HandshakeTimeout,
    /// The broker does not offer what is needed.
    #[error("{0}")]
    Unsupported(String),
    /// It was closed on purpose.
    #[error("the connection was closed on purpose")]
    Stopped,
}

impl End {
    /// Whether to connect again at once would only meet the same refusal (wrong credentials or
    /// virtual host).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Closed(close) => matches!(close.code, 403 | 530),
            Self::Unsupported(_) => true,
            _ => false,
        }
    }

    /// Whether a message, rather than the broker or the network, can have ended it.
    #[must_use]
    pub fn is_by_a_message(&self) -> bool {
        matches!(self, Self::Closed(close) if close.may_blame_a_message())
    }

    /// Whether the connection was well, and only what was in flight was not answered: the next one
    /// can be made at once.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unanswered | Self::Stalled)
    }

    /// As a reason for callers, without an address.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Closed(close) => Reason::told(
                ReasonCode::BrokerUnavailable,
                close.code,
                &*close.text,
                match close.code {
                    403 => "the broker refused the login",
                    530 => "the broker refused the virtual host",
                    _ => "the broker closed the connection",
                },
            ),
            _ => Reason::own(ReasonCode::BrokerUnavailable, self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Draft, MessageId, Properties, RowId, WallTime};

    fn message(row: u64, exchange: &str, size: usize, user_id: Option<&str>) -> Message {
        Message {
            id: MessageId::from_parts(RowId::from_stored(row), 0),
            accepted_at: WallTime::default(),
            draft: Draft {
                caller: crate::domain::Caller::default(),
                exchange: exchange.into(),
                routing_key: "k".into(),
                mandatory: true,
                ordering_key: None,
                properties: Properties {
                    user_id: user_id.map(Into::into),
                    ..Properties::default()
                },
                payload: vec![0; size].into(),
                terms: None,
            },
        }
    }

    fn suspected(text: &str, messages: &[Message]) -> Vec<u64> {
        let close = Close {
            scope: Scope::Channel,
            code: 404,
            text: text.into(),
        };
        let all: Vec<_> = messages.iter().collect();
        close
            .suspects(&all)
            .iter()
            .map(|message| message.id.row().get())
            .collect()
    }

    #[test]
    fn the_exchange_that_the_broker_names_is_suspected() {
        let messages = [
            message(1, "a", 0, None),
            message(2, "a'b", 0, None),
            message(3, "", 0, None),
        ];
        let not_found = |name: &str| format!("NOT_FOUND - no exchange '{name}' in vhost '/'");
        assert_eq!(suspected(&not_found("a"), &messages), [1]);
        assert_eq!(suspected(&not_found("a'b"), &messages), [2]);
        let refused = "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused";
        assert_eq!(suspected(refused, &messages), [3]);
    }

    #[test]
    fn a_name_that_was_cut_is_recognised_by_its_beginning() {
        let long = "ä".repeat(127);
        let messages = [message(1, "a", 0, None), message(2, &long, 0, None)];
        let mut cut = format!("NOT_FOUND - no exchange '{long}' in vhost '/'").into_bytes();
        cut.truncate(252);
        assert_eq!(suspected(&String::from_utf8_lossy(&cut), &messages), [2]);
    }

    #[test]
    fn the_size_and_the_user_that_the_broker_names_are_clues() {
        let messages = [
            message(1, "a", 10, None),
            message(2, "b", 20, None),
            message(3, "c", 10, Some("x")),
        ];
        let size = "PRECONDITION_FAILED - message size 20 is larger than configured max size 15";
        assert_eq!(suspected(size, &messages), [2]);
        let user = "PRECONDITION_FAILED - user_id property set to 'x' but authenticated user was";
        assert_eq!(suspected(user, &messages), [3]);
    }

    #[test]
    fn words_that_fit_nobody_make_everybody_a_suspect() {
        let messages = [message(1, "a", 0, None), message(2, "b", 0, None)];
        assert_eq!(
            suspected("NOT_FOUND - no exchange 'other' in vhost '/'", &messages),
            [1, 2]
        );
        assert_eq!(suspected("", &messages), [1, 2]);
    }
}
