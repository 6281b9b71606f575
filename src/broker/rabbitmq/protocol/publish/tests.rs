use std::sync::Arc;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic};
use amq_protocol::types::{AMQPValue, FieldTable, LongString, ShortString};
use proptest::prelude::*;

use super::super::fixtures::{cases, handover, id, message, whole};
use super::*;
use crate::domain::{Draft, Message, Properties, headers};

mod any;

use any::{any_handover, any_table, any_value};

fn bytes_of(outbox: &Outbox) -> Vec<u8> {
    let mut slices = vec![std::io::IoSlice::new(&[]); 4096];
    let count = outbox.slices(&mut slices);
    let bytes: Vec<u8> = slices[..count]
        .iter()
        .flat_map(|one| one.to_vec())
        .collect();
    assert_eq!(bytes.len(), outbox.len());
    bytes
}

fn frames_of(mut bytes: &[u8]) -> Vec<AMQPFrame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (rest, frame) = parse_frame(bytes).expect("a whole frame");
        frames.push(frame);
        bytes = rest;
    }
    frames
}

fn encoded(handover: &Handover, frame_max: usize) -> Vec<u8> {
    let mut outbox = Outbox::default();
    encode(&mut outbox, 7, handover, frame_max).expect("encodable");
    bytes_of(&outbox)
}

/// The method, header and pieces of body that the frames on channel 7 carry.
fn read(frames: Vec<AMQPFrame>) -> (basic::Publish, AMQPContentHeader, Vec<Vec<u8>>) {
    let mut frames = frames.into_iter();
    let Some(AMQPFrame::Method(7, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))) =
        frames.next()
    else {
        unreachable!("basic.publish comes first")
    };
    let Some(AMQPFrame::Header(7, header)) = frames.next() else {
        unreachable!("the content header comes second")
    };
    let pieces = frames.map(|frame| match frame {
        AMQPFrame::Body(7, piece) => piece,
        other => unreachable!("{other:?} among the body's frames"),
    });
    (publish, header, pieces.collect())
}

fn read_one(message: Arc<Message>) -> (basic::Publish, AMQPContentHeader, Vec<Vec<u8>>) {
    read(frames_of(&encoded(&handover(message), 4096)))
}

fn value_of(value: &HeaderValue) -> AMQPValue {
    match value {
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::Int(value) => AMQPValue::LongLongInt(*value),
        HeaderValue::Double(value) => AMQPValue::Double(*value),
        HeaderValue::Text(text) => AMQPValue::LongString(LongString::from(&**text)),
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Array(items) => {
            AMQPValue::FieldArray(items.iter().map(value_of).collect::<Vec<_>>().into())
        }
        HeaderValue::Table(table) => AMQPValue::FieldTable(table_of(table)),
    }
}

fn table_of(table: &Table) -> FieldTable {
    let mut fields = FieldTable::default();
    for (name, value) in table {
        fields.insert(short(name), value_of(value));
    }
    fields
}

fn short(text: &str) -> ShortString {
    ShortString::try_new(text).expect("short")
}

fn headers_of(handover: &Handover) -> FieldTable {
    let id = handover.message.id.to_string();
    let mut fields = table_of(&handover.message.draft.properties.headers);
    fields.insert(
        short("x-amqpost-id"),
        AMQPValue::LongString(LongString::from(id)),
    );
    if handover.duplicate_possible {
        fields.insert(
            short("x-amqpost-duplicate-possible"),
            AMQPValue::Boolean(true),
        );
    }
    fields
}

