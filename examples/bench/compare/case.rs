//! What is measured: a kind of queue, a size of messages, and a way to publish.

use std::fmt;
use std::time::Instant;

use lapin::options::{ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use serde::Serialize;

use super::amqpost_tests::broker_node::PrivateNode;
use super::load::{self, Request};
use super::measured::{Cpu, Sample};
use super::{Gateway, bare_socket};
use crate::{Failure, bare_lapin, cpu};

/// The gateway takes bodies of 16 MiB; all else that is said of the messages takes some of that.
const BODY_BYTES_MAX: usize = 14 << 20;

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueKind {
    /// Replicated; synced to disk before it confirms.
    Quorum,
    /// Durable, on this node alone.
    Classic,
}

/// One row of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Where messages go.
    pub kind: QueueKind,
    /// Of each message.
    pub payload_bytes: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            QueueKind::Quorum => "quorum",
            QueueKind::Classic => "classic",
        };
        write!(f, "{kind} queue, {} bytes", self.payload_bytes)
    }
}

impl Case {
    /// What other things are measured with.
    pub const SMALL: Self = Self {
        kind: QueueKind::Quorum,
        payload_bytes: 256,
    };

    /// A queue that drops its oldest messages, so that it does not grow.
    pub async fn declare(self, uri: &str) -> Result<String, Failure> {
        let queue = format!("amqpost.bench.{}", std::process::id());
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let mut arguments = FieldTable::default();
        if self.kind == QueueKind::Quorum {
            let quorum = AMQPValue::LongString("quorum".into());
            arguments.insert("x-queue-type".into(), quorum);
        }
        let length_max = if self.payload_bytes > 10_000 {
            500
        } else {
            10_000
        };
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(length_max));
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        (channel.queue_declare(queue.as_str().into(), options, arguments)).await?;
        connection.close(200, "declared".into()).await?;
        Ok(queue)
    }

    /// Deletes it.
    pub async fn delete(self, uri: &str, queue: &str) -> Result<(), Failure> {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        (channel.queue_delete(queue.into(), QueueDeleteOptions::default())).await?;
        Ok(connection.close(200, "deleted".into()).await?)
    }

    fn payload(self) -> String {
        "x".repeat(self.payload_bytes)
    }
}

/// A way to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Socket,
    Lapin,
    Batch(usize),
    Single,
    Raw,
    Waiting,
}

impl Way {
    pub const ALL: [Self; 7] = [
        Self::Socket,
        Self::Lapin,
        Self::Batch(100),
        Self::Batch(1000),
        Self::Single,
        Self::Raw,
        Self::Waiting,
    ];

    /// A request of it is within the gateway's limit for bodies.
    pub fn fits(self, payload_bytes: usize) -> bool {
        match self {
            Self::Batch(messages) => messages * payload_bytes < BODY_BYTES_MAX,
            _ => true,
        }
    }

    /// No gateway is in it.
    pub fn is_bare(self) -> bool {
        matches!(self, Self::Socket | Self::Lapin)
    }

    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socket => "bare AMQP on the socket",
            Self::Lapin => "bare lapin, pipelined",
            Self::Batch(1000) => "gateway, batches of 1000",
            Self::Batch(_) => "gateway, batches of 100",
            Self::Single => "gateway, single posts",
            Self::Raw => "gateway, raw posts",
            Self::Waiting => "gateway, single posts with Prefer: wait",
        }
    }

    /// How many messages a round is, so that each takes a few seconds.
    pub fn messages(self, payload_bytes: usize, scale: f64) -> usize {
        let many: usize = match self {
            Self::Socket | Self::Lapin | Self::Batch(_) => 200_000,
            Self::Single | Self::Raw => 100_000,
            Self::Waiting => 60_000,
        };
        let many = match payload_bytes {
            ..1024 => many,
            1024..16_384 => many / 2,
            _ => many / 20,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rough number of messages"
        )]
        let scaled = (many as f64 * scale) as usize;
        scaled.max(1000).next_multiple_of(1000)
    }

    /// Whether the gateway publishes.
    pub fn is_gateway(self) -> bool {
        !matches!(self, Self::Socket | Self::Lapin)
    }

    /// Connections that single requests are shared by.
    fn connections(self) -> usize {
        if matches!(self, Self::Batch(_)) {
            8
        } else {
            64
        }
    }

    /// Publishes so many messages, and returns when all are settled.
    pub async fn measure(
        self,
        node: &PrivateNode,
        gateway: &Gateway,
        queue: &str,
        case: Case,
        messages: usize,
    ) -> Result<Sample, Failure> {
        let payload = case.payload();
        let publisher = if self.is_gateway() {
            gateway.pid()
        } else {
            "self".to_owned()
        };
        let before = Cpu::now(&publisher, node.beam_pid());
        let began = Instant::now();
        let accepted = match self {
            Self::Socket => {
                let address = format!("127.0.0.1:{}", node.port());
                let (queue, payload) = (queue.to_owned(), payload.into_bytes());
                let publish = move || bare_socket::publish(&address, &queue, messages, &payload);
                tokio::task::spawn_blocking(publish).await??;
                Vec::new()
            }
            Self::Lapin => {
                lapin(&node.url(), queue, messages, payload.as_bytes()).await?;
                Vec::new()
            }
            _ => {
                let request = self.request(gateway.address(), queue, &payload);
                let (requests, address) =
                    (messages / request.messages, gateway.address().to_owned());
                let connections = self.connections();
                let send = move || load::send(&address, &request, requests, connections);
                let accepted = tokio::task::spawn_blocking(send).await??;
                gateway.wait_ready("\"pending_messages\":0").await;
                accepted
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        let used = Cpu::now(&publisher, node.beam_pid()).since(&before);
        let resident_mib = cpu::resident_mib(&publisher);
        Ok(Sample::new(
            messages,
            seconds,
            &used,
            self.is_gateway(),
            accepted,
            resident_mib,
        ))
    }

    /// What is posted.
    pub fn request(self, host: &str, queue: &str, payload: &str) -> Request {
        let one = format!(r#"{{"exchange":"","routing_key":"{queue}","payload":"{payload}"}}"#);
        let json = "Content-Type: application/json\r\n";
        match self {
            Self::Batch(count) => {
                let body = format!(r#"{{"messages":[{}]}}"#, vec![one; count].join(","));
                load::request(
                    "POST /v1/messages/batch",
                    host,
                    json,
                    body.as_bytes(),
                    count,
                )
            }
            Self::Raw => {
                let line = format!("POST /v1/exchanges/amq.default/messages?routing_key={queue}");
                let headers =
                    "Content-Type: application/octet-stream\r\nPrefer: return=minimal\r\n";
                load::request(&line, host, headers, payload.as_bytes(), 1)
            }
            Self::Waiting => {
                let headers = format!("{json}Prefer: wait=30, return=minimal\r\n");
                load::request("POST /v1/messages", host, &headers, one.as_bytes(), 1)
            }
            _ => {
                let headers = format!("{json}Prefer: return=minimal\r\n");
                load::request("POST /v1/messages", host, &headers, one.as_bytes(), 1)
            }
        }
    }
}

async fn lapin(uri: &str, queue: &str, messages: usize, payload: &[u8]) -> Result<(), Failure> {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    bare_lapin::publish(&channel, queue, messages, 0, payload).await?;
    Ok(connection.close(200, "published".into()).await?)
}
