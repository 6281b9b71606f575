//! Exchanges and queues with names of their own, and what arrived in them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions,
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

pub use super::arrived::Arrived;
use super::wait::{self, SOON};

const BATCH_MESSAGES_MAX: usize = 1000;

/// A name that no other test and no other run has.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let pid = std::process::id();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("amqpost-test-{what}-{pid}-{number}-{nanos}")
}

/// Connects within `limit`; lapin itself knows no limit for the handshake.
pub async fn try_connect(url: &str, limit: Duration) -> Result<Connection, String> {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no connection within {limit:?}")),
    }
}

/// Connects to a broker that is known to be there.
pub async fn connect(url: &str) -> Connection {
    match try_connect(url, SOON).await {
        Ok(connection) => connection,
        Err(error) => panic!("{url}: {error}"),
    }
}

/// Kinds of durable queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Replicated by Raft; what production uses.
    Quorum,
    /// Kept by one node; knows `x-max-length` with `reject-publish` for nacks at will.
    Classic,
}

/// A durable direct exchange with one durable queue bound to it. Both are deleted on drop.
#[derive(Debug)]
pub struct Place {
    url: String,
    connection: Connection,
    channel: Channel,
    /// The exchange's name.
    pub exchange: String,
    /// The queue's name.
    pub queue: String,
    /// The routing key that leads from the one to the other.
    pub routing_key: String,
}

impl Place {
    /// Declares everything under names of its own.
    pub async fn declare(url: &str, kind: Kind) -> Self {
        Self::declare_with(url, kind, FieldTable::default()).await
    }

