//! The bodies that a caller sends, for the document. `parse` reads it by hand; a test compares the names.

use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A message. For every optional field, null means that it is absent.
#[derive(ToSchema)]
#[schema(example = json!({
    "exchange": "log.exchange",
    "routing_key": "info.log.key",
    "payload": {"order": 42},
    "properties": {"headers": {"tenant": "a"}, "expiration": 60000}
}))]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct MessageRequest {
    /// At most 255 bytes of UTF-8. Empty is the default exchange, `amq.default` its alias.
    #[schema(default = "", max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    exchange: Option<String>,
    /// At most 255 bytes of UTF-8.
    #[schema(default = "", max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
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
    #[schema(schema_with = properties)]
    properties: Option<()>,
    /// Whether the broker shall return the message when it cannot route it. With false it drops such
    /// a message and still confirms it. Delayed-message exchanges return every mandatory message.
    #[schema(default = true)]
    mandatory: Option<bool>,
    /// At most 255 bytes. Messages with the same exchange and ordering key keep their order; without
    /// one, the routing key stands for it.
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    ordering_key: Option<String>,
    /// 1 to 255 bytes. As the header `Idempotency-Key`, which must be the same where both are given.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    idempotency_key: Option<String>,
    /// Not before when the message is handed to the broker, as RFC 3339 writes it, with the offset. At most a
    /// year ahead; a time that is over means at once.
    #[schema(format = DateTime)]
    deliver_at: Option<String>,
    /// Milliseconds after acceptance before which the message is not handed to the broker, at most a year.
    /// Not beside `deliver_at`.
    #[schema(minimum = 0, maximum = 31_536_000_000_i64)]
    delay_ms: Option<i64>,
    /// A message that has not been settled so many milliseconds after its acceptance, or after its time,
    /// fails as `expired`. Never while it is in flight.
    #[schema(minimum = 1, maximum = 315_360_000_000_i64)]
    give_up_after_ms: Option<i64>,
    /// Where a webhook goes once the status is final: an absolute `http` or `https` URL without user name.
    /// Only for callers with a webhook secret, and refused otherwise.
    #[schema(
        max_length = 2048,
        pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\x00-\x1f\x7f-\x9f\\@#/?]+([/?][^\s\x00-\x1f\x7f-\x9f\\#]*)?$"
    )]
    callback_url: Option<String>,
    /// 1 to 255 bytes. The caller's own label, to ask about many messages at once.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    group: Option<String>,
}

/// The AMQP basic properties by their standard names. Strings hold at most 255 bytes of UTF-8 and no
/// control characters.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct PropertiesRequest {
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    content_type: Option<String>,
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    content_encoding: Option<String>,
    /// Names of at most 255 bytes, and any JSON values: integers must fit signed 64 bits, numbers
    /// with a fraction or an exponent are doubles, objects are field tables. Names that start with
    /// `x-amqpost-` are reserved. `CC` and `BCC` must be arrays of strings.
    #[schema(schema_with = headers)]
    headers: Option<()>,
    /// 1 transient, 2 persistent.
    #[schema(minimum = 1, maximum = 2, default = 2)]
    delivery_mode: Option<u8>,
    #[schema(minimum = 0, maximum = 255)]
    priority: Option<u8>,
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    correlation_id: Option<String>,
    /// `amq.rabbitmq.reply-to` is refused.
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reply_to: Option<String>,
    /// Whole milliseconds after which a queue drops the message: a number, or a string of digits.
    #[schema(schema_with = expiration)]
    expiration: Option<()>,
    /// Without one, consumers see the message's id.
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    message_id: Option<String>,
    /// Seconds since the Unix epoch.
    #[schema(schema_with = timestamp)]
    timestamp: Option<()>,
    #[schema(
        rename = "type",
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    r#type: Option<String>,
    /// Must be the user that the gateway is connected to the broker as.
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    user_id: Option<String>,
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    app_id: Option<String>,
}

/// Many messages.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"messages": [
    {"exchange": "log.exchange", "routing_key": "info.log.key", "payload": {"order": 42}},
    {"exchange": "log.exchange", "routing_key": "info.log.key", "payload": "text"}
]}))]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct BatchRequest {
    /// Each stands alone: a faulty one is refused, the others are accepted in their order. At most as
    /// many as `batch_items_max` says.
    #[schema(min_items = 1, max_items = 10000)]
    messages: Vec<MessageRequest>,
}

/// A batch of one message a line.
pub(in crate::http) struct BatchLines;

