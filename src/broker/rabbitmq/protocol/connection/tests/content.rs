//! The frames of published messages put together again, which must stand without a gap.

use std::collections::BTreeMap;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::AMQPValue;

use crate::domain::{MessageId, RowId};

/// A message as it came over the wire.
pub(super) struct Published {
    pub(super) channel: u16,
    pub(super) publish: basic::Publish,
    pub(super) header: AMQPContentHeader,
    pub(super) body: Vec<u8>,
}

impl Published {
    pub(super) fn row(&self) -> RowId {
        row_of(&self.header)
    }
}

fn row_of(header: &AMQPContentHeader) -> RowId {
    let headers = header.properties.headers().as_ref().expect("headers");
    let Some(AMQPValue::LongString(text)) = headers.inner().get("x-amqpost-id") else {
        unreachable!("a message without its id")
    };
    let id: MessageId = text.to_string().parse().expect("an id");
    id.row()
}

/// What the client's bytes say.
pub(super) enum Said {
    Message(Published),
    Frame(AMQPFrame),
}

/// Cuts a stream of bytes into frames and messages.
#[derive(Default)]
pub(super) struct Reader {
    bytes: Vec<u8>,
    begun: Option<(u16, basic::Publish)>,
    header: Option<AMQPContentHeader>,
    body: Vec<u8>,
    pub(super) longest_frame: usize,
}

impl Reader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn between_messages(&self) -> bool {
        self.begun.is_none()
    }

    /// Whether something is begun, as far as one can see.
    pub(super) fn is_half_way(&self) -> bool {
        self.begun.is_some() || !self.bytes.is_empty()
    }

    pub(super) fn next(&mut self) -> Option<Said> {
        loop {
            let length = whole_frame(&self.bytes)?;
            let bytes: Vec<u8> = self.bytes.drain(..length).collect();
            self.longest_frame = self.longest_frame.max(length);
            let (rest, frame) = parse_frame(&bytes[..]).expect("a good frame");
            assert!(rest.is_empty());
            if let Some(said) = self.take(frame) {
                return Some(said);
            }
        }
    }

    fn take(&mut self, frame: AMQPFrame) -> Option<Said> {
        let Some((channel, _)) = self.begun else {
            if let AMQPFrame::Method(
                channel,
                AMQPClass::Basic(basic::AMQPMethod::Publish(publish)),
            ) = frame
            {
                self.begun = Some((channel, publish));
                return None;
            }
            return Some(Said::Frame(frame));
        };
        match (frame, &self.header) {
            (AMQPFrame::Header(on, header), None) if on == channel => self.header = Some(header),
            (AMQPFrame::Body(on, piece), Some(_)) if on == channel => {
                assert!(!piece.is_empty(), "an empty body frame");
                self.body.extend(piece);
            }
            (other, _) => unreachable!("{other:?} inside a message"),
        }
        let left = self.header.as_ref()?.body_size - self.body.len() as u64;
        if left > 0 {
            return None;
        }
        let (channel, publish) = self.begun.take()?;
        Some(Said::Message(Published {
            channel,
            publish,
            header: self.header.take()?,
            body: std::mem::take(&mut self.body),
        }))
    }
}

fn whole_frame(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"AMQP") {
        return (bytes.len() >= 8).then_some(8);
    }
    let size = bytes.get(3..7)?.try_into().map(u32::from_be_bytes).ok()?;
    let length = size as usize + 8;
    (bytes.len() >= length).then_some(length)
}

/// What the model did with a message, and at which position of its own stream it said so.
#[derive(Debug, Default)]
pub(super) struct Truth {
    pub(super) processed: bool,
    pub(super) closed_at: Option<u64>,
    pub(super) returned_at: Option<u64>,
    pub(super) settled_at: Option<u64>,
    pub(super) nacked: bool,
}

pub(super) type Truths = BTreeMap<RowId, Truth>;
