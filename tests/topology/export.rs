//! What `RabbitMQ` itself exports can be declared on it again, and changes nothing.

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{Channel, ExchangeKind};
use serde_json::Value;

use super::support::broker_node::PrivateNode;
use super::support::{callers, queues};
use super::{command, topology_is};

const VHOST: &str = "exported";

fn table(arguments: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    table
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Things of all kinds, with arguments of all types, as other clients declare them.
async fn declare_all_kinds(url: &str) -> lapin::Result<()> {
    let connection = queues::connect(url).await;
    let channel = connection.create_channel().await?;
    declare_exchanges(&channel).await?;
    declare_queues(&channel).await?;
    bind(&channel).await?;
    connection.close(200, "done".into()).await
}

async fn declare_exchanges(channel: &Channel) -> lapin::Result<()> {
    let exchanges = [
        ("rest", ExchangeKind::Fanout, true, false, table(&[])),
        (
            "direct",
            ExchangeKind::Direct,
            true,
            false,
            table(&[("alternate-exchange", text("rest"))]),
        ),
        (
            "headers",
            ExchangeKind::Headers,
            true,
            false,
            table(&[("made-by", text("é"))]),
        ),
        ("fleeting", ExchangeKind::Topic, false, false, table(&[])),
        // Exports leave it out, and keep its binding.
        ("inner", ExchangeKind::Topic, true, true, table(&[])),
    ];
    for (name, kind, durable, internal, arguments) in exchanges {
        let options = ExchangeDeclareOptions {
            durable,
            internal,
            ..ExchangeDeclareOptions::default()
        };
        channel
            .exchange_declare(name.into(), kind, options, arguments)
            .await?;
    }
    Ok(())
}

async fn declare_queues(channel: &Channel) -> lapin::Result<()> {
    let odd = [
        ("x-max-priority", AMQPValue::ShortShortInt(5)),
        ("x-max-length", AMQPValue::LongInt(7)),
        ("x-message-ttl", AMQPValue::LongUInt(3_600_000)),
        ("x-overflow", text("reject-publish")),
        ("ratio", AMQPValue::Double(0.1 + 0.2)),
        ("yes", AMQPValue::Boolean(true)),
        (
            "list",
            AMQPValue::FieldArray(FieldArray::from(vec![
                text("a"),
                AMQPValue::LongLongInt(1 << 60),
            ])),
        ),
        (
            "table",
            AMQPValue::FieldTable(table(&[("a", AMQPValue::LongLongInt(-1))])),
        ),
    ];
    let quorum = [
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text("rest")),
        ("x-delivery-limit", AMQPValue::LongInt(3)),
    ];
    for (name, durable, arguments) in [
        ("plain", true, table(&[])),
        ("odd", true, table(&odd)),
        ("quorum", true, table(&quorum)),
        ("stream", true, table(&[("x-queue-type", text("stream"))])),
        ("fleeting", false, table(&[])),
    ] {
        let options = QueueDeclareOptions {
            durable,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(name.into(), options, arguments)
            .await?;
    }
    Ok(())
}

async fn bind(channel: &Channel) -> lapin::Result<()> {
    let bound = [
        ("plain", "direct", "a", table(&[])),
        ("quorum", "direct", "", table(&[])),
        ("plain", "inner", "#", table(&[])),
        ("odd", "amq.topic", "#", table(&[])),
        (
            "odd",
            "headers",
            "",
            table(&[
                ("x-match", text("all")),
                ("n", AMQPValue::LongLongInt(1)),
                ("t", text("1")),
            ]),
        ),
    ];
    for (queue, exchange, key, arguments) in bound {
        channel
            .queue_bind(
                queue.into(),
                exchange.into(),
                key.into(),
                QueueBindOptions::default(),
                arguments,
            )
            .await?;
    }
    let options = ExchangeBindOptions::default();
    channel
        .exchange_bind(
            "rest".into(),
            "direct".into(),
            "b".into(),
            options,
            table(&[]),
        )
        .await
}

/// What the export at `path` says of the virtual host.
fn entries(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("an export");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let mut entries: Vec<_> = ["exchanges", "queues", "bindings"]
        .iter()
        .flat_map(|section| json[section].as_array().expect("a section"))
        .filter(|entry| entry["vhost"] == VHOST)
        .map(ToString::to_string)
        .collect();
    entries.sort();
    entries
}

#[tokio::test]
async fn an_export_is_declared_on_its_broker_without_a_change() {
    let node = PrivateNode::shared().await;
    node.eval(&format!(
        r#"rabbit_vhost:add(<<"{VHOST}">>, <<"test">>),
           rabbit_auth_backend_internal:set_permissions(
               <<"guest">>, <<"{VHOST}">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)"#
    ))
    .await;
    let url = format!("amqp://guest:guest@127.0.0.1:{}/{VHOST}", node.port());
    declare_all_kinds(&url).await.expect("declared");
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (before, after) = (path("before.json"), path("after.json"));
    node.ctl(&["export_definitions", &before]).await;
    assert_eq!(entries(&before).len(), 4 + 5 + 6);

    let (code, said) = command(&url, "check", before.as_ref());
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("9 as in the file, 0 to be declared, 0 would be refused"),
        "{said}"
    );
    assert!(said.contains("users ("), "{said}");
    assert!(!said.contains("password"), "{said}");

    let gateway = callers::gateway(&url, &[("AMQPOST_TOPOLOGY_FILE", &before)]).await;
    let topology = topology_is(&gateway, "declared").await;
    assert_eq!(
        (
            &topology["exchanges"],
            &topology["queues"],
            &topology["bindings"]
        ),
        (&4.into(), &5.into(), &6.into())
    );
    node.ctl(&["export_definitions", &after]).await;
    assert_eq!(entries(&after), entries(&before));
}
