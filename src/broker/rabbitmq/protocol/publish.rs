//! The frames of one published message: method, content header, body.

use bytes::{BufMut, BytesMut};

use super::frame::{self, Kind};
use super::outbox::Outbox;
use crate::broker::Handover;
use crate::domain::limits::SHORT_STRING_BYTES_MAX;
use crate::domain::trace::{TRACEPARENT, TRACESTATE};
use crate::domain::{HeaderValue, Table, TraceContext};

/// The header that carries a message's id, and by which returns find their message.
pub const ID_HEADER: &[u8] = b"x-amqpost-id";
/// The header of a re-send that consumers may have seen before.
const DUPLICATE_HEADER: &[u8] = b"x-amqpost-duplicate-possible";

const BASIC: u16 = 60;
const PUBLISH: u16 = 40;
const MANDATORY: u8 = 1;

/// Why a message cannot be put into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unencodable {
    /// AMQP does not split the content header.
    #[error("the message's properties take {bytes} bytes, and a frame holds {frame_max}")]
    HeaderTooLarge {
        /// What the frame would need.
        bytes: usize,
        /// What was agreed on with the broker.
        frame_max: usize,
    },
    /// A name does not fit a short string.
    #[error("a name or property is longer than 255 bytes")]
    NameTooLong,
}

/// Appends the frames of `handover` to `outbox`; nothing is appended when it cannot be done. The
/// frames of a message are contiguous, its body is split at `frame_max`, and an empty body has no
/// frame.
///
/// # Errors
/// [`Unencodable`], and then no broker could have taken the message.
pub fn encode(
    outbox: &mut Outbox,
    channel: u16,
    handover: &Handover,
    frame_max: usize,
) -> Result<(), Unencodable> {
    let draft = &handover.message.draft;
    let out = outbox.tail();
    let start = out.len();
    let head = put_method(
        out,
        channel,
        &draft.exchange,
        &draft.routing_key,
        draft.mandatory,
    )
    .and_then(|()| put_header(out, channel, handover, frame_max));
    if let Err(unencodable) = head {
        out.truncate(start);
        return Err(unencodable);
    }
    let mut rest = draft.payload.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(frame_max - frame::OVERHEAD));
        put_frame_head(outbox.tail(), Kind::Body, channel, piece.len());
        outbox.push(piece);
        outbox.tail().put_u8(frame::END);
    }
    Ok(())
}

fn put_method(
    out: &mut BytesMut,
    channel: u16,
    exchange: &str,
    routing_key: &str,
    mandatory: bool,
) -> Result<(), Unencodable> {
    let size = 2 + 2 + 2 + 1 + exchange.len() + 1 + routing_key.len() + 1;
    out.reserve(size + frame::OVERHEAD);
    put_frame_head(out, Kind::Method, channel, size);
    out.put_u16(BASIC);
    out.put_u16(PUBLISH);
    out.put_u16(0);
    put_short(out, exchange.as_bytes())?;
    put_short(out, routing_key.as_bytes())?;
    out.put_u8(if mandatory { MANDATORY } else { 0 });
    out.put_u8(frame::END);
    Ok(())
}

fn put_header(
    out: &mut BytesMut,
    channel: u16,
    handover: &Handover,
    frame_max: usize,
) -> Result<(), Unencodable> {
    let start = out.len();
    put_frame_head(out, Kind::Header, channel, 0);
    out.put_u16(BASIC);
    out.put_u16(0);
    out.put_u64(handover.message.draft.payload.len() as u64);
    put_properties(out, handover)?;
    let bytes = out.len() - start + 1;
    if bytes > frame_max {
        return Err(Unencodable::HeaderTooLarge { bytes, frame_max });
    }
    put_length_at(out, start + 3, bytes - frame::OVERHEAD);
    out.put_u8(frame::END);
    Ok(())
}

/// The property list (AMQP 0-9-1, 4.2.6.1): flags, then the values in the order of their flags.
fn put_properties(out: &mut BytesMut, handover: &Handover) -> Result<(), Unencodable> {
    let properties = &handover.message.draft.properties;
    let id = handover.message.id.text();
    let flags_at = out.len();
    out.put_u16(0);
    let mut flags = 0_u16;
    put_optional(out, &mut flags, 15, properties.content_type.as_deref())?;
    put_optional(out, &mut flags, 14, properties.content_encoding.as_deref())?;
    flags |= 1 << 13;
    put_headers(out, handover, id.as_bytes())?;
    flags |= 1 << 12;
    out.put_u8(properties.delivery_mode.octet());
    if let Some(priority) = properties.priority {
        flags |= 1 << 11;
        out.put_u8(priority);
    }
    put_optional(out, &mut flags, 10, properties.correlation_id.as_deref())?;
    put_optional(out, &mut flags, 9, properties.reply_to.as_deref())?;
    put_optional(out, &mut flags, 8, properties.expiration.as_deref())?;
    flags |= 1 << 7;
    let message_id = properties
        .message_id
        .as_deref()
        .map_or(&id.as_bytes()[..], str::as_bytes);
    put_short(out, message_id)?;
    if let Some(seconds) = properties.timestamp {
        flags |= 1 << 6;
        out.put_u64(seconds);
    }
    put_optional(out, &mut flags, 5, properties.kind.as_deref())?;
    put_optional(out, &mut flags, 4, properties.user_id.as_deref())?;
    put_optional(out, &mut flags, 3, properties.app_id.as_deref())?;
    out[flags_at..flags_at + 2].copy_from_slice(&flags.to_be_bytes());
    Ok(())
}