impl PartialSchema for BatchLines {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(MessageRequest::schema())
            .min_items(Some(1))
            .max_items(Some(10_000))
            .description(Some(
                "One message a line, without commas or brackets around them.",
            ))
            .into()
    }
}

impl ToSchema for BatchLines {}

/// Which messages are to be sent again: those of this status that match every filter which is given, and at
/// least one must be. Null is the same as its absence.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"status": "returned", "exchange": "log.exchange", "since": "2026-11-22T10:00:00Z"}), min_properties = 2)]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct ReplayRequest {
    /// `returned` or `failed`.
    #[schema(pattern = "^(returned|failed)$")]
    status: String,
    /// With the reason of this code only.
    #[schema(
        pattern = "^(no_route|nacked|exchange_not_found|access_refused|precondition_failed|message_too_large|connection_lost|broker_unavailable|broker_blocked|broker_error|expired|cancelled)$"
    )]
    reason: Option<String>,
    /// To this exchange only; empty or `amq.default` is the default exchange.
    exchange: Option<String>,
    /// With this routing key only.
    routing_key: Option<String>,
    /// With this label only.
    group: Option<String>,
    /// Accepted at this time or later.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Accepted before this time.
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// The messages that are asked about.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ids": ["01a20357-fbd8-7000-b07a-2f1d812c8705"]}))]
#[expect(dead_code, reason = "only its schema is used")]
pub(in crate::http) struct LookupRequest {
    /// What is no UUID is an id that nobody knows.
    #[schema(schema_with = ids)]
    ids: Vec<String>,
}

fn ids() -> RefOr<Schema> {
    let id = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(255));
    ArrayBuilder::new()
        .items(id)
        .min_items(Some(1))
        .max_items(Some(1000))
        .description(Some("What is no UUID is an id that nobody knows."))
        .into()
}

/// `properties`, where null is the same as nothing.
fn properties() -> RefOr<Schema> {
    let mut schema = PropertiesRequest::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.schema_type = SchemaType::from_iter([Type::Object, Type::Null]);
    }
    schema
}

/// As many as RabbitMQ takes.
pub(super) fn milliseconds() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(u32::MAX))
        .into()
}

/// `properties.expiration`.
fn expiration() -> RefOr<Schema> {
    let digits = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[0-3]?[0-9]{1,9}$"));
    AnyOfBuilder::new()
        .description(Some(
            "Whole milliseconds after which a queue drops the message: a number, or a string of digits.",
        ))
        .item(milliseconds())
        .item(digits)
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .into()
}

/// `properties.timestamp`: more than the usual formats for integers can say.
pub(super) fn timestamp() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .description(Some("Seconds since the Unix epoch."))
        .minimum(Some(0))
        .maximum(Some(u64::MAX))
        .into()
}

/// `properties.headers`.
fn headers() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "The message's own headers. Names have at most 255 bytes of UTF-8 and no control characters; \
             those that start with `x-amqpost-` are reserved. `CC` and `BCC` must be arrays of strings.",
        ))
        .property_names(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some(NAME))))
        .additional_properties(Some(Ref::from_schema_name("HeaderValue")))
        .into()
}

const NAME: &str = r"^(?!(x-amqpost-|CC$|BCC$))[^\x00-\x1f\x7f-\x9f]{0,63}$";
const NESTED_NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]{0,63}$";

/// The values that a header may have.
pub(super) struct HeaderValueSchema;

impl PartialSchema for HeaderValueSchema {
    fn schema() -> RefOr<Schema> {
        let plain = |kind| ObjectBuilder::new().schema_type(kind);
        let integer = plain(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(i64::MIN))
            .maximum(Some(i64::MAX));
        let itself = || Ref::from_schema_name("HeaderValue");
        let table = plain(Type::Object)
            .property_names(Some(plain(Type::String).pattern(Some(NESTED_NAME))))
            .additional_properties(Some(itself()));
        AnyOfBuilder::new()
            .description(Some(
                "A value that AMQP can carry: integers fit signed 64 bits, numbers with a fraction or an \
                 exponent are doubles, objects are field tables.",
            ))
            .item(plain(Type::String))
            .item(plain(Type::Boolean))
            .item(plain(Type::Null))
            .item(integer)
            .item(plain(Type::Number))
            .item(ArrayBuilder::new().items(itself()))
            .item(table)
            .into()
    }
}

impl ToSchema for HeaderValueSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "HeaderValue".into()
    }
}
