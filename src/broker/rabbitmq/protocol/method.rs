//! The methods that a publisher hears while it publishes, read by hand.
//!
//! Texts are read leniently: RabbitMQ cuts long close texts in the middle of a character.

use std::borrow::Cow;

use amq_protocol::protocol::AMQPClass;

use super::frame::Violation;
use super::handshake::FRAME_BYTES_MIN;

/// A method from the broker.
#[derive(Debug, PartialEq)]
pub enum Method<'a> {
    /// `basic.ack`
    Ack {
        /// The delivery tag.
        tag: u64,
        /// Whether everything up to the tag is meant.
        multiple: bool,
    },
    /// `basic.nack`
    Nack {
        /// The delivery tag.
        tag: u64,
        /// Whether everything up to the tag is meant.
        multiple: bool,
    },
    /// `basic.return`; a content header and body follow.
    Return {
        /// 312 NO_ROUTE, 313 NO_CONSUMERS.
        code: u16,
        /// The broker's words.
        text: Cow<'a, str>,
    },
    /// `channel.close`
    ChannelClose {
        /// Why, as a reply code.
        code: u16,
        /// Why, in words.
        text: Cow<'a, str>,
    },
    /// `channel.close-ok`
    ChannelCloseOk,
    /// `connection.close`
    ConnectionClose {
        /// Why, as a reply code.
        code: u16,
        /// Why, in words.
        text: Cow<'a, str>,
    },
    /// `connection.close-ok`
    ConnectionCloseOk,
    /// `connection.blocked`
    Blocked {
        /// Why, in words.
        reason: Cow<'a, str>,
    },
    /// `connection.unblocked`
    Unblocked,
    /// Anything else.
    Other(Box<AMQPClass>),
}

/// Reads the payload of a method frame.
///
/// # Errors
/// [`Violation`] with 502 when it cannot be read.
pub fn read(payload: &[u8]) -> Result<Method<'_>, Violation> {
    let mut rest = Reader(payload);
    let class = rest.u16()?;
    let method = rest.u16()?;
    Ok(match (class, method) {
        (60, 80) => Method::Ack {
            tag: rest.u64()?,
            multiple: rest.u8()? & 1 != 0,
        },
        (60, 120) => Method::Nack {
            tag: rest.u64()?,
            multiple: rest.u8()? & 1 != 0,
        },
        (60, 50) => Method::Return {
            code: rest.u16()?,
            text: rest.short()?,
        },
        (20, 40) => Method::ChannelClose {
            code: rest.u16()?,
            text: rest.short()?,
        },
        (20, 41) => Method::ChannelCloseOk,
        (10, 50) => Method::ConnectionClose {
            code: rest.u16()?,
            text: rest.short()?,
        },
        (10, 51) => Method::ConnectionCloseOk,
        (10, 60) => Method::Blocked {
            reason: rest.short()?,
        },
        (10, 61) => Method::Unblocked,
        // Only connection.start is long, and it fits the frames that are allowed before anything is
        // agreed on. The bound keeps tables within tables from filling the stack of the parser.
        _ if payload.len() > FRAME_BYTES_MIN as usize => {
            let text = format!("method {class}.{method} is {} bytes long", payload.len());
            return Err(Violation::syntax(text));
        }
        _ => {
            let (_, class) = amq_protocol::protocol::parse_class(payload).map_err(|_| {
                Violation::syntax(format!("method {class}.{method} cannot be read"))
            })?;
            Method::Other(Box::new(class))
        }
    })
}

/// Reads big-endian fields one after the other.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| Violation::syntax("a method or header that ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Violation> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn short_bytes(&mut self) -> Result<&'a [u8], Violation> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    fn short(&mut self) -> Result<Cow<'a, str>, Violation> {
        Ok(String::from_utf8_lossy(self.short_bytes()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_close_text_that_was_cut_inside_a_character_is_read_all_the_same() {
        let mut payload = vec![0, 20, 0, 40, 1, 0x94, 3];
        payload.extend_from_slice(&[b'x', 0xC3, 0xA4]);
        payload[6] = 2;
        payload.truncate(9);
        payload.extend_from_slice(&[0, 60, 0, 40]);
        let method = read(&payload).expect("readable");
        assert_eq!(
            method,
            Method::ChannelClose {
                code: 404,
                text: "x\u{fffd}".into()
            }
        );
    }

    #[test]
    fn a_method_that_ends_too_early_is_a_syntax_error() {
        let violation = read(&[0, 60, 0, 80, 0, 0]).expect_err("a violation");
        assert_eq!(violation.code, 502);
    }

    #[test]
    fn tables_nested_as_deep_as_a_frame_allows_do_not_bring_the_process_down() {
        for bytes in [4096_usize, 131_064] {
            let mut payload = vec![0, 10, 0, 10, 0, 9];
            let mut left = bytes - payload.len();
            while left >= 6 {
                left -= 4;
                let length = u32::try_from(left).expect("small");
                payload.extend_from_slice(&length.to_be_bytes());
                payload.extend_from_slice(b"\0F");
                left -= 2;
            }
            assert!(read(&payload).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&payload);
        }
    }
}