fn properties_of(handover: &Handover) -> basic::AMQPProperties {
    let own = &handover.message.draft.properties;
    let message_id = match &own.message_id {
        Some(text) => short(text),
        None => short(handover.message.id.text().as_str()),
    };
    let mut properties = basic::AMQPProperties::default()
        .with_headers(headers_of(handover))
        .with_delivery_mode(own.delivery_mode.octet())
        .with_message_id(message_id);
    if let Some(text) = &own.content_type {
        properties = properties.with_content_type(short(text));
    }
    if let Some(text) = &own.content_encoding {
        properties = properties.with_content_encoding(short(text));
    }
    if let Some(priority) = own.priority {
        properties = properties.with_priority(priority);
    }
    if let Some(text) = &own.correlation_id {
        properties = properties.with_correlation_id(short(text));
    }
    if let Some(text) = &own.reply_to {
        properties = properties.with_reply_to(short(text));
    }
    if let Some(text) = &own.expiration {
        properties = properties.with_expiration(short(text));
    }
    if let Some(seconds) = own.timestamp {
        properties = properties.with_timestamp(seconds);
    }
    if let Some(text) = &own.kind {
        properties = properties.with_type(short(text));
    }
    if let Some(text) = &own.user_id {
        properties = properties.with_user_id(short(text));
    }
    if let Some(text) = &own.app_id {
        properties = properties.with_app_id(short(text));
    }
    properties
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn another_implementation_reads_back_what_was_handed_over(handover in any_handover()) {
        let draft = &handover.message.draft;
        let (publish, header, pieces) = read(frames_of(&encoded(&handover, 131_072)));
        prop_assert_eq!(publish.exchange.as_str(), &*draft.exchange);
        prop_assert_eq!(publish.routing_key.as_str(), &*draft.routing_key);
        prop_assert_eq!((publish.mandatory, publish.immediate), (draft.mandatory, false));
        prop_assert_eq!((header.class_id, header.body_size), (60, draft.payload.len() as u64));
        prop_assert_eq!(header.properties, properties_of(&handover));
        prop_assert!(pieces.concat() == draft.payload);
        prop_assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == 131_064));
    }

    #[test]
    fn the_length_of_a_table_is_told_as_it_is_encoded(table in any_table(any_value())) {
        let mut out = BytesMut::new();
        put_entries(&mut out, &table).expect("short names");
        prop_assert_eq!(4 + out.len(), headers::encoded_len(&table));
        let mut out = BytesMut::new();
        let value = HeaderValue::Table(table);
        put_value(&mut out, &value).expect("short names");
        prop_assert_eq!(out.len(), value.encoded_len());
    }
}

#[test]
fn a_body_is_split_at_the_frames_room_and_no_frame_is_over_it() {
    for frame_max in [4096, 131_072] {
        let room = frame_max - 8;
        for (size, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (room, vec![room]),
            (room + 1, vec![room, 1]),
            (3 * room, vec![room; 3]),
        ] {
            let bytes = encoded(&handover(message(1, "x", size)), frame_max);
            let (_, header, pieces) = read(frames_of(&bytes));
            assert_eq!(header.body_size, size as u64);
            let lengths: Vec<_> = pieces.iter().map(Vec::len).collect();
            assert_eq!(lengths, expected, "{size} bytes in frames of {frame_max}");
        }
    }
}

#[test]
fn the_id_is_the_first_header_whatever_the_caller_sends() {
    let handover = handover(with_headers(vec![("a".into(), HeaderValue::Null)]));
    let bytes = encoded(&handover, 4096);
    let needle = [&b"\x0cx-amqpost-idS\0\0\0\x24"[..], id(1).text().as_bytes()].concat();
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)
        .expect("the id");
    let table_length = 12 + 1 + 1 + 4 + 36 + 1 + 1 + 1;
    let length_field = [0, 0, 0, table_length];
    assert_eq!(bytes[at - 4..at], length_field);
}

#[test]
fn consumers_are_told_of_a_possible_duplicate_only_when_there_is_one() {
    for duplicate_possible in [false, true] {
        let message = message(1, "x", 1);
        let handover = Handover {
            message,
            duplicate_possible,
            patience: None,
        };
        let (_, header, _) = read(frames_of(&encoded(&handover, 4096)));
        let headers = header.properties.headers().clone().expect("headers");
        let told = headers.inner().get("x-amqpost-duplicate-possible");
        let expected = duplicate_possible.then_some(AMQPValue::Boolean(true));
        assert_eq!(told, expected.as_ref());
    }
}

#[test]
fn the_callers_own_message_id_is_kept_and_without_one_the_gateways_is_sent() {
    let (_, header, _) = read_one(message(1, "x", 0));
    let sent = header.properties.message_id().clone().expect("an id");
    assert_eq!(sent.as_str(), id(1).to_string());

    let own = Properties {
        message_id: Some("mine".into()),
        ..Properties::default()
    };
    let (_, header, _) = read_one(with_properties(own));
    assert_eq!(header.properties.message_id(), &Some(short("mine")));
}

fn with_properties(properties: Properties) -> Arc<Message> {
    let draft = Draft {
        properties,
        ..message(1, "x", 5).draft.clone()
    };
    whole(1, draft)
}

