//! A `basic.return` while it comes in: method, content header, body.

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
    let id = id_in_properties(rest)?;
    // Without its id nobody knows which message was returned, and to guess would be to lie.
    let id = id.ok_or_else(|| {
        Violation::unexpected("a returned message without the id it was sent with")
    })?;
    Ok((id, body_size))
}

/// The id stands first in the table, where this gateway put it, unless somebody between has put the
/// table into another order. Values are stepped over by their lengths and not parsed: a parser that
/// goes down into tables within tables can be led down until the stack is full.
fn id_in_properties(mut rest: Reader<'_>) -> Result<Option<MessageId>, Violation> {
    let flags = rest.u16()?;
    for bit in [15, 14] {
        if flags & 1 << bit != 0 {
            rest.short_bytes()?;
        }
    }
    if flags & 1 << 13 == 0 {
        return Ok(None);
    }
    let length = rest.u32()? as usize;
    let mut table = Reader(rest.take(length)?);
    while !table.0.is_empty() {
        let name = table.short_bytes()?;
        let kind = table.u8()?;
        let length = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' | b'U' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' | b'A' | b'F' => table.u32()? as usize,
            _ => return Err(Violation::syntax("a header of an unknown type")),
        };
        let value = table.take(length)?;
        if name == ID_HEADER && kind == b'S' {
            return Ok(parse(value));
        }
    }
    Ok(None)
}

fn parse(text: &[u8]) -> Option<MessageId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
