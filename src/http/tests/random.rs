//! Whatever anybody sends.

use proptest::prelude::*;
use serde_json::Value;

use super::model::Rig;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Bytes that are more often almost JSON than chance would have it.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("{\"payload\":".to_owned()),
        Just("\"properties\":{\"headers\":{".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("-1e9".to_owned()),
        "[\\[\\]{}:,\"\\\\ \t0-9a-z.]{0,8}",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_or_refused_but_never_a_5xx(body in any_body()) {
        let rig = Rig::new();
        let answer = run(rig.publish(body));
        prop_assert!(answer.status.as_u16() < 500, "{:?}", answer);
    }

    #[test]
    fn any_fields_are_accepted_or_refused_but_never_a_5xx(
        field in prop::sample::select(super::super::parse::FIELDS.to_vec()),
        property in prop::sample::select(super::super::parse::properties::FIELDS.to_vec()),
        value in any_json(),
        other in any_json(),
    ) {
        let body = serde_json::json!({"payload": 1, "properties": {property: value}, field: other});
        let rig = Rig::new();
        let answer = run(rig.publish(body.to_string()));
        prop_assert!([202, 422].contains(&answer.status.as_u16()), "{:?}", answer);
    }

    #[test]
    fn a_json_payload_is_the_same_value_without_spaces(value in any_json()) {
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        let rig = Rig::new();
        let body = format!("{{ \"payload_encoding\": \"json\", \"payload\": {pretty} }}");
        let answer = run(rig.publish(body));
        prop_assert_eq!(answer.status.as_u16(), 202, "{:?}", answer);
        let sent = rig.model.only().draft.payload.clone();
        let expected = value.to_string();
        prop_assert_eq!(&*sent, expected.as_bytes());
    }
}
