//! Every limit of the gateway, with its unit in its name.

/// What one gateway takes on. The defaults are those of the README's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an HTTP request body.
    pub body_bytes_max: usize,
    /// Messages of one batch.
    pub batch_items_max: usize,
    /// Bytes of a message's payload.
    pub payload_bytes_max: usize,
    /// Bytes of a message's header table as AMQP encodes it.
    pub headers_bytes_max: usize,
    /// Levels of nesting in a JSON payload or header table.
    pub json_depth_max: usize,
    /// Seconds that `Prefer: wait` may wait.
    pub wait_seconds_max: u32,
    /// Seconds that a message may be scheduled ahead.
    pub schedule_seconds_max: u32,
    /// Messages that are pending at the same time.
    pub pending_messages_max: usize,
    /// Bytes of the messages that are pending at the same time, as accounted by
    /// [`super::Message::footprint_bytes`].
    pub pending_bytes_max: usize,
    /// Messages with a final status that a store in memory keeps to be asked about.
    pub history_messages_max: usize,
    /// Bytes of those messages, as accounted by [`super::Message::footprint_bytes`].
    pub history_bytes_max: usize,
}

/// Bytes of an AMQP short string: names of exchanges, routing keys, most properties.
pub const SHORT_STRING_BYTES_MAX: usize = 255;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 16 << 20,
            batch_items_max: 10_000,
            payload_bytes_max: 16 << 20,
            headers_bytes_max: 64 << 10,
            json_depth_max: 128,
            wait_seconds_max: 60,
            schedule_seconds_max: 31_536_000,
            pending_messages_max: 10_000_000,
            pending_bytes_max: 8 << 30,
            history_messages_max: 100_000,
            history_bytes_max: 4 << 30,
        }
    }
}
