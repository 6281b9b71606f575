//! The bytes that consumers get, from the JSON that the caller wrote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::faults::Faults;
use super::fields::{present, text, wrong_kind};
use super::json::{self, Cursor, Kind};

const AT: &str = "/payload";
const AT_ENCODING: &str = "/payload_encoding";

/// How `payload` is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// A string is its bytes, anything else its JSON text.
    Text,
    Base64,
    /// Always the JSON text.
    Json,
}

/// A payload, and whether it is JSON text.
#[derive(Default)]
pub(super) struct Payload {
    pub(super) bytes: Bytes,
    pub(super) is_json: bool,
}

/// The payload written as `raw`; empty when it is faulty.
pub(super) fn read(
    faults: &mut Faults,
    raw: Option<&str>,
    encoding: Option<&str>,
    depth_max: usize,
) -> Payload {
    let encoding = self::encoding(faults, encoding);
    let Some(raw) = raw else {
        faults.push(AT, "is required; send an empty string for an empty payload");
        return Payload::default();
    };
    // With an unknown encoding there is nothing to say about the payload.
    let Some(encoding) = encoding else {
        return Payload::default();
    };
    let read = match encoding {
        Encoding::Base64 if Kind::of(raw) == Kind::Text => from_base64(raw),
        Encoding::Base64 => {
            wrong_kind(faults, AT, raw, "a string, being base64");
            return Payload::default();
        }
        Encoding::Text if Kind::of(raw) == Kind::Text => from_text(raw),
        Encoding::Text | Encoding::Json => from_json(raw, depth_max),
    };
    read.unwrap_or_else(|detail| {
        faults.push(AT, detail);
        Payload::default()
    })
}

fn encoding(faults: &mut Faults, raw: Option<&str>) -> Option<Encoding> {
    if present(raw).is_none() {
        return Some(Encoding::Text);
    }
    match &*text(faults, AT_ENCODING, raw)? {
        "string" => Some(Encoding::Text),
        "base64" => Some(Encoding::Base64),
        "json" => Some(Encoding::Json),
        _ => {
            faults.push(AT_ENCODING, "must be string, base64 or json");
            None
        }
    }
}

fn from_text(raw: &str) -> Result<Payload, String> {
    let text = json::decode(raw).map_err(|_| json::LONE_SURROGATE.to_owned())?;
    Ok(Payload {
        bytes: exact(text.into_owned().into_bytes()),
        is_json: false,
    })
}

fn from_base64(raw: &str) -> Result<Payload, String> {
    let broken = || "is not base64 (the standard alphabet, with padding)".to_owned();
    let text = json::decode(raw).map_err(|_| broken())?;
    let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| broken())?;
    Ok(Payload {
        bytes: exact(bytes),
        is_json: false,
    })
}

fn from_json(raw: &str, depth_max: usize) -> Result<Payload, String> {
    Ok(Payload {
        bytes: exact(compact(raw, depth_max)?),
        is_json: true,
    })
}

/// Without room to grow, which would be kept for as long as the message is.
fn exact(bytes: Vec<u8>) -> Bytes {
    bytes.into_boxed_slice().into()
}

/// `raw` without the white space between its tokens, which stay as they are.
fn compact(raw: &str, depth_max: usize) -> Result<Vec<u8>, String> {
    let bytes = raw.as_bytes();
    let mut compact = Vec::with_capacity(bytes.len());
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {}
            b'"' => {
                let string = Cursor::new(raw.get(at..).unwrap_or_default()).value();
                if string.contains("\\u") && json::decode(string).is_err() {
                    return Err(format!("a string in it {}", json::LONE_SURROGATE));
                }
                compact.extend_from_slice(string.as_bytes());
                at += string.len();
                continue;
            }
            _ => {
                match byte {
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth > depth_max {
                    return Err(format!("nests deeper than the {depth_max} levels allowed"));
                }
                compact.push(byte);
            }
        }
        at += 1;
    }
    Ok(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_as_they_are_and_space_between_them_goes() {
        let raw =
            "{ \"a b\" : [ 1.0 , 1e5,\t-0, 12345678901234567890 ],\r\n\"\\u00e4\\n\":\" \\\" \" }";
        let compacted = compact(raw, 2).expect("shallow enough");
        let expected = r#"{"a b":[1.0,1e5,-0,12345678901234567890],"\u00e4\n":" \" "}"#;
        assert_eq!(String::from_utf8(compacted).as_deref(), Ok(expected));
    }

    #[test]
    fn depth_counts_arrays_and_objects_together() {
        assert!(compact("[[1],[{}]]", 3).is_ok());
        assert!(compact("[[1],[{}]]", 2).is_err());
        assert!(compact("1", 0).is_ok());
    }
}
