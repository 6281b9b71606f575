//! The `Prefer` header (RFC 7240): `wait=N` and `return=minimal`.
//!
//! A preference is a wish: what is not understood is ignored, and `Preference-Applied` tells what
//! was honoured. When a preference is given more than once, the first one counts.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a caller prefers, as far as the gateway honours it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    /// Seconds to wait for the final status, already capped.
    pub(super) wait_seconds: Option<u32>,
    /// The answer's body.
    pub(super) body: Option<AnswerBody>,
}

/// What `return=` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerBody {
    /// Only id and status.
    Minimal,
    /// The whole resource, which is the default.
    Representation,
}

impl Preferences {
    /// Reads all `Prefer` headers. A longer wait than `wait_seconds_max` is cut down to it.
    pub(super) fn of(headers: &HeaderMap, wait_seconds_max: u32) -> Self {
        let mut first_wait = None;
        let mut first_return = None;
        for value in headers.get_all(PREFER) {
            for (name, value) in preferences(value.as_bytes()) {
                if name.eq_ignore_ascii_case(b"wait") {
                    first_wait.get_or_insert(value);
                } else if name.eq_ignore_ascii_case(b"return") {
                    first_return.get_or_insert(value);
                }
            }
        }
        Self {
            wait_seconds: first_wait
                .and_then(|value| seconds(&value))
                .map(|seconds| seconds.min(wait_seconds_max)),
            body: first_return.and_then(|value| match &*value {
                b"minimal" => Some(AnswerBody::Minimal),
                b"representation" => Some(AnswerBody::Representation),
                _ => None,
            }),
        }
    }

    /// How long to wait; `None` when the caller does not want to.
    pub(super) fn wait(self) -> Option<Duration> {
        self.wait_seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The same without `return`, for endpoints that do not honour it.
    pub(super) fn only_wait(self) -> Self {
        Self { body: None, ..self }
    }

    /// The same without `wait`, for endpoints that do not honour it.
    pub(super) fn only_return(self) -> Self {
        Self {
            wait_seconds: None,
            ..self
        }
    }

    /// Tells what was honoured.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        if self.wait_seconds.is_none() && self.body == Some(AnswerBody::Minimal) {
            let minimal = HeaderValue::from_static("return=minimal");
            headers.insert(PREFERENCE_APPLIED, minimal);
            return;
        }
        let mut applied = String::new();
        if let Some(seconds) = self.wait_seconds {
            let _ = write!(applied, "wait={seconds}");
        }
        if let Some(body) = self.body {
            let separator = if applied.is_empty() { "" } else { ", " };
            applied.push_str(separator);
            applied.push_str(match body {
                AnswerBody::Minimal => "return=minimal",
                AnswerBody::Representation => "return=representation",
            });
        }
        // Digits and letters are always a header value.
        if !applied.is_empty()
            && let Ok(applied) = HeaderValue::from_maybe_shared(applied)
        {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
    }
}

/// `delta-seconds`. What is too large for a number is as good as the cap.
fn seconds(value: &[u8]) -> Option<u32> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    Some(text.parse().unwrap_or(u32::MAX))
}

/// The preferences of one header, without their parameters.
fn preferences(header: &[u8]) -> impl Iterator<Item = (&[u8], Cow<'_, [u8]>)> {
    split(header, b',').filter_map(|preference| {
        let preference = split(preference, b';').next()?;
        let (name, value) = match preference.iter().position(|byte| *byte == b'=') {
            Some(at) => (&preference[..at], &preference[at + 1..]),
            None => (preference, &preference[..0]),
        };
        let name = name.trim_ascii();
        (!name.is_empty()).then(|| (name, unquoted(value.trim_ascii())))
    })
}

/// The parts of `text` between separators that stand outside quoted strings.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |byte| {
        let is_separator = !quoted && *byte == separator;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        is_separator
    })
}

/// The text of a quoted string (RFC 9110, section 5.6.4), or the token itself.
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    let Some(inner) = inner else {
        return Cow::Borrowed(value);
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.extend(bytes.next()),
            _ => text.push(*byte),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[&str]) -> (Option<u32>, Option<AnswerBody>) {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(
                PREFER,
                HeaderValue::from_bytes(header.as_bytes()).expect("a header"),
            );
        }
        let read = Preferences::of(&map, 60);
        (read.wait_seconds, read.body)
    }

    #[test]
    fn a_wait_is_read_and_capped() {
        assert_eq!(of(&[]), (None, None));
        for (header, seconds) in [
            ("wait=5", 5),
            ("WAIT = 5", 5),
            ("wait=\"5\"", 5),
            ("wait=\"\\5\"", 5),
            ("wait=0", 0),
            ("wait=007", 7),
            ("wait=61", 60),
            ("wait=99999999999999999999", 60),
            ("respond-async, wait=5", 5),
            ("wait=5; foo=bar", 5),
            ("foo=\"a, wait=1\", wait=5", 5),
            ("foo=\"\\\", wait=1\", wait=5", 5),
            (",, wait=5,", 5),
        ] {
            assert_eq!(of(&[header]), (Some(seconds), None), "{header}");
        }
    }

    #[test]
    fn a_wait_that_is_no_number_is_ignored() {
        for header in [
            "wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "wait=+1", "wait=\"5", "=5",
        ] {
            assert_eq!(of(&[header]), (None, None), "{header}");
        }
    }

    #[test]
    fn the_first_occurrence_counts_over_all_headers() {
        assert_eq!(of(&["wait=1, wait=2", "wait=3"]), (Some(1), None));
        assert_eq!(of(&["wait=x", "wait=3"]), (None, None));
        assert_eq!(
            of(&["return=minimal", "wait=3, return=representation"]),
            (Some(3), Some(AnswerBody::Minimal))
        );
        assert_eq!(of(&["return=nothing"]), (None, None));
    }

    #[test]
    fn what_was_honoured_is_told() {
        let tell = |wait_seconds, body| {
            let mut headers = HeaderMap::new();
            Preferences { wait_seconds, body }.tell(&mut headers);
            headers
                .remove(PREFERENCE_APPLIED)
                .map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(tell(None, None), None);
        let minimal = Some(AnswerBody::Minimal);
        assert_eq!(
            tell(Some(7), minimal).as_deref(),
            Some("wait=7, return=minimal")
        );
        let whole = Some(AnswerBody::Representation);
        assert_eq!(tell(None, whole).as_deref(), Some("return=representation"));
    }
}
