//! Any message that the rules let pass.

use proptest::prelude::*;

use super::super::super::fixtures::whole;
use super::super::*;
use crate::domain::{DeliveryMode, Draft, Properties};

fn any_name() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        4 => "[a-zä.]{0,12}",
        1 => Just("n".repeat(255)),
        1 => Just("ä".repeat(127)),
    ]
    .prop_map(Into::into)
}

pub(super) fn any_table(
    values: impl Strategy<Value = HeaderValue>,
) -> impl Strategy<Value = Table> {
    prop::collection::btree_map(any_name(), values, 0..5)
        .prop_map(|table| table.into_iter().collect())
}

pub(super) fn any_value() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        prop::num::f64::NORMAL.prop_map(HeaderValue::Double),
        Just(HeaderValue::Double(-0.0)),
        ".{0,300}".prop_map(|text| HeaderValue::Text(text.into())),
        Just(HeaderValue::Null),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(HeaderValue::Array),
            any_table(inner).prop_map(HeaderValue::Table),
        ]
    })
}

prop_compose! {
    fn any_properties()(
        texts in prop::collection::vec(prop::option::of(any_name()), 9),
        headers in any_table(any_value()),
        transient in any::<bool>(),
        priority in any::<Option<u8>>(),
        timestamp in any::<Option<u64>>(),
    ) -> Properties {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        Properties {
            content_type: text(),
            content_encoding: text(),
            headers,
            delivery_mode: if transient { DeliveryMode::Transient } else { DeliveryMode::Persistent },
            priority,
            correlation_id: text(),
            reply_to: text(),
            expiration: text(),
            message_id: text(),
            timestamp,
            kind: text(),
            user_id: text(),
            app_id: text(),
        }
    }
}

prop_compose! {
    pub(super) fn any_handover()(
        number in 0_u64..1 << 60,
        exchange in any_name(),
        routing_key in any_name(),
        mandatory in any::<bool>(),
        properties in any_properties(),
        size in prop_oneof![0_usize..20_000, Just(4088), Just(131_064), 131_000_usize..300_000],
        duplicate_possible in any::<bool>(),
    ) -> Handover {
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
        let draft = Draft { caller: crate::domain::Caller::default(),
            exchange,
            routing_key,
            mandatory,
            ordering_key: Some("kept to ourselves".into()),
            properties,
            payload: payload.into(),
            terms: None,
        };
        Handover { message: whole(number, draft), duplicate_possible, patience: None }
    }
}
