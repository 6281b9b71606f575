//! Frames to bytes, and the frames that a server says.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame};
use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};

use super::Publish;

/// The class of `basic.*`.
pub(super) const BASIC_CLASS: u16 = 60;

/// What a frame has beside its payload.
pub(super) const FRAME_OVERHEAD_BYTES: usize = 8;

pub(super) fn encode(frames: &[AMQPFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        let written = gen_frame(frame)(WriteContext::from(bytes)).expect("a vector takes all");
        bytes = written.into_inner().0;
    }
    bytes
}

/// Text that a server may say: cut to what a short string holds.
pub(super) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::try_new(&text[..end]).expect("it was cut")
}

pub(super) fn start() -> AMQPFrame {
    let mut capabilities = FieldTable::default();
    for capability in [
        "publisher_confirms",
        "basic.nack",
        "connection.blocked",
        "authentication_failure_close",
    ] {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut server_properties = FieldTable::default();
    server_properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    server_properties.insert("product".into(), AMQPValue::LongString("scripted".into()));
    on_connection(connection::AMQPMethod::Start(connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties,
        mechanisms: "PLAIN EXTERNAL AMQPLAIN".into(),
        locales: "en_US".into(),
    }))
}

pub(super) fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> AMQPFrame {
    on_connection(connection::AMQPMethod::Tune(connection::Tune {
        channel_max,
        frame_max,
        heartbeat,
    }))
}

pub(super) fn connection_close(code: u16, text: &str) -> AMQPFrame {
    on_connection(connection::AMQPMethod::Close(connection::Close {
        reply_code: code,
        reply_text: short(text),
        class_id: 0,
        method_id: 0,
    }))
}

pub(super) fn on_connection(method: connection::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(0, AMQPClass::Connection(method))
}

pub(super) fn on_channel(id: u16, method: channel::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(id, AMQPClass::Channel(method))
}

pub(super) fn select_ok(id: u16) -> AMQPFrame {
    let method = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
    AMQPFrame::Method(id, AMQPClass::Confirm(method))
}

pub(super) fn on_basic(id: u16, method: basic::AMQPMethod) -> AMQPFrame {
    AMQPFrame::Method(id, AMQPClass::Basic(method))
}

/// A `basic.return` with all that belongs to it.
pub(super) fn returned(
    publish: &Publish,
    code: u16,
    text: &str,
    frame_max: usize,
) -> Vec<AMQPFrame> {
    let method = basic::AMQPMethod::Return(basic::Return {
        reply_code: code,
        reply_text: short(text),
        exchange: short(&publish.exchange),
        routing_key: short(&publish.routing_key),
    });
    let mut frames = vec![
        on_basic(publish.channel, method),
        header(publish.channel, publish.body.len(), &publish.properties),
    ];
    for part in publish.body.chunks(frame_max - FRAME_OVERHEAD_BYTES) {
        frames.push(AMQPFrame::Body(publish.channel, part.to_vec()));
    }
    frames
}

fn header(channel: u16, body_bytes: usize, properties: &AMQPProperties) -> AMQPFrame {
    let header = AMQPContentHeader {
        class_id: BASIC_CLASS,
        body_size: body_bytes as u64,
        properties: properties.clone(),
    };
    AMQPFrame::Header(channel, header)
}
