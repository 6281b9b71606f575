//! What consumers get: the payload byte for byte, and every property as it was given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lapin::types::{AMQPValue, FieldTable};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::broker_node::shared_broker_url;
use super::support::gateway::{Answer, Gateway};
use super::support::queues::{Arrived, Kind, Place};
use super::{WAIT, assert_confirmed, gateway, message};

/// Publishes and gives what arrived, with the answer.
async fn through(gateway: &Gateway, place: &Place, mut body: Value) -> (Answer, Arrived) {
    body["exchange"] = json!(place.exchange);
    body["routing_key"] = json!(place.routing_key);
    through_as_written(gateway, place, body.to_string()).await
}

async fn through_as_written(gateway: &Gateway, place: &Place, body: String) -> (Answer, Arrived) {
    let headers = [("content-type", "application/json"), WAIT];
    let answer = gateway
        .request(Method::POST, "/v1/messages", &headers, body)
        .await;
    assert_confirmed(&answer);
    let arrived = place.take_one().await.expect("it is confirmed");
    assert_eq!(arrived.amqpost_id(), Some(answer.id()));
    assert_eq!(
        answer.json["size_bytes"].as_u64(),
        Some(arrived.payload.len() as u64)
    );
    (answer, arrived)
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[tokio::test]
async fn a_bare_message_gets_the_gateways_defaults_and_nothing_else() {
    let gateway = gateway(&[]).await;
    // Quorum queues add a header of their own.
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let (answer, arrived) = through(&gateway, &place, json!({"payload": "grüße"})).await;
    assert_eq!(arrived.payload, "grüße".as_bytes());
    assert_eq!(arrived.exchange, place.exchange);
    assert_eq!(arrived.routing_key, place.routing_key);

    let mut headers = FieldTable::default();
    headers.insert("x-amqpost-id".into(), text(&answer.id()));
    let expected = lapin::BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(answer.id().as_str().into())
        .with_headers(headers);
    assert_eq!(arrived.properties, expected);
    assert_eq!(answer.json["message_id"], json!(answer.id()));
}

#[tokio::test]
async fn every_property_arrives_as_it_was_given() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let (answer, arrived) = through(
        &gateway,
        &place,
        json!({"payload": "all", "properties": {
            "content_type": "text/plain; charset=utf-8", "content_encoding": "identity",
            "delivery_mode": 1, "priority": 7, "correlation_id": "request 4711",
            "reply_to": "answers", "expiration": 600_000, "message_id": "my own",
            "timestamp": 1_700_000_000, "type": "order.created", "user_id": "guest",
            "app_id": "shop"}}),
    )
    .await;
    let got = &arrived.properties;
    let strings = [
        (got.content_type(), "text/plain; charset=utf-8"),
        (got.content_encoding(), "identity"),
        (got.correlation_id(), "request 4711"),
        (got.reply_to(), "answers"),
        (got.expiration(), "600000"),
        (got.message_id(), "my own"),
        (got.kind(), "order.created"),
        (got.user_id(), "guest"),
        (got.app_id(), "shop"),
    ];
    for (got, expected) in strings {
        assert_eq!(
            got.as_ref().map(lapin::types::ShortString::as_str),
            Some(expected)
        );
    }
    assert_eq!(got.delivery_mode(), &Some(1));
    assert_eq!(got.priority(), &Some(7));
    assert_eq!(got.timestamp(), &Some(1_700_000_000));
    assert_eq!(answer.json["message_id"], "my own");
    assert_ne!(answer.id(), "my own");
}