/// The gateway's own headers come first, so that a return's id is found without reading the rest.
fn put_headers(out: &mut BytesMut, handover: &Handover, id: &[u8; 36]) -> Result<(), Unencodable> {
    let start = out.len();
    out.put_u32(0);
    put_short(out, ID_HEADER)?;
    out.put_u8(b'S');
    put_long(out, id);
    if handover.duplicate_possible {
        put_short(out, DUPLICATE_HEADER)?;
        out.put_slice(b"t\x01");
    }
    let draft = &handover.message.draft;
    put_entries(out, &draft.properties.headers)?;
    if let Some(trace) = (draft.terms.as_ref()).and_then(|terms| terms.trace.as_ref()) {
        put_trace(out, trace, &draft.properties.headers)?;
    }
    put_length_at(out, start, out.len() - start - 4);
    Ok(())
}

/// The trace of the request, unless the message says its own.
fn put_trace(out: &mut BytesMut, trace: &TraceContext, own: &Table) -> Result<(), Unencodable> {
    if own
        .iter()
        .any(|(name, _)| matches!(&**name, TRACEPARENT | TRACESTATE))
    {
        return Ok(());
    }
    put_short(out, TRACEPARENT.as_bytes())?;
    out.put_u8(b'S');
    put_long(out, trace.parent().as_bytes());
    if let Some(state) = trace.state() {
        put_short(out, TRACESTATE.as_bytes())?;
        out.put_u8(b'S');
        put_long(out, state.as_bytes());
    }
    Ok(())
}

fn put_entries(out: &mut BytesMut, table: &Table) -> Result<(), Unencodable> {
    for (name, value) in table {
        put_short(out, name.as_bytes())?;
        put_value(out, value)?;
    }
    Ok(())
}

fn put_value(out: &mut BytesMut, value: &HeaderValue) -> Result<(), Unencodable> {
    match value {
        HeaderValue::Bool(value) => out.put_slice(&[b't', u8::from(*value)]),
        HeaderValue::Int(value) => {
            out.put_u8(b'l');
            out.put_i64(*value);
        }
        HeaderValue::Double(value) => {
            out.put_u8(b'd');
            out.put_f64(*value);
        }
        HeaderValue::Text(text) => {
            out.put_u8(b'S');
            put_long(out, text.as_bytes());
        }
        HeaderValue::Null => out.put_u8(b'V'),
        HeaderValue::Array(items) => {
            out.put_u8(b'A');
            let start = out.len();
            out.put_u32(0);
            for item in items {
                put_value(out, item)?;
            }
            put_length_at(out, start, out.len() - start - 4);
        }
        HeaderValue::Table(table) => {
            out.put_u8(b'F');
            let start = out.len();
            out.put_u32(0);
            put_entries(out, table)?;
            put_length_at(out, start, out.len() - start - 4);
        }
    }
    Ok(())
}

fn put_frame_head(out: &mut BytesMut, kind: Kind, channel: u16, size: usize) {
    out.put_u8(kind.octet());
    out.put_u16(channel);
    out.put_u32(length(size));
}

fn put_optional(
    out: &mut BytesMut,
    flags: &mut u16,
    bit: u16,
    text: Option<&str>,
) -> Result<(), Unencodable> {
    let Some(text) = text else { return Ok(()) };
    *flags |= 1 << bit;
    put_short(out, text.as_bytes())
}

fn put_short(out: &mut BytesMut, bytes: &[u8]) -> Result<(), Unencodable> {
    const { assert!(SHORT_STRING_BYTES_MAX == u8::MAX as usize) }
    let length = u8::try_from(bytes.len()).map_err(|_| Unencodable::NameTooLong)?;
    out.put_u8(length);
    out.put_slice(bytes);
    Ok(())
}

fn put_long(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(length(bytes.len()));
    out.put_slice(bytes);
}

fn put_length_at(out: &mut BytesMut, at: usize, size: usize) {
    out[at..at + 4].copy_from_slice(&length(size).to_be_bytes());
}

/// A header table stays below a frame's size, and a frame's below 4 GiB; a longer one is refused
/// for its size before its length is ever sent.
fn length(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