fn with_headers(headers: Table) -> Arc<Message> {
    with_properties(Properties {
        headers,
        ..Properties::default()
    })
}

/// Why `handover` cannot be encoded. The outbox, which holds bytes already, is left as it was.
fn refused(handover: &Handover, frame_max: usize) -> Unencodable {
    let mut outbox = Outbox::default();
    outbox.push(vec![1; 20_000].into());
    outbox.tail().put_slice(b"before");
    let before = bytes_of(&outbox);
    let unencodable = encode(&mut outbox, 7, handover, frame_max).expect_err("not encodable");
    assert!(bytes_of(&outbox) == before, "the outbox was changed");
    unencodable
}

#[test]
fn a_header_that_fills_its_frame_is_sent_and_one_byte_more_is_refused() {
    for frame_max in [4096, 131_072] {
        let text = |size: usize| vec![("t".into(), HeaderValue::Text("t".repeat(size).into()))];
        let spare = frame_max - header_frame_bytes(&handover(with_headers(text(0))));
        let fits = handover(with_headers(text(spare)));
        assert_eq!(read(frames_of(&encoded(&fits, frame_max))).2.len(), 1);
        assert_eq!(header_frame_bytes(&fits), frame_max);
        let bytes = frame_max + 1;
        assert_eq!(
            refused(&handover(with_headers(text(spare + 1))), frame_max),
            Unencodable::HeaderTooLarge { bytes, frame_max }
        );
    }
}

fn header_frame_bytes(handover: &Handover) -> usize {
    let bytes = encoded(handover, 1 << 20);
    let (rest, _) = parse_frame(&bytes[..]).expect("the method");
    let (body, _) = parse_frame(rest).expect("the header");
    rest.len() - body.len()
}

#[test]
fn a_name_or_property_of_256_bytes_is_refused_wherever_it_stands() {
    let long: Box<str> = "n".repeat(256).into();
    let text = || Some(long.clone());
    let default = Properties::default;
    let nested = HeaderValue::Array(vec![HeaderValue::Table(vec![(
        long.clone(),
        HeaderValue::Null,
    )])]);
    #[rustfmt::skip]
    let properties = [
        Properties { content_type: text(), ..default() },
        Properties { content_encoding: text(), ..default() },
        Properties { correlation_id: text(), ..default() },
        Properties { reply_to: text(), ..default() },
        Properties { expiration: text(), ..default() },
        Properties { message_id: text(), ..default() },
        Properties { kind: text(), ..default() },
        Properties { user_id: text(), ..default() },
        Properties { app_id: text(), ..default() },
        Properties { headers: vec![(long.clone(), HeaderValue::Null)], ..default() },
        Properties { headers: vec![("nested".into(), nested)], ..default() },
    ];
    let draft = message(1, "x", 5).draft.clone();
    #[rustfmt::skip]
    let names = [
        Draft { exchange: long.clone(), ..draft.clone() },
        Draft { routing_key: long.clone(), ..draft },
    ];
    let drafts = names.map(|draft| whole(1, draft));
    for message in properties.map(with_properties).into_iter().chain(drafts) {
        assert_eq!(refused(&handover(message), 4096), Unencodable::NameTooLong);
    }
}

#[test]
fn the_trace_of_a_request_is_among_the_headers_unless_the_message_says_its_own() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = |headers: Table| {
        let mut draft = message(1, "e", 0).draft.clone();
        draft.properties.headers = headers;
        draft.terms = crate::domain::Terms {
            trace: TraceContext::of(parent, ["a=1"]),
            ..Default::default()
        }
        .boxed();
        let (_, header, _) = read(frames_of(&encoded(&handover(whole(1, draft)), 4096)));
        let headers = header.properties.headers().clone().expect("headers");
        let text = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => Some(text.to_string()),
            _ => None,
        };
        (text(TRACEPARENT), text(TRACESTATE))
    };
    assert_eq!(
        traced(Table::new()),
        (Some(parent.into()), Some("a=1".into()))
    );
    let own = |name: &str| vec![(name.into(), HeaderValue::Text("own".into()))];
    assert_eq!(traced(own(TRACEPARENT)), (Some("own".into()), None));
    assert_eq!(traced(own(TRACESTATE)), (None, Some("own".into())));
}
