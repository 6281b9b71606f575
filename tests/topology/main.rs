//! The exchanges, queues and bindings of a file are there before the first message is published, and
//! what cannot be declared is told and hurts nothing else.
//!
//! One private node, whose tests use names or virtual hosts of their own.

#![allow(
    clippy::disallowed_methods,
    reason = "tests own their clocks and tasks"
)]
#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

#[path = "../support/mod.rs"]
mod support;

mod command;
mod export;
mod mismatch;
mod starting;

use std::path::{Path, PathBuf};
use std::process::Command;

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use support::gateway::Gateway;
use support::queues::{self, unique};

/// An exchange with a queue, and where their file is.
struct Wanted {
    exchange: String,
    queue: String,
    json: Value,
    directory: tempfile::TempDir,
}

impl Wanted {
    /// A direct exchange, a quorum queue, and the binding `key` between them.
    fn new() -> Self {
        let (exchange, queue) = (unique("exchange"), unique("queue"));
        let json = json!({
            "exchanges": [{"name": exchange, "type": "direct"}],
            "queues": [quorum(&queue)],
            "bindings": [{"source": exchange, "destination": queue, "destination_type": "queue",
                          "routing_key": "key"}]
        });
        Self {
            exchange,
            queue,
            json,
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    /// Puts `queues` before the one that there is.
    fn with_queues(mut self, queues: impl IntoIterator<Item = Value>) -> Self {
        let mut all: Vec<_> = queues.into_iter().collect();
        all.push(quorum(&self.queue));
        self.json["queues"] = all.into();
        self
    }

    /// The file, as it says now.
    fn file(&self) -> PathBuf {
        let path = self.directory.path().join("topology.json");
        std::fs::write(&path, self.json.to_string()).expect("written");
        path
    }

    /// A gateway with this file before the broker at `url`.
    async fn gateway(&self, url: &str) -> Gateway {
        let file = self.file().display().to_string();
        support::callers::gateway(url, &[("AMQPOST_TOPOLOGY_FILE", &file)]).await
    }

    async fn post(&self, gateway: &Gateway) -> String {
        let message = json!({"exchange": self.exchange, "routing_key": "key", "payload": "x"});
        let answer = gateway.post(&message).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.id()
    }

    async fn ready(&self, url: &str) -> u32 {
        declare(url, &self.queue, true, None)
            .await
            .expect("it is there")
    }
}

fn quorum(name: &str) -> Value {
    json!({"name": name, "arguments": {"x-queue-type": "quorum"}})
}

/// Declares a queue over a connection of its own, and tells how many messages it has.
async fn declare(url: &str, name: &str, passive: bool, kind: Option<&str>) -> lapin::Result<u32> {
    let connection = queues::connect(url).await;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        passive,
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    if let Some(kind) = kind {
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    }
    let declared = channel
        .queue_declare(name.into(), options, arguments)
        .await?;
    Ok(declared.message_count())
}

async fn is_there(url: &str, queue: &str) -> bool {
    declare(url, queue, true, None).await.is_ok()
}

/// Waits until `/readyz`, which is always 200, tells of the topology that it is in `state`.
async fn topology_is(gateway: &Gateway, state: &str) -> Value {
    let ready = gateway
        .wait_for("/readyz", |answer| {
            answer.json["topology"]["state"] == state
        })
        .await;
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert!(!ready.text.contains("127.0.0.1"), "{}", ready.text);
    ready.json["topology"].clone()
}

/// `amqpost topology ARGUMENTS`: its exit code and all that it said.
fn command(url: &str, verb: &str, file: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amqpost"));
    command.args(["topology", verb]).arg(file);
    let output = command.env("AMQPOST_BROKER_URL", url).output();
    let output = output.expect("the command runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().expect("it is not killed"),
        String::from_utf8(said).expect("text"),
    )
}
