//! What a caller sends, for the document. `parse` reads it by hand; a test compares the names.

use utoipa::{IntoParams, ToSchema};

/// A message. For every optional field, null means that it is absent.
#[derive(ToSchema)]
#[schema(example = json!({
    "exchange": "log.exchange",
    "routing_key": "info.log.key",
    "payload": {"order": 42},
    "properties": {"headers": {"tenant": "a"}, "expiration": 60000}
}))]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct MessageRequest {
    /// At most 255 bytes of UTF-8. Empty is the default exchange, `amq.default` its alias.
    #[schema(default = "")]
    exchange: Option<String>,
    /// At most 255 bytes of UTF-8.
    #[schema(default = "")]
    routing_key: Option<String>,
    /// Any JSON, null included. A string is sent as its UTF-8 bytes, any other value as its JSON text
    /// as written, without the white space between its tokens; `content_type` is then
    /// `application/json` unless it is given.
    payload: serde_json::Value,
    /// `string`: as said at `payload`. `base64`: the decoded bytes are sent (standard alphabet, with
    /// padding). `json`: always the JSON text, also of a string.
    #[schema(default = "string", pattern = "^(string|base64|json)$")]
    payload_encoding: Option<String>,
    /// The AMQP basic properties.
    #[schema(inline)]
    properties: Option<PropertiesRequest>,
    /// Whether the broker shall return the message when it cannot route it. With false it drops such
    /// a message and still confirms it. Delayed-message exchanges return every mandatory message.
    #[schema(default = true)]
    mandatory: Option<bool>,
    /// At most 255 bytes. Messages with the same exchange and ordering key keep their order; without
    /// one, the routing key stands for it.
    ordering_key: Option<String>,
    /// Not supported by this version yet: refused.
    idempotency_key: Option<String>,
    /// Not supported by this version yet: refused.
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// Not supported by this version yet: refused.
    delay_ms: Option<u64>,
    /// Not supported by this version yet: refused.
    give_up_after_ms: Option<u64>,
    /// Not supported by this version yet: refused.
    #[schema(format = "uri")]
    callback_url: Option<String>,
    /// Not supported by this version yet: refused.
    group: Option<String>,
}

/// The AMQP basic properties by their standard names. Strings hold at most 255 bytes of UTF-8 and no
/// control characters.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct PropertiesRequest {
    content_type: Option<String>,
    content_encoding: Option<String>,
    /// Names of at most 255 bytes, and any JSON values: integers must fit signed 64 bits, numbers
    /// with a fraction or an exponent are doubles, objects are field tables. Names that start with
    /// `x-amqpost-` are reserved. `CC` and `BCC` must be arrays of strings.
    headers: Option<serde_json::Map<String, serde_json::Value>>,
    /// 1 transient, 2 persistent.
    #[schema(minimum = 1, maximum = 2, default = 2)]
    delivery_mode: Option<u8>,
    #[schema(minimum = 0, maximum = 255)]
    priority: Option<u8>,
    correlation_id: Option<String>,
    /// `amq.rabbitmq.reply-to` is refused.
    reply_to: Option<String>,
    /// Whole milliseconds after which a queue drops the message: a number, or a string of digits.
    #[schema(value_type = Option<Expiration>, inline)]
    expiration: Option<Expiration>,
    /// Without one, consumers see the message's id.
    message_id: Option<String>,
    /// Seconds since the Unix epoch.
    timestamp: Option<u64>,
    #[schema(rename = "type")]
    r#type: Option<String>,
    /// Must be the user that the gateway is connected to the broker as.
    user_id: Option<String>,
    app_id: Option<String>,
}

/// Whole milliseconds.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Expiration {
    /// As a number.
    Number(u32),
    /// In digits.
    Digits(String),
}

/// What a caller may prefer when publishing.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct PreferPublish {
    /// `wait=N`: answer when the status is final, after at most N seconds (capped at the configured
    /// limit). `return=minimal`: only id and status. `Preference-Applied` tells what was honoured.
    #[param(rename = "Prefer", example = "wait=10, return=minimal", value_type = Option<String>)]
    prefer: Option<String>,
}

/// What a caller may prefer when asking.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct PreferWait {
    /// `wait=N`: answer when the status is final, after at most N seconds (capped at the configured
    /// limit). `Preference-Applied` tells what was honoured.
    #[param(rename = "Prefer", example = "wait=10", value_type = Option<String>)]
    prefer: Option<String>,
}
