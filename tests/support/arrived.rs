//! What consumers got.

use lapin::BasicProperties;
use lapin::types::AMQPValue;

/// A message that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// The body.
    pub payload: Vec<u8>,
    /// All properties, headers among them.
    pub properties: BasicProperties,
    /// The exchange that it was published to.
    pub exchange: String,
    /// The routing key that it was published with.
    pub routing_key: String,
    /// Whether the broker has delivered it before.
    pub redelivered: bool,
}

impl Arrived {
    /// The value of one header.
    pub fn header(&self, name: &str) -> Option<&AMQPValue> {
        self.properties.headers().as_ref()?.inner().get(name)
    }

    /// The value of one header that is text.
    pub fn header_text(&self, name: &str) -> Option<String> {
        match self.header(name)? {
            AMQPValue::LongString(text) => {
                Some(String::from_utf8_lossy(text.as_bytes()).into_owned())
            }
            _ => None,
        }
    }

    /// The gateway's id of the message.
    pub fn amqpost_id(&self) -> Option<String> {
        self.header_text("x-amqpost-id")
    }

    /// Whether consumers were told that they may have seen it before.
    pub fn duplicate_possible(&self) -> bool {
        self.header("x-amqpost-duplicate-possible") == Some(&AMQPValue::Boolean(true))
    }

    /// As lapin delivered it.
    pub fn new(delivery: lapin::message::Delivery) -> Self {
        Self {
            payload: delivery.data,
            properties: delivery.properties,
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            redelivered: delivery.redelivered,
        }
    }
}