    /// As [`Place::declare`], with arguments for the queue.
    pub async fn declare_with(url: &str, kind: Kind, mut arguments: FieldTable) -> Self {
        let queue_type = match kind {
            Kind::Quorum => "quorum",
            Kind::Classic => "classic",
        };
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString(queue_type.into()),
        );
        let connection = connect(url).await;
        let channel = connection.create_channel().await.expect("a channel opens");
        let place = Self {
            url: url.to_owned(),
            connection,
            channel,
            exchange: unique("exchange"),
            queue: unique(queue_type),
            routing_key: unique("key"),
        };
        place
            .channel
            .queue_declare(
                place.queue.as_str().into(),
                QueueDeclareOptions {
                    durable: true,
                    ..QueueDeclareOptions::default()
                },
                arguments,
            )
            .await
            .expect("the queue is declared");
        place.declare_exchange().await;
        place
    }

    /// A queue that takes nothing: every message is nacked.
    pub async fn declare_nacking(url: &str) -> Self {
        Self::declare_with_room_for(url, 0).await
    }

    /// As [`Place::declare`], with a classic queue that takes so many messages and refuses all others.
    pub async fn declare_with_room_for(url: &str, messages: i32) -> Self {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(messages));
        arguments.insert(
            "x-overflow".into(),
            AMQPValue::LongString("reject-publish".into()),
        );
        Self::declare_with(url, Kind::Classic, arguments).await
    }

    /// As [`Place::declare`], where routing keys are topics.
    pub async fn declare_topic(url: &str) -> Self {
        let place = Self::declare(url, Kind::Classic).await;
        place.delete_exchange().await;
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        place
            .declare_exchange_with(ExchangeKind::Topic, durable)
            .await;
        place
    }

    /// Binds the queue with one more routing key.
    pub async fn bind(&self, routing_key: &str) {
        self.channel
            .queue_bind(
                self.queue.as_str().into(),
                self.exchange.as_str().into(),
                routing_key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("the queue is bound");
    }

    /// Binds `other`'s queue to this exchange with this routing key: messages go to both queues.
    pub async fn also_to(&self, other: &Self) {
        self.channel
            .queue_bind(
                other.queue.as_str().into(),
                self.exchange.as_str().into(),
                self.routing_key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("the other queue is bound");
    }

    /// Deletes the exchange; the queue and what it holds stay.
    pub async fn delete_exchange(&self) {
        self.channel
            .exchange_delete(
                self.exchange.as_str().into(),
                ExchangeDeleteOptions::default(),
            )
            .await
            .expect("the exchange is deleted");
    }

    /// Declares the exchange again, bound to the queue as at first.
    pub async fn declare_exchange(&self) {
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        self.declare_exchange_with(ExchangeKind::Direct, durable)
            .await;
    }

    /// Makes the exchange one that only other exchanges may publish to.
    pub async fn make_internal(&self) {
        self.delete_exchange().await;
        let internal = ExchangeDeclareOptions {
            durable: true,
            internal: true,
            ..ExchangeDeclareOptions::default()
        };
        self.declare_exchange_with(ExchangeKind::Direct, internal)
            .await;
    }

    async fn declare_exchange_with(&self, kind: ExchangeKind, options: ExchangeDeclareOptions) {
        self.channel
            .exchange_declare(
                self.exchange.as_str().into(),
                kind,
                options,
                FieldTable::default(),
            )
            .await
            .expect("the exchange is declared");
        self.bind(&self.routing_key).await;
    }

    /// Connects again after the broker was away.
    pub async fn reconnect(&mut self) {
        self.connection = connect(&self.url).await;
        self.channel = self
            .connection
            .create_channel()
            .await
            .expect("a channel opens");
    }

    /// How many messages are ready in the queue.
    pub async fn ready(&self) -> u32 {
        self.channel
            .queue_declare(
                self.queue.as_str().into(),
                QueueDeclareOptions {
                    passive: true,
                    ..QueueDeclareOptions::default()
                },
                FieldTable::default(),
            )
            .await
            .expect("the queue exists")
            .message_count()
    }

    /// Waits for `count` messages and takes exactly them, in the order of the queue.
    pub async fn take(&self, count: usize) -> Vec<Arrived> {
        self.take_within(count, SOON * 4).await
    }

    /// As [`Place::take`], with a limit for as many as are taken together: many may take long.
    pub async fn take_within(&self, count: usize, limit: Duration) -> Vec<Arrived> {
        let mut arrived = Vec::with_capacity(count);
        while arrived.len() < count {
            let taking = self.take_some(&mut arrived, count);
            if tokio::time::timeout(limit, taking).await.is_err() {
                let got = arrived.len();
                panic!("{got} of {count} messages arrived, and the next ones not within {limit:?}");
            }
        }
        arrived
    }

    /// Takes everything that is in the queue, until the broker says that it is empty.
    pub async fn take_all(&self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        let ready = self.ready().await as usize;
        if ready > 0 {
            arrived = self.take(ready).await;
        }
        while let Some(one) = self.take_one().await {
            arrived.push(one);
        }
        arrived
    }

    /// Takes the first message, if there is one.
    pub async fn take_one(&self) -> Option<Arrived> {
        let got = self
            .channel
            .basic_get(self.queue.as_str().into(), BasicGetOptions::default())
            .await
            .expect("the queue can be read")?;
        self.channel
            .basic_ack(got.delivery.delivery_tag, BasicAckOptions::default())
            .await
            .expect("a delivery can be acknowledged");
        Some(Arrived::new(got.delivery))
    }

    /// A batch, which is acknowledged as a whole after its consumer is cancelled: the broker never
    /// hands out more than is wanted, so nothing has to go back, which would cost the order.
    async fn take_some(&self, arrived: &mut Vec<Arrived>, count: usize) {
        let batch = (count - arrived.len()).min(BATCH_MESSAGES_MAX);
        let last_tag = self.take_batch(arrived, batch).await;
        self.channel
            .basic_ack(last_tag, BasicAckOptions { multiple: true })
            .await
            .expect("deliveries can be acknowledged");
    }

    async fn take_batch(&self, arrived: &mut Vec<Arrived>, batch: usize) -> u64 {
        let prefetch = u16::try_from(batch).expect("a batch is small");
        self.channel
            .basic_qos(prefetch, BasicQosOptions::default())
            .await
            .expect("prefetch is set");
        let tag = unique("consumer");
        let mut consumer = self
            .channel
            .basic_consume(
                self.queue.as_str().into(),
                tag.as_str().into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await
            .expect("the queue can be consumed");
        let mut last_tag = 0;
        for _ in 0..batch {
            let delivery = consumer
                .next()
                .await
                .expect("the consumer lasts")
                .expect("a delivery arrives whole");
            last_tag = delivery.delivery_tag;
            arrived.push(Arrived::new(delivery));
        }
        self.channel
            .basic_cancel(tag.as_str().into(), BasicCancelOptions::default())
            .await
            .expect("the consumer is cancelled");
        last_tag
    }
}

impl Drop for Place {
    /// Deletes both over a connection of its own, since the test's may be broken. A broker that is
    /// gone by now took them along.
    fn drop(&mut self) {
        let (url, exchange, queue) = (self.url.clone(), self.exchange.clone(), self.queue.clone());
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built");
            runtime.block_on(async {
                let deleted = delete(&url, &exchange, &queue);
                let _ = tokio::time::timeout(Duration::from_secs(5), deleted).await;
            });
        });
        let _ = deleting.join();
    }
}

async fn delete(url: &str, exchange: &str, queue: &str) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await?;
    channel
        .exchange_delete(exchange.into(), ExchangeDeleteOptions::default())
        .await?;
    connection.close(200, "done".into()).await
}

/// Waits until `place` holds `count` ready messages.
pub async fn wait_ready(place: &Place, count: u32) {
    wait::until("the messages are in the queue", SOON, || async {
        (place.ready().await == count).then_some(())
    })
    .await;
}
