//! Consumers that drain the queues for as long as there is a broker.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::ledger::Copy;
use super::messages;
use super::places::QUEUES;
use super::site::Site;
use super::support::arrived::Arrived;
use super::support::queues;

const PREFETCH: u16 = 200;

/// Takes what comes into a queue, until the task is ended.
pub(crate) async fn drain(site: Arc<Site>, queue: u8) {
    loop {
        // Whatever ends it, it comes back.
        let _ = consume(&site, queue).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn consume(site: &Site, queue: u8) -> Result<(), String> {
    let failed = |error: lapin::Error| error.to_string();
    let connection = queues::try_connect(&site.broker_url, Duration::from_secs(5)).await?;
    let channel = connection.create_channel().await.map_err(failed)?;
    let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
    qos.await.map_err(failed)?;
    let name = QUEUES[usize::from(queue)];
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(name.into(), "drain".into(), options, FieldTable::default());
    let mut consumer = consumer.await.map_err(failed)?;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery.map_err(failed)?;
        let tag = delivery.delivery_tag;
        note(site, queue, &Arrived::new(delivery));
        // Only now: what the broker believes to be consumed was written down.
        let acked = channel.basic_ack(tag, BasicAckOptions::default());
        acked.await.map_err(failed)?;
    }
    Ok(())
}

fn note(site: &Site, queue: u8, arrived: &Arrived) {
    let id = arrived.amqpost_id().and_then(|id| id.parse().ok());
    let Some(id) = id else {
        site.incident("a message came without its id");
        return;
    };
    let (tag, intact) = messages::recognize(arrived);
    site.books.lock().copies.push(Copy {
        queue,
        id,
        tag,
        intact,
        flagged: arrived.duplicate_possible(),
        redelivered: arrived.redelivered,
        at_ms: site.now_ms(),
    });
}
