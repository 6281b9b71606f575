//! The properties of a message as one blob, and back.
//!
//! Written by hand: the shape is fixed by AMQP, a byte a field beats any self-describing format, and
//! what is on disk must not change with a dependency. The first byte is the version of the format.
//! Whatever the bytes are, reading ends with properties or an error.
//!
//! `message_id` is not in it: that is a column, since it is told after the properties have gone.

use crate::domain::{DeliveryMode, HeaderValue, Properties, Table};

const VERSION: u8 = 1;
/// Levels of tables and arrays that are read. What is accepted has at most
/// [`crate::domain::Limits::json_depth_max`], far below.
const DEPTH_MAX: usize = 256;

/// The bytes are not what [`encode`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("they end too early")]
    Short,
    #[error("they are of the unknown version {0}")]
    Version(u8),
    #[error("a text is not UTF-8")]
    Text,
    #[error("{0} is not a kind of header value")]
    Kind(u8),
    #[error("they are nested too deeply")]
    Deep,
    #[error("something follows their end")]
    Long,
}

/// The blob of `properties`, or `None` when they are the default ones.
pub(super) fn encode(properties: &Properties) -> Option<Vec<u8>> {
    let texts = texts(properties);
    let mut present = 0_u16;
    for (bit, text) in texts.iter().enumerate() {
        present |= u16::from(text.is_some()) << bit;
    }
    present |= u16::from(properties.priority.is_some()) << PRIORITY;
    present |= u16::from(properties.timestamp.is_some()) << TIMESTAMP;
    present |= u16::from(!properties.headers.is_empty()) << HEADERS;
    present |= u16::from(properties.delivery_mode == DeliveryMode::Transient) << TRANSIENT;
    if present == 0 {
        return None;
    }
    let mut out = vec![VERSION];
    out.extend_from_slice(&present.to_le_bytes());
    for text in texts.into_iter().flatten() {
        put_text(&mut out, text);
    }
    out.extend(properties.priority);
    if let Some(timestamp) = properties.timestamp {
        out.extend_from_slice(&timestamp.to_le_bytes());
    }
    if !properties.headers.is_empty() {
        put_table(&mut out, &properties.headers);
    }
    Some(out)
}

const TEXTS: usize = 8;
const PRIORITY: usize = 8;
const TIMESTAMP: usize = 9;
const HEADERS: usize = 10;
const TRANSIENT: usize = 11;
const KNOWN: u16 = (1 << 12) - 1;

fn texts(properties: &Properties) -> [Option<&str>; TEXTS] {
    [
        properties.content_type.as_deref(),
        properties.content_encoding.as_deref(),
        properties.correlation_id.as_deref(),
        properties.reply_to.as_deref(),
        properties.expiration.as_deref(),
        properties.kind.as_deref(),
        properties.user_id.as_deref(),
        properties.app_id.as_deref(),
    ]
}

/// The properties in a blob; without one, the default ones.
pub(super) fn decode(blob: Option<&[u8]>) -> Result<Properties, Unreadable> {
    let Some(blob) = blob else {
        return Ok(Properties::default());
    };
    let mut input = Input { left: blob };
    let version = input.byte()?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let present = u16::from_le_bytes(input.array()?);
    let has = |bit: usize| present >> bit & 1 == 1;
    if present & !KNOWN != 0 {
        return Err(Unreadable::Long);
    }
    let mut text = |bit| has(bit).then(|| input.text()).transpose();
    let mut properties = Properties {
        content_type: text(0)?,
        content_encoding: text(1)?,
        correlation_id: text(2)?,
        reply_to: text(3)?,
        expiration: text(4)?,
        kind: text(5)?,
        user_id: text(6)?,
        app_id: text(7)?,
        ..Properties::default()
    };
    if has(PRIORITY) {
        properties.priority = Some(input.byte()?);
    }
    if has(TIMESTAMP) {
        properties.timestamp = Some(u64::from_le_bytes(input.array()?));
    }
    if has(HEADERS) {
        properties.headers = input.table(0)?;
    }
    if has(TRANSIENT) {
        properties.delivery_mode = DeliveryMode::Transient;
    }
    if input.left.is_empty() {
        Ok(properties)
    } else {
        Err(Unreadable::Long)
    }
}

