//! What can go wrong, as programs are told it.
//!
//! There is no code for "internal error": whatever goes wrong behind the edge is one of the 503s, and only
//! [`Code::OutcomeUnknown`] leaves open what became of a message.

use axum::http::StatusCode;

/// What went wrong. The words are stable; callers must ignore those that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is not HTTP, or its framing can be read in two ways.
    MalformedRequest,
    /// The body is not one JSON object.
    MalformedJson,
    /// The body ended early or broke off.
    IncompleteBody,
    /// A query parameter is not known, repeated or faulty; each is named.
    InvalidQuery,
    /// The cursor is none that a list has given.
    InvalidCursor,
    /// The header `Last-Event-ID` is no id that an event can have.
    InvalidEventId,
    /// There is no key, or it is nobody's.
    Unauthorized,
    /// The caller may not do this, whatever it would be done to.
    Forbidden,
    /// The `Host` is not one that this gateway answers to.
    HostNotAllowed,
    /// A browser sent it from another site.
    CrossSiteRequest,
    /// There is nothing here.
    NotFound,
    /// This path knows other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The message is with the broker, and cannot be cancelled meanwhile.
    MessageInFlight,
    /// The caller has as many webhooks as it may have.
    TooManyWebhooks,
    /// The message has ended, and not by being cancelled.
    NotCancellable,
    /// The message is neither returned nor failed, or it was cancelled.
    NotReplayable,
    /// The message is older than the history that is kept.
    HistoryExpired,
    /// The message is kept and its payload is not.
    PayloadNotKept,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// There are more items in it than allowed.
    TooManyItems,
    /// The target of the request is longer than allowed.
    UriTooLong,
    /// The head of the request is larger than allowed.
    HeadTooLarge,
    /// The body is of a type or encoding that is not taken here.
    UnsupportedMediaType,
    /// Some fields of a message are faulty; each is named.
    InvalidMessage,
    /// Something else in the request is faulty; each fault is named.
    InvalidRequest,
    /// Another message was accepted with the same idempotency key.
    IdempotencyKeyReused,
    /// The caller does more in a time than it may.
    RateLimited,
    /// The budget for pending messages is used up.
    StoreFull,
    /// Too much is being received, or too many streams are open, at the same time.
    Overloaded,
    /// The store does not answer.
    StoreUnavailable,
    /// The process is about to end.
    Stopping,
    /// Whether the message was accepted is not known.
    OutcomeUnknown,
}

