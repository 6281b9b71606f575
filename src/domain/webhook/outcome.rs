//! How a try ended, and what that means for its delivery.

use std::time::Duration;

/// Why a try got no answer, and `HttpStatus` for answers that are refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The name was not resolved.
    Dns,
    /// The URL, or an address that its name resolved to, is not one to send to.
    AddressRefused,
    /// No connection was made.
    Connect,
    /// The TLS handshake failed, the certificate included.
    Tls,
    /// The time for the try ran out.
    Timeout,
    /// An answer came, and it was not 2xx.
    HttpStatus,
    /// The connection broke before an answer was there, or what came was not HTTP.
    Protocol,
    /// Nothing was sent, since its caller has no secret to sign it with any more.
    NoSecret,
}

impl ErrorClass {
    /// Every class, for the documents and for counters that exist from the start.
    pub const ALL: [Self; 8] = [
        Self::Dns,
        Self::AddressRefused,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::HttpStatus,
        Self::Protocol,
        Self::NoSecret,
    ];

    /// The word used in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::AddressRefused => "address_refused",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::HttpStatus => "http_status",
            Self::Protocol => "protocol",
            Self::NoSecret => "no_secret",
        }
    }
}

/// How one try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryEnd {
    /// The receiver answered.
    Answered {
        /// The status code.
        status: u16,
        /// What its `Retry-After` asks for, if it was sent and understood.
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    NoAnswer(ErrorClass),
}

/// What the end of a try means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it (2xx).
    Delivered,
    /// The receiver never wants to hear again (410).
    Gone,
    /// To be tried again.
    Again {
        /// Not before this pause has passed, if the receiver asked for one.
        asked: Option<Duration>,
        /// Whether this is about the endpoint rather than about this one delivery: it cannot be
        /// reached or says that it is overloaded, so that others need not be tried meanwhile.
        endpoint_ails: bool,
    },
}

impl TryEnd {
    /// What it means. Redirects are refusals like any other status: they are never followed.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Answered {
                status: 200..=299, ..
            } => Verdict::Delivered,
            Self::Answered { status: 410, .. } => Verdict::Gone,
            Self::Answered {
                status,
                retry_after,
            } => Verdict::Again {
                asked: retry_after,
                endpoint_ails: retry_after.is_some() || matches!(status, 429 | 502..=504),
            },
            Self::NoAnswer(_) => Verdict::Again {
                asked: None,
                endpoint_ails: true,
            },
        }
    }

    /// The status code of the answer, if there was one.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(status),
            Self::NoAnswer(_) => None,
        }
    }

    /// Why it was no success; `None` when it was one.
    #[must_use]
    pub fn error(self) -> Option<ErrorClass> {
        match (self, self.verdict()) {
            (_, Verdict::Delivered) => None,
            (Self::Answered { .. }, _) => Some(ErrorClass::HttpStatus),
            (Self::NoAnswer(class), _) => Some(class),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> TryEnd {
        TryEnd::Answered {
            status,
            retry_after: None,
        }
    }

    #[test]
    fn every_status_has_one_meaning() {
        for status in 100..=999 {
            let end = answered(status);
            let verdict = end.verdict();
            assert_eq!(verdict == Verdict::Delivered, (200..300).contains(&status));
            assert_eq!(verdict == Verdict::Gone, status == 410);
            assert_eq!(end.error().is_none(), (200..300).contains(&status));
            assert_eq!(end.status(), Some(status));
        }
    }

    #[test]
    fn a_redirect_is_a_refusal() {
        for status in [301, 302, 303, 307, 308] {
            let again = Verdict::Again {
                asked: None,
                endpoint_ails: false,
            };
            assert_eq!(answered(status).verdict(), again);
            assert_eq!(answered(status).error(), Some(ErrorClass::HttpStatus));
        }
    }

    #[test]
    fn an_endpoint_ails_when_it_is_silent_or_says_so() {
        let ails = |end: TryEnd| match end.verdict() {
            Verdict::Again { endpoint_ails, .. } => endpoint_ails,
            Verdict::Delivered | Verdict::Gone => false,
        };
        for class in ErrorClass::ALL {
            assert!(ails(TryEnd::NoAnswer(class)));
        }
        for (status, expected) in [(429, true), (503, true), (500, false), (404, false)] {
            assert_eq!(ails(answered(status)), expected, "{status}");
        }
        assert!(ails(TryEnd::Answered {
            status: 500,
            retry_after: Some(Duration::from_secs(3)),
        }));
    }

    #[test]
    fn classes_have_words_of_their_own() {
        let words: std::collections::BTreeSet<_> =
            ErrorClass::ALL.iter().map(|class| class.as_str()).collect();
        assert_eq!(words.len(), ErrorClass::ALL.len());
    }
}
