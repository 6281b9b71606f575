//! What must hold for any bytes. The fuzzer looks for bytes for which it does not; the tests of the crate
//! replay those that it found worth keeping.

use std::sync::Arc;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::{AMQPValue, FieldTable};
use amqpost::broker::Handover;
use amqpost::broker::rabbitmq::protocol::outbox::Outbox;
use amqpost::broker::rabbitmq::protocol::publish::encode;
use amqpost::domain::topology;
use amqpost::domain::{Draft, HeaderValue, Message, MessageId, RowId, Table, WallTime, headers};
use amqpost::http::reading::Reading;
use axum::http::{HeaderMap, HeaderName, HeaderValue as FieldValue};
use bytes::Bytes;
use serde_json::Value;

/// What must hold for any bytes; it panics where it does not.
type Check = fn(&[u8]);

/// A target, and what must hold for it.
pub const TARGETS: [(&str, Check); 5] = [
    ("json", message),
    ("headers", header_table),
    ("batch", batch),
    ("raw", raw),
    ("definitions", definitions),
];

/// As RabbitMQ's own.
const FRAME_MAX: usize = 131_072;

fn reading() -> Reading {
    Reading::new(WallTime::from_unix_ms(1_800_000_000_000))
}

/// A body of one message: what is accepted says what the JSON says, and AMQP can carry it.
fn message(body: &[u8]) {
    let read = reading().message(body);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match read {
        Err(problem) => {
            let refused = problem.code.as_str();
            let is_object = value.is_some_and(|value| value.is_object());
            assert!(!is_object || refused == "invalid_message", "{problem:?}");
        }
        Ok(keyed) => {
            assert_carried(&keyed.draft);
            // What nests deeper, or holds numbers beyond all bounds, is no `Value`.
            if let Some(value) = value {
                assert_says(&keyed.draft, &value);
            }
        }
    }
}

fn assert_says(draft: &Draft, value: &Value) {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let exchange = text("exchange");
    let exchange = if exchange == "amq.default" {
        ""
    } else {
        exchange
    };
    assert_eq!(&*draft.exchange, exchange);
    assert_eq!(&*draft.routing_key, text("routing_key"));
    assert_eq!(draft.mandatory, value["mandatory"] != false);
    let payload = &value["payload"];
    match (text("payload_encoding"), payload) {
        ("" | "string", Value::String(payload)) => assert_eq!(draft.payload, payload.as_bytes()),
        ("base64", _) => {}
        _ => {
            let sent: Value = serde_json::from_slice(&draft.payload).expect("JSON goes as JSON");
            assert_eq!(sent, *payload);
        }
    }
}

/// A JSON text as the headers of a message: what is accepted arrives as it was accepted.
fn header_table(json: &[u8]) {
    let mut body = br#"{"payload":"","properties":{"headers":"#.to_vec();
    body.extend_from_slice(json);
    body.extend_from_slice(b"}}");
    if let Ok(keyed) = reading().message(&body) {
        assert_carried(&keyed.draft);
    }
}

/// A batch, whose first byte says in which form. Every line stands for what it would be alone.
fn batch(bytes: &[u8]) {
    let Some((form, body)) = bytes.split_first() else {
        return;
    };
    let lines = form % 2 == 1;
    let Ok(items) = reading().batch(body, lines) else {
        return;
    };
    if lines {
        let text = str::from_utf8(body).expect("a batch is UTF-8");
        let lines: Vec<_> = text
            .split('\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .collect();
        assert_eq!(items.len(), lines.len());
        for (item, line) in items.iter().zip(lines) {
            let alone = reading().message(line.as_bytes());
            assert_eq!(item.as_ref().ok(), alone.as_ref().ok());
        }
    } else if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let all = value["messages"].as_array().expect("it was read as one");
        assert_eq!(items.len(), all.len());
    }
}