#[tokio::test]
async fn nested_headers_keep_their_types() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let (answer, arrived) = through(
        &gateway,
        &place,
        json!({"payload": "x", "properties": {"headers": {
            "text": "ä", "yes": true, "small": -1, "large": 9_223_372_036_854_775_807_i64,
            "half": 0.5, "nothing": null, "list": [1, "two", [true]],
            "table": {"inner": {"leaf": "green"}}, "": "no name"}}}),
    )
    .await;
    let mut inner = FieldTable::default();
    inner.insert("leaf".into(), text("green"));
    let mut table = FieldTable::default();
    table.insert("inner".into(), AMQPValue::FieldTable(inner));
    let list = vec![
        AMQPValue::LongLongInt(1),
        text("two"),
        AMQPValue::FieldArray(vec![AMQPValue::Boolean(true)].into()),
    ];
    let expected = [
        ("text", text("ä")),
        ("yes", AMQPValue::Boolean(true)),
        ("small", AMQPValue::LongLongInt(-1)),
        ("large", AMQPValue::LongLongInt(i64::MAX)),
        ("half", AMQPValue::Double(0.5)),
        ("nothing", AMQPValue::Void),
        ("list", AMQPValue::FieldArray(list.into())),
        ("table", AMQPValue::FieldTable(table)),
        ("", text("no name")),
        ("x-amqpost-id", text(&answer.id())),
    ];
    for (name, value) in &expected {
        assert_eq!(arrived.header(name), Some(value), "{name}");
    }
    let headers = arrived.properties.headers().as_ref().expect("there are");
    assert_eq!(headers.inner().len(), expected.len(), "{headers:?}");
}

#[tokio::test]
async fn json_payloads_arrive_as_they_were_written() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let cases = [
        (
            r#"{ "b" : 1.50, "a": [1,  2E3, 123456789012345678901234567890], "t": "a  \u00e4" }"#,
            "string",
            r#"{"b":1.50,"a":[1,2E3,123456789012345678901234567890],"t":"a  \u00e4"}"#,
        ),
        ("null", "string", "null"),
        (r#""a string""#, "json", r#""a string""#),
        ("-0.0", "json", "-0.0"),
    ];
    for (written, encoding, expected) in cases {
        let (exchange, key) = (&place.exchange, &place.routing_key);
        let body = format!(
            r#"{{"payload":{written},"payload_encoding":"{encoding}",
                 "exchange":"{exchange}","routing_key":"{key}"}}"#
        );
        let (_, arrived) = through_as_written(&gateway, &place, body).await;
        assert_eq!(String::from_utf8_lossy(&arrived.payload), expected);
        let content_type = arrived.properties.content_type().as_ref();
        assert_eq!(
            content_type.map(lapin::types::ShortString::as_str),
            Some("application/json")
        );
    }
}

#[tokio::test]
async fn any_bytes_arrive_none_of_them_and_sixteen_mebibytes_of_them() {
    let gateway = gateway(&[("AMQPOST_BODY_BYTES_MAX", "33554432")]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Classic).await;
    let large: Vec<u8> = (0..16_u32 << 20)
        .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let all_bytes: Vec<u8> = (0..=255).collect();
    for payload in [all_bytes, Vec::new(), large] {
        let body = json!({"payload": STANDARD.encode(&payload), "payload_encoding": "base64"});
        let (_, arrived) = through(&gateway, &place, body).await;
        assert_eq!(arrived.payload.len(), payload.len());
        assert!(arrived.payload == payload, "the bytes differ");
        assert_eq!(arrived.properties.content_type(), &None);
    }
    let (_, arrived) = through(&gateway, &place, json!({"payload": ""})).await;
    assert!(arrived.payload.is_empty());
}

#[tokio::test]
async fn messages_of_one_key_arrive_in_the_order_of_their_answers() {
    let gateway = gateway(&[]).await;
    let place = Place::declare(&shared_broker_url(), Kind::Quorum).await;
    let mut ids = Vec::new();
    for number in 0..200 {
        let message = message(&place.exchange, &place.routing_key, &number.to_string());
        ids.push(gateway.post(&message).await.id());
    }
    let arrived = place.take(ids.len()).await;
    let order: Vec<_> = arrived.iter().filter_map(Arrived::amqpost_id).collect();
    assert_eq!(order, ids);
}
