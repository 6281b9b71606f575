//! Messages and batches to test stores with.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use crate::domain::{
    DeliveryMode, Draft, HeaderValue, Message, MessageId, Properties, RowId, Status, WallTime,
};
use crate::store::{Accepted, Batch, Settlement};

/// A message of a place in the order, of partition 0.
pub(crate) fn one(row: u64, payload: impl Into<Bytes>) -> Accepted {
    let random = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let message = Message {
        id: MessageId::from_parts(RowId::from_stored(row), random),
        accepted_at: WallTime::from_unix_ms(row >> 12),
        draft: Draft {
            caller: crate::domain::Caller::default(),
            exchange: "log.exchange".into(),
            routing_key: format!("key.{}", row % 7).into(),
            mandatory: true,
            ordering_key: None,
            properties: Properties::default(),
            payload: payload.into(),
            terms: None,
        },
    };
    Accepted {
        message: Arc::new(message),
        partition: 0,
        key: None,
        due: None,
        clock_step_ms: 0,
    }
}

/// So many small messages, from row 1.
pub(crate) fn accepted(count: u64) -> Vec<Accepted> {
    (1..=count)
        .map(|row| one(row, Bytes::from_static(b"12345")))
        .collect()
}

/// They were confirmed at millisecond 9.
pub(crate) fn confirmed(accepted: &[Accepted]) -> Vec<Settlement> {
    accepted
        .iter()
        .map(|one| settlement(one.message.id, Status::Confirmed, 9))
        .collect()
}

/// An end without a reason.
pub(crate) fn settlement(id: MessageId, status: Status, at_ms: u64) -> Settlement {
    Settlement {
        id,
        status,
        reason: None,
        attempts: 1,
        duplicate_possible: false,
        revision: 2,
        settled_at: WallTime::from_unix_ms(at_ms),
    }
}

/// A batch that only accepts.
pub(crate) fn accepting(accepted: &[Accepted]) -> Batch<'_> {
    Batch {
        accepted,
        ..Batch::default()
    }
}

/// A batch that only settles.
pub(crate) fn settling(settled: &[Settlement]) -> Batch<'_> {
    Batch {
        settled,
        ..Batch::default()
    }
}

fn any_text() -> impl Strategy<Value = Box<str>> {
    "\\PC{0,12}".prop_map(Into::into)
}

fn any_value() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        (-1e300..1e300_f64).prop_map(HeaderValue::Double),
        any_text().prop_map(HeaderValue::Text),
        Just(HeaderValue::Null),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(HeaderValue::Array),
            prop::collection::vec((any_text(), inner), 0..4).prop_map(HeaderValue::Table),
        ]
    })
}

/// Properties of every kind, empty ones and default ones among them.
pub(crate) fn any_properties() -> impl Strategy<Value = Properties> {
    let text = || prop::option::of(any_text());
    let texts = (
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
        text(),
    );
    let headers = prop::collection::vec((any_text(), any_value()), 0..4);
    let rest = (
        headers,
        any::<bool>(),
        any::<Option<u8>>(),
        any::<Option<u64>>(),
    );
    (texts, rest).prop_map(
        |(texts, (headers, transient, priority, timestamp))| Properties {
            content_type: texts.0,
            content_encoding: texts.1,
            headers,
            delivery_mode: if transient {
                DeliveryMode::Transient
            } else {
                DeliveryMode::Persistent
            },
            priority,
            correlation_id: texts.2,
            reply_to: texts.3,
            expiration: texts.4,
            message_id: texts.5,
            timestamp,
            kind: texts.6,
            user_id: texts.7,
            app_id: texts.8,
        },
    )
}