/// A number of any size, seven bits to a byte, the lowest first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_table(out: &mut Vec<u8>, table: &Table) {
    put_number(out, table.len() as u64);
    for (name, value) in table {
        put_text(out, name);
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &HeaderValue) {
    match value {
        HeaderValue::Bool(false) => out.push(0),
        HeaderValue::Bool(true) => out.push(1),
        HeaderValue::Int(int) => {
            out.push(2);
            out.extend_from_slice(&int.to_le_bytes());
        }
        HeaderValue::Double(double) => {
            out.push(3);
            out.extend_from_slice(&double.to_bits().to_le_bytes());
        }
        HeaderValue::Text(text) => {
            out.push(4);
            put_text(out, text);
        }
        HeaderValue::Null => out.push(5),
        HeaderValue::Array(items) => {
            out.push(6);
            put_number(out, items.len() as u64);
            for item in items {
                put_value(out, item);
            }
        }
        HeaderValue::Table(table) => {
            out.push(7);
            put_table(out, table);
        }
    }
}

/// Bytes that are read from the front.
pub(super) struct Input<'a> {
    pub(super) left: &'a [u8],
}

impl Input<'_> {
    pub(super) fn byte(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (array, left) = self.left.split_first_chunk().ok_or(Unreadable::Short)?;
        self.left = left;
        Ok(*array)
    }

    pub(super) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable::Long)
    }

    /// A count of things that take at least a byte each, so that no damaged count can make anybody
    /// reserve memory for them.
    fn count(&mut self) -> Result<usize, Unreadable> {
        let count = usize::try_from(self.number()?).map_err(|_| Unreadable::Short)?;
        if count > self.left.len() {
            return Err(Unreadable::Short);
        }
        Ok(count)
    }

    pub(super) fn text(&mut self) -> Result<Box<str>, Unreadable> {
        let count = self.count()?;
        let (text, left) = self.left.split_at(count);
        self.left = left;
        let text = std::str::from_utf8(text).map_err(|_| Unreadable::Text)?;
        Ok(text.into())
    }

    fn table(&mut self, depth: usize) -> Result<Table, Unreadable> {
        let count = self.count()?;
        (0..count)
            .map(|_| Ok((self.text()?, self.value(depth)?)))
            .collect()
    }

    fn value(&mut self, depth: usize) -> Result<HeaderValue, Unreadable> {
        if depth > DEPTH_MAX {
            return Err(Unreadable::Deep);
        }
        Ok(match self.byte()? {
            0 => HeaderValue::Bool(false),
            1 => HeaderValue::Bool(true),
            2 => HeaderValue::Int(i64::from_le_bytes(self.array()?)),
            3 => HeaderValue::Double(f64::from_bits(u64::from_le_bytes(self.array()?))),
            4 => HeaderValue::Text(self.text()?),
            5 => HeaderValue::Null,
            6 => {
                let count = self.count()?;
                let items = (0..count).map(|_| self.value(depth + 1));
                HeaderValue::Array(items.collect::<Result<_, _>>()?)
            }
            7 => HeaderValue::Table(self.table(depth + 1)?),
            kind => return Err(Unreadable::Kind(kind)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::contract::samples::any_properties;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn properties_come_back_as_they_went_in(properties in any_properties()) {
            let blob = encode(&properties);
            let back = decode(blob.as_deref());
            prop_assert_eq!(back, Ok(Properties { message_id: None, ..properties }));
        }

        #[test]
        fn whatever_the_bytes_are_reading_ends(blob in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(Some(&blob));
            let mut versioned = vec![VERSION];
            versioned.extend(blob);
            let _ = decode(Some(&versioned));
        }

        #[test]
        fn a_blob_that_was_cut_is_an_error(properties in any_properties(), cut in any::<prop::sample::Index>()) {
            if let Some(blob) = encode(&properties) {
                let cut = cut.index(blob.len());
                prop_assert!(decode(Some(&blob[..cut])).is_err());
            }
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let mut blob = vec![VERSION];
        blob.extend_from_slice(&(1_u16 << HEADERS).to_le_bytes());
        blob.extend_from_slice(&[1, 1, b'x']);
        for _ in 0..100_000 {
            blob.extend_from_slice(&[6, 1]);
        }
        blob.push(5);
        assert_eq!(decode(Some(&blob)), Err(Unreadable::Deep));
    }

    #[test]
    fn a_format_from_the_future_is_refused() {
        assert_eq!(decode(Some(&[2, 0, 0])), Err(Unreadable::Version(2)));
    }
}
