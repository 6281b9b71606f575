//! What a caller says beside a body, for the document. Tests compare the names with those that are read.

use utoipa::IntoParams;

use super::request::{milliseconds, timestamp};

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

/// One key, one message.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct IdempotencyKey {
    /// 1 to 255 bytes of UTF-8, taken as they are written. The same message with the same key is accepted
    /// once: a repeat is answered with the first one's id and present status, and `Idempotent-Replayed`.
    /// Keys are each caller's own, and live for `idempotency_seconds`.
    #[param(rename = "Idempotency-Key", value_type = Option<String>, min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$")]
    idempotency_key: Option<String>,
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

/// What a caller may prefer of a batch.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct PreferReturn {
    /// `return=minimal`: only the refused messages are told. `wait` is not honoured.
    /// `Preference-Applied` tells what was.
    #[param(rename = "Prefer", example = "return=minimal", value_type = Option<String>)]
    prefer: Option<String>,
}

/// What a caller may prefer when acting on a message.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct PreferMinimal {
    /// `return=minimal`: only id and status. `wait` is not honoured. `Preference-Applied` tells what was.
    #[param(rename = "Prefer", example = "return=minimal", value_type = Option<String>)]
    prefer: Option<String>,
}

/// What a caller may prefer of a group.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct PreferGroup {
    /// `wait=N`: answer when no message of the group is pending, and as many as `expect` says were
    /// accepted, after at most N seconds (capped at the configured limit). `Preference-Applied` tells what
    /// was honoured.
    #[param(rename = "Prefer", example = "wait=10", value_type = Option<String>)]
    prefer: Option<String>,
}

/// Which group.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct GroupPath {
    /// Percent-encoded, a slash in it as `%2F`.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    group: String,
}

/// How much of a group is waited for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct GroupQuery {
    /// Messages that the group has at least once it is complete; of use with `Prefer: wait` only.
    #[param(minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    expect: Option<u64>,
}

/// Which replay.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct ReplayIdPath {
    /// The id that starting it answered.
    #[param(format = "uuid")]
    id: String,
}

/// Which message.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct IdPath {
    /// The id that publishing answered.
    #[param(format = "uuid")]
    id: String,
}

/// Where a raw message goes.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct RawPath {
    /// Percent-encoded, a slash in it as `%2F`. `amq.default` is the default exchange.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    exchange: String,
}

/// The gateway's own options of a raw message.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct RawQuery {
    /// At most 255 bytes of UTF-8.
    #[param(default = "", max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    routing_key: Option<String>,
    /// Whether the broker shall return the message when it cannot route it.
    #[param(default = true)]
    mandatory: Option<bool>,
    /// Messages with the same exchange and ordering key keep their order.
    #[param(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    ordering_key: Option<String>,
    /// Not before when the message is handed to the broker, as RFC 3339 writes it, with the offset (a plus
    /// in it as `%2B`). At most a year ahead; a time that is over means at once.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-22T10:00:00Z")]
    deliver_at: Option<String>,
    /// Milliseconds after acceptance before which the message is not handed to the broker. Not beside
    /// `deliver_at`.
    #[param(minimum = 0, maximum = 31_536_000_000_i64)]
    delay_ms: Option<u64>,
    /// A message that has not been settled so many milliseconds after its acceptance, or after its time,
    /// fails as `expired`.
    #[param(minimum = 1, maximum = 315_360_000_000_i64)]
    give_up_after_ms: Option<u64>,
    /// Where a webhook goes once the status is final; only for callers with a webhook secret.
    #[param(
        max_length = 2048,
        pattern = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\x00-\x1f\x7f-\x9f\\@#/?]+([/?][^\s\x00-\x1f\x7f-\x9f\\#]*)?$"
    )]
    callback_url: Option<String>,
    /// The caller's own label, to ask about many messages at once.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    group: Option<String>,
}

/// The properties of a raw message.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct RawHeaders {
    /// Without one, consumers see the message's id.
    #[param(rename = "Amqp-Message-Id", value_type = Option<String>, max_length = 255, pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    message_id: Option<String>,
    /// Application correlation identifier.
    #[param(rename = "Amqp-Correlation-Id", value_type = Option<String>, max_length = 255, pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    correlation_id: Option<String>,
    /// `amq.rabbitmq.reply-to` is refused.
    #[param(rename = "Amqp-Reply-To", value_type = Option<String>, max_length = 255, pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    reply_to: Option<String>,
    /// Whole milliseconds after which a queue drops the message.
    #[param(rename = "Amqp-Expiration", schema_with = milliseconds)]
    expiration: Option<u32>,
    /// 0 to 255.
    #[param(rename = "Amqp-Priority", value_type = Option<u8>, minimum = 0, maximum = 255)]
    priority: Option<u8>,
    /// The name of the message's type.
    #[param(rename = "Amqp-Type", value_type = Option<String>, max_length = 255, pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    kind: Option<String>,
    /// The application.
    #[param(rename = "Amqp-App-Id", value_type = Option<String>, max_length = 255, pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    app_id: Option<String>,
    /// Must be the user that the gateway is connected to the broker as.
    #[param(rename = "Amqp-User-Id", value_type = Option<String>, max_length = 255, pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    user_id: Option<String>,
    /// Seconds since the Unix epoch.
    #[param(rename = "Amqp-Timestamp", schema_with = timestamp)]
    timestamp: Option<u64>,
    /// 1 transient, 2 persistent.
    #[param(rename = "Amqp-Delivery-Mode", value_type = Option<u8>, minimum = 1, maximum = 2, default = 2)]
    delivery_mode: Option<u8>,
    /// Any number of headers `Amqp-Header-<name>`: the message's own headers, as text. This stands for
    /// all of them.
    #[param(rename = "Amqp-Header-Name", value_type = Option<String>,  pattern = "^([!-~]([ -~]*[!-~])?)?$")]
    header_name: Option<String>,
}

/// What a list is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(in crate::http) struct ListQuery {
    /// Of this status only.
    #[param(pattern = "^(pending|confirmed|returned|failed)$")]
    status: Option<String>,
    /// With the reason of this code only.
    #[param(
        pattern = "^(no_route|nacked|exchange_not_found|access_refused|precondition_failed|message_too_large|connection_lost|broker_unavailable|broker_blocked|broker_error|expired|cancelled)$"
    )]
    reason: Option<String>,
    /// To this exchange only; empty or `amq.default` is the default exchange.
    exchange: Option<String>,
    /// With this routing key only.
    routing_key: Option<String>,
    /// With this label only.
    group: Option<String>,
    /// The message that was accepted with this key, while the key lives.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"
    )]
    idempotency_key: Option<String>,
    /// Accepted at this time or later.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-11-22T10:00:00Z")]
    since: Option<String>,
    /// Accepted before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// Messages of one page at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before; everything else must be as it was there.
    #[param(pattern = "^AQ[A-Za-z0-9_-]{10}$")]
    cursor: Option<String>,
}
