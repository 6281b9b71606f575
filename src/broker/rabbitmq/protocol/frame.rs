//! Frames: the type octet, channel, length and end octet around everything (AMQP 0-9-1, 2.3.5).

/// Bytes of a frame beside its payload.
pub const OVERHEAD: usize = 8;
/// The octet that ends a frame.
pub const END: u8 = 0xCE;
/// Bytes before the payload.
const HEAD: usize = 7;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A method.
    Method,
    /// The size and properties of a message.
    Header,
    /// A part of a message's body.
    Body,
    /// A sign of life.
    Heartbeat,
}

impl Kind {
    /// The type octet.
    #[must_use]
    pub fn octet(self) -> u8 {
        match self {
            Self::Method => 1,
            Self::Header => 2,
            Self::Body => 3,
            Self::Heartbeat => 8,
        }
    }
}

/// One whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: Kind,
    /// Which channel it belongs to.
    pub channel: u16,
    /// What stands between head and end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.payload.len() + OVERHEAD
    }

    /// Never: a frame has at least its head and end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The peer broke the rules; the code goes into `connection.close`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol violation ({code}): {text}")]
pub struct Violation {
    /// An AMQP reply code: 501, 502, 503, 504 or 505.
    pub code: u16,
    /// What was wrong.
    pub text: String,
}

impl Violation {
    /// 501 FRAME-ERROR
    #[must_use]
    pub fn frame(text: impl Into<String>) -> Self {
        Self {
            code: 501,
            text: text.into(),
        }
    }

    /// 502 SYNTAX-ERROR
    #[must_use]
    pub fn syntax(text: impl Into<String>) -> Self {
        Self {
            code: 502,
            text: text.into(),
        }
    }

    /// 503 COMMAND-INVALID
    #[must_use]
    pub fn command(text: impl Into<String>) -> Self {
        Self {
            code: 503,
            text: text.into(),
        }
    }

    /// 504 CHANNEL-ERROR
    #[must_use]
    pub fn channel(text: impl Into<String>) -> Self {
        Self {
            code: 504,
            text: text.into(),
        }
    }

    /// 505 UNEXPECTED-FRAME
    #[must_use]
    pub fn unexpected(text: impl Into<String>) -> Self {
        Self {
            code: 505,
            text: text.into(),
        }
    }
}

/// The first frame in `bytes`, or `None` when it is not whole yet. `frame_max` bounds what is waited
/// for: nothing is believed about a length beyond it.
///
/// # Errors
/// [`Violation`] as soon as what is there cannot become a good frame.
pub fn first(bytes: &[u8], frame_max: usize) -> Result<Option<Frame<'_>>, Violation> {
    let Some(&octet) = bytes.first() else {
        return Ok(None);
    };
    let kind = match octet {
        1 => Kind::Method,
        2 => Kind::Header,
        3 => Kind::Body,
        8 => Kind::Heartbeat,
        b'A' => {
            return Err(Violation::frame(
                "the peer wants another version of the protocol",
            ));
        }
        _ => return Err(Violation::frame(format!("unknown frame type {octet}"))),
    };
    let Some(head) = bytes.get(..HEAD) else {
        return Ok(None);
    };
    let channel = u16::from_be_bytes([head[1], head[2]]);
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
    if size > frame_max - OVERHEAD {
        let text = format!("a frame of {size} bytes, where {frame_max} were agreed on");
        return Err(Violation::frame(text));
    }
    let Some(rest) = bytes.get(HEAD..=HEAD + size) else {
        return Ok(None);
    };
    if rest[size] != END {
        return Err(Violation::frame("a frame without its end octet"));
    }
    Ok(Some(Frame {
        kind,
        channel,
        payload: &rest[..size],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heartbeat() -> [u8; 8] {
        [8, 0, 0, 0, 0, 0, 0, END]
    }

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let bytes = heartbeat();
        for cut in 0..8 {
            assert_eq!(first(&bytes[..cut], 4096), Ok(None), "{cut}");
        }
        let frame = Frame {
            kind: Kind::Heartbeat,
            channel: 0,
            payload: &[],
        };
        assert_eq!(first(&bytes, 4096), Ok(Some(frame)));
    }

    #[test]
    fn a_length_over_the_agreed_one_is_not_waited_for() {
        let head = [3, 0, 1, 0, 0, 0x10, 0];
        assert_eq!(
            first(&head, 4096).map_err(|violation| violation.code),
            Err(501)
        );
        assert_eq!(first(&[3, 0, 1, 0, 0, 0x0F, 0xF8], 4096), Ok(None));
        assert!(first(&[3, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF], 131_072).is_err());
    }

    #[test]
    fn a_peer_of_another_version_is_told_apart() {
        let violation = first(b"AMQP\0\0\x09\x01", 4096).expect_err("a violation");
        assert!(violation.text.contains("version"));
    }

    #[test]
    fn a_wrong_end_octet_or_type_is_a_violation() {
        let mut bytes = heartbeat();
        bytes[7] = 0;
        assert!(first(&bytes, 4096).is_err());
        assert!(first(&[4], 4096).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = first(&bytes, 4096);
        }
    }
}
