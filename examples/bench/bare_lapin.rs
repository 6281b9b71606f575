//! The bare pipelined lapin publisher that everything else is compared with.
//!
//! Publishes are polled together, a chunk at a time, and the front of the queue of confirms is
//! awaited: the fastest way to use lapin that we know. It stores nothing, and it cannot tell which
//! message a return belongs to.

use std::collections::VecDeque;

use amqpost::domain::{IdMinter, WallTime};
use futures_util::future::join_all;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, PublisherConfirm};

use super::{Failure, WINDOW};

const CHUNK: usize = 50;

/// Publishes `messages` to `queue`, `returned` per cent of them nowhere, and awaits all confirms.
pub async fn publish(
    channel: &Channel,
    queue: &str,
    messages: usize,
    returned: usize,
    payload: &[u8],
) -> Result<(), Failure> {
    let mut minter = IdMinter::default();
    let mut open: VecDeque<PublisherConfirm> = VecDeque::with_capacity(WINDOW);
    let mut left = messages;
    while left > 0 {
        let chunk = CHUNK.min(left);
        while open.len() + chunk > WINDOW {
            open.pop_front().ok_or("an empty window")?.await?;
        }
        let publishes = (0..chunk).map(|_| {
            left -= 1;
            let key = if left % 100 < returned {
                "nowhere"
            } else {
                queue
            };
            let id = minter.mint(WallTime::default(), 7).to_string();
            publish_one(channel, key, id, payload)
        });
        for confirm in join_all(publishes).await {
            open.push_back(confirm?);
        }
    }
    for confirm in open {
        confirm.await?;
    }
    Ok(())
}

async fn publish_one(
    channel: &Channel,
    key: &str,
    id: String,
    payload: &[u8],
) -> lapin::Result<PublisherConfirm> {
    let mut headers = FieldTable::default();
    headers.insert(
        "x-amqpost-id".into(),
        AMQPValue::LongString(id.as_str().into()),
    );
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_message_id(id.into());
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    channel
        .basic_publish("".into(), key.into(), options, payload, properties)
        .await
}
