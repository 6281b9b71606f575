//! Exchanges and queues of a campaign's broker, and what is done to them.

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::choices::{KEYS, WRITERS};
use super::support::queues;

/// Queues that are consumed, by their numbers.
pub(crate) const QUEUES: [&str; 3] = ["main.0", "main.1", "half"];

pub(crate) const EXCHANGE: &str = "faults";
/// Leads to a queue that takes nothing, and to one that does.
pub(crate) const HALF: &str = "faults.half";
/// Only exchanges may publish to it.
pub(crate) const INTERNAL: &str = "faults.internal";
/// Does not exist at times.
pub(crate) const VANISHING: &str = "faults.vanishing";
/// A queue that takes nothing.
pub(crate) const FULL: &str = "full";

/// A routing key that has a queue at times.
pub(crate) fn sometimes(writer: u16) -> String {
    format!("sometimes.{writer}")
}

/// A connection to the broker, to change what is there.
pub(crate) struct Places {
    _connection: Connection,
    channel: Channel,
}

impl Places {
    pub(crate) async fn at(url: &str) -> Self {
        let connection = queues::connect(url).await;
        let channel = connection.create_channel().await.expect("a channel opens");
        Self {
            _connection: connection,
            channel,
        }
    }

    /// Declares everything on a fresh node.
    pub(crate) async fn declare(&self) {
        self.exchange(EXCHANGE, ExchangeKind::Direct, false).await;
        self.exchange(HALF, ExchangeKind::Fanout, false).await;
        self.exchange(INTERNAL, ExchangeKind::Fanout, true).await;
        for queue in QUEUES {
            // One consumer at a time: the next one comes after what the last one had is back in its place.
            let arguments = [
                ("x-queue-type", text("quorum")),
                ("x-single-active-consumer", AMQPValue::Boolean(true)),
            ];
            self.queue(queue, arguments.into()).await;
        }
        let nothing = [
            ("x-queue-type", text("classic")),
            ("x-max-length", AMQPValue::LongInt(0)),
            ("x-overflow", text("reject-publish")),
        ];
        self.queue(FULL, nothing.into()).await;
        self.bind(FULL, EXCHANGE, FULL).await;
        self.bind(FULL, HALF, "").await;
        self.bind(QUEUES[2], HALF, "").await;
        for writer in 0..WRITERS {
            for key in 0..KEYS {
                let queue = QUEUES[usize::from(key % 2)];
                self.bind(queue, EXCHANGE, &format!("key.{writer}.{key}"))
                    .await;
            }
        }
        self.complete().await;
    }

    /// What is there at times is there.
    pub(crate) async fn complete(&self) {
        self.exchange(VANISHING, ExchangeKind::Fanout, false).await;
        self.bind(QUEUES[1], VANISHING, "").await;
        for writer in 0..WRITERS {
            self.bind(QUEUES[1], EXCHANGE, &sometimes(writer)).await;
        }
    }

    /// Takes the queue away from routing keys that have one at times.
    pub(crate) async fn unbind_sometimes(&self) {
        for writer in 0..WRITERS {
            let key = sometimes(writer);
            let unbound = self.channel.queue_unbind(
                QUEUES[1].into(),
                EXCHANGE.into(),
                key.as_str().into(),
                FieldTable::default(),
            );
            unbound.await.expect("the queue is unbound");
        }
    }

    /// Deletes the exchange that is not there at times.
    pub(crate) async fn delete_vanishing(&self) {
        let options = ExchangeDeleteOptions::default();
        let deleted = self.channel.exchange_delete(VANISHING.into(), options);
        deleted.await.expect("the exchange is deleted");
    }

    async fn exchange(&self, name: &str, kind: ExchangeKind, internal: bool) {
        let options = ExchangeDeclareOptions {
            durable: true,
            internal,
            ..ExchangeDeclareOptions::default()
        };
        let arguments = FieldTable::default();
        let declared = (self.channel).exchange_declare(name.into(), kind, options, arguments);
        declared.await.expect("the exchange is declared");
    }

    async fn queue(&self, name: &str, arguments: Vec<(&str, AMQPValue)>) {
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert(name.into(), value);
        }
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self.channel.queue_declare(name.into(), durable, table);
        declared.await.expect("the queue is declared");
    }

    async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let bound = self.channel.queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        bound.await.expect("the queue is bound");
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