impl Code {
    /// Every code, for the documents.
    pub const ALL: [Self; 33] = [
        Self::MalformedRequest,
        Self::MalformedJson,
        Self::IncompleteBody,
        Self::InvalidQuery,
        Self::InvalidCursor,
        Self::InvalidEventId,
        Self::Unauthorized,
        Self::Forbidden,
        Self::HostNotAllowed,
        Self::CrossSiteRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::MessageInFlight,
        Self::TooManyWebhooks,
        Self::NotCancellable,
        Self::NotReplayable,
        Self::HistoryExpired,
        Self::PayloadNotKept,
        Self::BodyTooLarge,
        Self::TooManyItems,
        Self::UriTooLong,
        Self::HeadTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidMessage,
        Self::InvalidRequest,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::StoreFull,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::Stopping,
        Self::OutcomeUnknown,
    ];

    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::MalformedJson => "malformed_json",
            Self::IncompleteBody => "incomplete_body",
            Self::InvalidQuery => "invalid_query",
            Self::InvalidCursor => "invalid_cursor",
            Self::InvalidEventId => "invalid_event_id",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::HostNotAllowed => "host_not_allowed",
            Self::CrossSiteRequest => "cross_site_request",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::MessageInFlight => "message_in_flight",
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::NotCancellable => "not_cancellable",
            Self::NotReplayable => "not_replayable",
            Self::HistoryExpired => "history_expired",
            Self::PayloadNotKept => "payload_not_kept",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyItems => "too_many_items",
            Self::UriTooLong => "uri_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidMessage => "invalid_message",
            Self::InvalidRequest => "invalid_request",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::RateLimited => "rate_limited",
            Self::StoreFull => "store_full",
            Self::Overloaded => "overloaded",
            Self::StoreUnavailable => "store_unavailable",
            Self::Stopping => "stopping",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest
            | Self::MalformedJson
            | Self::IncompleteBody
            | Self::InvalidQuery
            | Self::InvalidCursor
            | Self::InvalidEventId => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::HostNotAllowed | Self::CrossSiteRequest => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MessageInFlight
            | Self::TooManyWebhooks
            | Self::NotCancellable
            | Self::NotReplayable => StatusCode::CONFLICT,
            Self::HistoryExpired | Self::PayloadNotKept => StatusCode::GONE,
            Self::BodyTooLarge | Self::TooManyItems => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidMessage | Self::InvalidRequest | Self::IdempotencyKeyReused => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::StoreFull
            | Self::Overloaded
            | Self::StoreUnavailable
            | Self::Stopping
            | Self::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One line for people, the same for every occurrence.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "The request is not proper HTTP",
            Self::MalformedJson => "The body is not the JSON that is expected",
            Self::IncompleteBody => "The body broke off",
            Self::InvalidQuery => "The query has faulty parameters",
            Self::InvalidCursor => "No list has given this cursor",
            Self::InvalidEventId => "No event has this id",
            Self::Unauthorized => "A valid key is required",
            Self::Forbidden => "The caller may not do this",
            Self::HostNotAllowed => "Only loopback hosts are served",
            Self::CrossSiteRequest => "Requests from other sites are refused",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::MessageInFlight => "The message is in flight",
            Self::TooManyWebhooks => "No more webhooks for this caller",
            Self::NotCancellable => "The message has ended already",
            Self::NotReplayable => "The message cannot be sent again",
            Self::HistoryExpired => "Older than the history that is kept",
            Self::PayloadNotKept => "The payload is no longer kept",
            Self::BodyTooLarge => "The body is too large",
            Self::TooManyItems => "Too many items in one request",
            Self::UriTooLong => "The target of the request is too long",
            Self::HeadTooLarge => "The head of the request is too large",
            Self::UnsupportedMediaType => "Unsupported media type or encoding",
            Self::InvalidMessage => "The message has faulty fields",
            Self::InvalidRequest => "The request has faults",
            Self::IdempotencyKeyReused => "The idempotency key stands for another message",
            Self::RateLimited => "Over the caller's rate",
            Self::StoreFull => "No room for more pending messages",
            Self::Overloaded => "Too much at the same time",
            Self::StoreUnavailable => "The store does not answer",
            Self::Stopping => "The gateway is stopping",
            Self::OutcomeUnknown => "Whether the request was carried out is not known",
        }
    }

    /// Whether the same request can succeed later.
    #[must_use]
    pub fn retryable(self) -> bool {
        self.retry_after_seconds().is_some()
            || matches!(self, Self::RequestTimeout | Self::MessageInFlight)
    }

    /// What `Retry-After` says, for every code of the 503s and 429s unless it is known better.
    #[must_use]
    pub fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::StoreFull | Self::Stopping => Some(5),
            Self::RateLimited
            | Self::Overloaded
            | Self::StoreUnavailable
            | Self::OutcomeUnknown => Some(1),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_503_and_429_says_when_to_come_back_and_nothing_is_a_500() {
        for code in Code::ALL {
            let unavailable = code.status() == StatusCode::SERVICE_UNAVAILABLE;
            let limited = code.status() == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(
                code.retry_after_seconds().is_some(),
                unavailable || limited,
                "{code:?}"
            );
            assert!(unavailable || code.status().is_client_error(), "{code:?}");
        }
    }

    #[test]
    fn codes_are_snake_case_and_differ() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let snake = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(words.iter().all(snake));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
    }
}