/// A raw request: the query, lines of headers, an empty line, the body.
fn raw(bytes: &[u8]) {
    let mut rest = bytes;
    let mut line = || {
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        line
    };
    let query = String::from_utf8_lossy(line()).into_owned();
    let mut fields = HeaderMap::new();
    loop {
        let line = line();
        if line.is_empty() {
            break;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = FieldValue::from_bytes(parts.next().unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    let body = Bytes::copy_from_slice(rest);
    let Ok(keyed) = reading().raw("log.exchange", &query, &fields, body.clone()) else {
        return;
    };
    let draft = keyed.draft;
    assert_eq!(draft.payload, body);
    let own = fields
        .keys()
        .filter(|name| name.as_str().starts_with("amqp-header-"));
    assert_eq!(draft.properties.headers.len(), own.count());
    assert_carried(&draft);
}

/// A definitions file: what is accepted has names that AMQP can carry, with a byte order mark as without.
fn definitions(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let read = topology::parse(text, "/");
    let marked = topology::parse(&format!("\u{feff}{text}"), "/");
    assert!(text.starts_with('\u{feff}') || format!("{read:?}") == format!("{marked:?}"));
    let Ok(read) = read else {
        return;
    };
    for entry in &read.entries {
        match entry {
            topology::Entry::Exchange(exchange) => assert_short(&[&exchange.name, &exchange.kind]),
            topology::Entry::Queue(queue) => assert_short(&[&queue.name]),
            topology::Entry::Binding(binding) => {
                assert_short(&[&binding.source, &binding.routing_key]);
            }
        }
    }
}

fn assert_short(names: &[&str]) {
    assert!(names.iter().all(|name| name.len() <= 255), "{names:?}");
}

/// The frames of the message carry what the message says.
fn assert_carried(draft: &Draft) {
    let id = MessageId::from_parts(RowId::from_stored(1), 2);
    let accepted_at = WallTime::default();
    let handover = Handover {
        message: Arc::new(Message {
            id,
            accepted_at,
            draft: draft.clone(),
        }),
        duplicate_possible: false,
        patience: None,
    };
    let mut outbox = Outbox::default();
    let encoded = encode(&mut outbox, 1, &handover, FRAME_MAX);
    encoded.expect("whatever the rules let pass can be encoded");
    let mut slices = vec![std::io::IoSlice::new(&[]); 64];
    let count = outbox.slices(&mut slices);
    let bytes: Vec<u8> = slices[..count]
        .iter()
        .flat_map(|one| one.to_vec())
        .collect();
    let (rest, method) = parse_frame(&*bytes).expect("a method");
    let AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))) = method else {
        panic!("{method:?}")
    };
    assert_eq!(publish.exchange.as_str(), &*draft.exchange);
    assert_eq!(publish.routing_key.as_str(), &*draft.routing_key);
    let (_, header) = parse_frame(rest).expect("a content header");
    let AMQPFrame::Header(1, header) = header else {
        panic!("{header:?}")
    };
    assert_eq!(header.body_size, draft.payload.len() as u64);
    let table = &draft.properties.headers;
    let carried = header.properties.headers().clone().unwrap_or_default();
    for (name, value) in table {
        assert_value(carried.inner().get(&**name), value);
    }
    // The id comes with every message.
    assert_eq!(carried.inner().len(), table.len() + 1);
    let limit = amqpost::domain::Limits::default().headers_bytes_max;
    assert!(headers::encoded_len(table) <= limit);
}

fn assert_value(carried: Option<&AMQPValue>, said: &HeaderValue) {
    let holds = match (carried, said) {
        (Some(AMQPValue::Boolean(got)), HeaderValue::Bool(said)) => got == said,
        (Some(AMQPValue::LongLongInt(got)), HeaderValue::Int(said)) => got == said,
        (Some(AMQPValue::Double(got)), HeaderValue::Double(said)) => {
            got.to_bits() == said.to_bits()
        }
        (Some(AMQPValue::LongString(got)), HeaderValue::Text(said)) => {
            got.as_bytes() == said.as_bytes()
        }
        (Some(AMQPValue::Void), HeaderValue::Null) => true,
        (Some(AMQPValue::FieldArray(got)), HeaderValue::Array(said)) => {
            for (got, said) in got.as_slice().iter().zip(said) {
                assert_value(Some(got), said);
            }
            got.as_slice().len() == said.len()
        }
        (Some(AMQPValue::FieldTable(got)), HeaderValue::Table(said)) => {
            assert_table(got, said);
            true
        }
        _ => false,
    };
    assert!(holds, "{said:?} is carried as {carried:?}");
}

fn assert_table(carried: &FieldTable, said: &Table) {
    assert_eq!(carried.inner().len(), said.len());
    for (name, value) in said {
        assert_value(carried.inner().get(&**name), value);
    }
}
