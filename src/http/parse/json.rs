//! Walking over a JSON text whose grammar has been checked already.
//!
//! A message is read from its text rather than from a tree, because the payload is sent as it was
//! written, integers must not pass through floating point, and keys that occur twice must be seen.
//! `serde_json` checks the grammar first, once and without recursion, so that a body of a million
//! brackets costs no stack; the walk relies on that and knows no errors.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde::de::IgnoredAny;

/// The body is not the JSON that is expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// A string holds half of a surrogate pair, which no UTF-8 can carry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoneSurrogate;

/// What a fault says about [`LoneSurrogate`].
pub(super) const LONE_SURROGATE: &str =
    "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character";

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

impl Kind {
    /// What the value with this text is.
    pub(super) fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    /// For sentences: "must be a string, is …".
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// Checks that `body` is UTF-8.
pub(super) fn text(body: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(body)
        .map_err(|error| Malformed(format!("not UTF-8 at byte {}", error.valid_up_to())))
}

/// Checks that `text` is one JSON value and nothing else.
pub(super) fn value(text: &str) -> Result<&str, Malformed> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| Malformed(error.to_string()))?;
    Ok(text.trim_ascii())
}

/// Checks that `body` is one JSON object and nothing else.
pub(super) fn object(body: &[u8]) -> Result<&str, Malformed> {
    let text = value(text(body)?)?;
    match Kind::of(text) {
        Kind::Object => Ok(text),
        other => Err(Malformed(format!(
            "the body must be a JSON object, is {}",
            other.name()
        ))),
    }
}

/// The characters of the string that is written as `raw`, quotation marks included.
pub(super) fn decode(raw: &str) -> Result<Cow<'_, str>, LoneSurrogate> {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(inner));
    }
    // The grammar is right, so the only thing left to be wrong is a surrogate.
    serde_json::from_str(raw)
        .map(Cow::Owned)
        .map_err(|_| LoneSurrogate)
}

/// A place in a JSON text.
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of the value that is written as `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Goes into the array or object that starts here.
    pub(super) fn enter(&mut self) {
        self.skip_space();
        self.at += 1;
    }

    /// Goes to the next member or item, or out of the container when there is none.
    pub(super) fn next(&mut self) -> bool {
        self.skip_space();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.skip_space();
        }
        match self.peek() {
            Some(b']' | b'}') => {
                self.at += 1;
                false
            }
            found => found.is_some(),
        }
    }

    /// The name of the member here, as it is written. What follows is its value.
    pub(super) fn key(&mut self) -> &'a str {
        let key = self.value();
        self.skip_space();
        self.at += 1;
        key
    }

    /// What the value here is.
    pub(super) fn kind(&mut self) -> Kind {
        self.skip_space();
        Kind::of(self.text.get(self.at..).unwrap_or_default())
    }

    /// The value here as it is written; goes behind it.
    pub(super) fn value(&mut self) -> &'a str {
        self.skip_space();
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => self.skip_string(),
                Some(b'[' | b'{') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b']' | b'}') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':' | b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(_) => self.skip_word(),
                None => break,
            }
            if depth == 0 {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        // Most of a body is inside strings, so these are not looked at byte by byte.
        while let Some(rest) = self.text.as_bytes().get(self.at..) {
            let Some(found) = memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return;
            };
            let is_end = rest[found] == b'"';
            self.at += found + if is_end { 1 } else { 2 };
            if is_end {
                return;
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn skip_word(&mut self) {
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'+' | b'-' | b'.') = self.peek() {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_sees_every_member_as_it_is_written() {
        let text = object(br#" { "a" : [1, {"b":"]}"}] ,"\u0063":"x\"y", "d":-1.5e+3,"e":null } "#)
            .expect("an object");
        let mut cursor = Cursor::new(text);
        let mut seen = Vec::new();
        cursor.enter();
        while cursor.next() {
            seen.push((cursor.key(), cursor.value()));
        }
        let expected = [
            ("\"a\"", r#"[1, {"b":"]}"}]"#),
            (r#""\u0063""#, r#""x\"y""#),
            ("\"d\"", "-1.5e+3"),
            ("\"e\"", "null"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(decode(seen[1].0).as_deref(), Ok("c"));
    }

    #[test]
    fn half_a_surrogate_pair_is_no_string() {
        for bad in [
            r#""\ud800""#,
            r#""\udc00x""#,
            r#""\ud800\u0041""#,
            r#""\udc00\ud800""#,
        ] {
            assert_eq!(decode(bad), Err(LoneSurrogate), "{bad}");
        }
        assert_eq!(decode(r#""\ud83d\ude00""#).as_deref(), Ok("😀"));
    }

    #[test]
    fn a_million_brackets_cost_no_stack() {
        let open = "[".repeat(1_000_000);
        let text = format!("{{\"x\":{open}{}}}", "]".repeat(1_000_000));
        assert_eq!(object(text.as_bytes()), Ok(text.as_str()));
        assert_eq!(Cursor::new(&text).value().len(), text.len());
        assert!(object(open.as_bytes()).is_err());
    }
}
