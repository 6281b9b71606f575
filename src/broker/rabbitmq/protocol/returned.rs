//! A `basic.return` while it comes in: method, content header, body.

use amq_protocol::protocol::basic;
use amq_protocol::types::AMQPValue;

use super::frame::Violation;
use super::method::Reader;
use super::publish::ID_HEADER;
use crate::domain::{MessageId, Reason, ReasonCode};

/// A return that is not whole yet.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Nothing is coming in.
    None,
    /// The method has come; its header is next.
    Header(Reason),
    /// So many bytes of body are still to come.
    Body(u64),
}

/// Why a message was returned, in the broker's words.
pub(super) fn reason(code: u16, text: &str) -> Reason {
    let detail = match code {
        312 => "no queue is bound to the exchange for this routing key",
        _ => "the broker could not deliver the message and returned it",
    };
    Reason::told(ReasonCode::NoRoute, code, text, detail)
}

/// The id that the content header of a returned message carries, and the size of its body.
pub(super) fn read_header(payload: &[u8]) -> Result<(MessageId, u64), Violation> {
    let mut rest = Reader(payload);
    if rest.u16()? != 60 {
        return Err(Violation::syntax(
            "a content header of another class than basic",
        ));
    }
    let _weight = rest.u16()?;
    let body_size = rest.u64()?;
    let properties = rest.0;
    let id = match first_header(properties)? {
        Some(id) => id,
        None => any_header(properties)?,
    };
    Ok((id, body_size))
}

/// The id stands first in the table, where this gateway put it.
fn first_header(properties: &[u8]) -> Result<Option<MessageId>, Violation> {
    let mut rest = Reader(properties);
    let flags = rest.u16()?;
    for bit in [15, 14] {
        if flags & 1 << bit != 0 {
            rest.short_bytes()?;
        }
    }
    if flags & 1 << 13 == 0 || rest.u32()? == 0 {
        return Ok(None);
    }
    if rest.short_bytes()? != ID_HEADER || rest.u8()? != b'S' {
        return Ok(None);
    }
    let length = rest.u32()? as usize;
    Ok(parse(rest.take(length)?))
}

/// Somebody between has put the table into another order.
fn any_header(properties: &[u8]) -> Result<MessageId, Violation> {
    let (_, properties) = basic::parse_properties(properties)
        .map_err(|_| Violation::syntax("the properties of a returned message cannot be read"))?;
    let id = properties.headers().as_ref().and_then(|headers| {
        let (_, value) = headers
            .into_iter()
            .find(|(name, _)| name.as_str().as_bytes() == ID_HEADER)?;
        match value {
            AMQPValue::LongString(text) => parse(text.as_bytes()),
            _ => None,
        }
    });
    // Without its id nobody knows which message was returned, and to guess would be to lie.
    id.ok_or_else(|| Violation::unexpected("a returned message without the id it was sent with"))
}

fn parse(text: &[u8]) -> Option<MessageId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
