//! Every option, written once: what it is for, its name, its type, its default, and its rule.
//!
//! From here come the flags, the environment variables, the keys of the file, what `--help` and
//! `amqpost config` print, and what a mistake is told with. What an option then does stands in
//! [`super::check`].

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use super::given::Given;
use super::masks::{mask_pairs, mask_urls};
use super::option::{Described, Kind, Typed, Value};

/// The depth of nesting that the recursive parts of the gateway have stack for.
const JSON_DEPTH_LIMIT: u64 = 256;

/// Whoever pauses longer has given up.
const RETRY_PAUSE_MS_LIMIT: u64 = 24 * 60 * 60 * 1000;

/// As many partitions as a store has.
const LANES_LIMIT: u64 = 16;

/// Each outcome is held against all webhooks of its caller.
const WEBHOOKS_LIMIT: u64 = 1000;

/// Below this, a busy broker would be taken for a silent one.
const STALL_AFTER_MS_LEAST: u64 = 100;

/// Below this, what is set aside for settlements would leave nothing for messages.
const STORE_BYTES_LEAST: u64 = 64 << 20;

/// Below this, browsers could not ask anything.
const HTTP2_HEADER_BYTES_LEAST: u64 = 4096;

/// What every client takes for granted (RFC 9113, section 6.9.2), to the largest number that it understands.
const HTTP2_WINDOWS: RangeInclusive<u64> = 65_535..=(1 << 31) - 1;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Typed for LogFormat {
    fn kind() -> Kind {
        Kind::OneOf(&["human", "json"])
    }

    fn into_value(self) -> Value {
        let word = match self {
            Self::Human => "human",
            Self::Json => "json",
        };
        Value::Text(word.to_owned())
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Text(word) if word == "human" => Some(Self::Human),
            Value::Text(word) if word == "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Makes [`Values`] and [`DESCRIBED`] of `/// help`, `key: type = default`, and perhaps a rule, which is
/// a method of [`Kind`] with its argument.
macro_rules! options {
    ($(
        $(#[doc = $help:literal])+
        $key:ident: $type:ty = $default:expr $(, $rule:ident $argument:expr)?;
    )*) => {
        /// What every option is, by what was given and the defaults.
        pub(super) struct Values {
            $(pub(super) $key: $type,)*
        }

        impl Values {
            pub(super) fn of(given: &Given) -> Self {
                Self {
                    $($key: given
                        .value(stringify!($key))
                        .and_then(<$type as Typed>::of)
                        .unwrap_or_else(|| $default.into()),)*
                }
            }
        }

        /// All options, each that holds secrets followed by the way to give it by a file.
        pub(super) static DESCRIBED: LazyLock<Vec<Described>> = LazyLock::new(|| {
            let mut described = Vec::new();
            $(
                let kind = <$type as Typed>::kind()$(.$rule($argument))?;
                let default = <$type as Typed>::into_value($default.into());
                let one = Described::new(stringify!($key), concat!($($help),+), kind, default);
                let companion = one.companion(concat!(stringify!($key), "_file"));
                described.push(one);
                described.extend(companion);
            )*
            described
        });
    };
}

options! {
    /// Address and port to serve HTTP on.
    listen: String = "127.0.0.1:8080";
    /// Address and port to serve metrics and health on, without a key and apart from callers; none when
    /// it is empty.
    management_listen: String = "";
    /// Certificate to serve HTTPS with, and those between it and its authority; with none, HTTP is
    /// served. A PEM file.
    tls_cert_file: String = "";
    /// The key of that certificate. A PEM file.
    tls_key_file: String = "";
    /// The broker; several addresses of a cluster are separated by commas, amqps:// is TLS.
    broker_url: String = "amqp://guest:guest@127.0.0.1:5672/%2f", secret mask_urls;
    /// Certificate authorities to trust where the broker speaks TLS, instead of the system's. A PEM file.
    broker_ca_file: String = "";
    /// Certificate to show to a broker that asks for one. A PEM file.
    broker_cert_file: String = "";
    /// The key of that certificate. A PEM file.
    broker_key_file: String = "";
    /// Where messages are kept: sqlite:FILE, or memory: for trials.
    store_url: String = "sqlite:amqpost-data/amqpost.db", secret mask_urls;
    /// Keys of callers, as name:key pairs that are separated by commas.
    api_keys: String = "", secret mask_pairs;
    /// Exchanges, queues and bindings to declare at start, as exported by `rabbitmqctl
    /// export_definitions`.
    topology_file: String = "";
    /// Serve everybody who can connect, also without a key.
    allow_anonymous: bool = false;
    /// How log lines are written.
    log_format: LogFormat = LogFormat::Human;
    /// What is logged, as a filter of tracing.
    log_filter: String = "info";
    /// Collector to send traces of requests to, over OTLP by HTTP; none when it is empty. It takes a program
    /// that is built with them.
    otlp_endpoint: String = "";
    /// Connections to the broker that publish side by side.
    lanes: usize = 4usize, within 1..=LANES_LIMIT;
    /// Messages in flight on one lane.
    window_messages: usize = 1000usize, within 1..;
    /// Bytes in flight on one lane.
    window_bytes: usize = 32usize << 20, within 1..;
    /// Seconds in which /readyz says 503 and everything is still served, when the process is told to
    /// stop, so that load balancers hear of it.
    shutdown_delay_seconds: u32 = 0u32;
    /// Seconds to settle what is in flight after that.
    shutdown_grace_seconds: u32 = 20u32;
    /// Tries for a message that the broker nacks, the first one included.
    retry_tries_max: u32 = 10u32, within 1..;
    /// Milliseconds of the pause after the first nack.
    retry_pause_ms_min: u64 = 100u64, within ..=RETRY_PAUSE_MS_LIMIT;
    /// Milliseconds of the longest pause between two tries; a day at most.
    retry_pause_ms_max: u64 = 30_000u64, within ..=RETRY_PAUSE_MS_LIMIT;
    /// Seconds that an exchange is taken to be there after it was seen.
    exchange_known_seconds: u32 = 30u32, within 1..;
    /// Milliseconds that a destination may be silent before it is set apart.
    stall_after_ms: u32 = 5000u32, within STALL_AFTER_MS_LEAST..;
    /// Seconds that connecting to the broker may take.
    connect_timeout_seconds: u32 = 10u32, within 1..;
    /// Seconds between heartbeats that are offered to the broker.
    heartbeat_seconds: u16 = 10u16, within 1..;
    /// HTTP connections that are open at the same time; for one more, an idle one is closed.
    connections_max: usize = 10_000usize, within 1..;
    /// Bytes of all bodies that are being received, beyond 64 KiB each.
    bodies_bytes_max: usize = 256usize << 20;
    /// Seconds for the head of a request to arrive.
    header_read_seconds_max: u32 = 10u32, within 1..;
    /// Seconds that a connection may idle between two requests.
    idle_seconds_max: u32 = 75u32, within 1..;
    /// Seconds for the body of a request to arrive.
    body_read_seconds_max: u32 = 30u32, within 1..;
    /// Seconds that a connection may take nothing of what is written to it.
    write_stall_seconds_max: u32 = 30u32, within 1..;
    /// Seconds for a TLS handshake.
    tls_handshake_seconds_max: u32 = 10u32, within 1..;
    /// Requests in progress on one connection of HTTP/2; clients wait with more.
    http2_streams_max: u32 = 200u32, within 1..;
    /// Requests in progress on all connections of HTTP/2.
    http2_requests_max: usize = 10_000usize, within 1..;
    /// Bytes of a request's head in HTTP/2.
    http2_header_bytes_max: u32 = 128u32 << 10, within HTTP2_HEADER_BYTES_LEAST..;
    /// Requests that a client of HTTP/2 may take back at once, beyond as many as it lets be answered.
    http2_resets_max: u64 = 100u64;
    /// Seconds without news from a client of HTTP/2 before it is asked for a sign of life.
    http2_keep_alive_seconds: u32 = 20u32, within 1..;
    /// Bytes of one body that a client of HTTP/2 may send ahead.
    http2_stream_window_bytes: u32 = 512u32 << 10, within HTTP2_WINDOWS;
    /// Bytes of all bodies of a connection that a client of HTTP/2 may send ahead.
    http2_connection_window_bytes: u32 = 1u32 << 20, within HTTP2_WINDOWS;
    /// Streams of events that are open at the same time.
    event_streams_max: usize = 2000usize;
    /// Bytes of a request's body.
    body_bytes_max: usize = 16usize << 20, within 1..;
    /// Messages of one batch.
    batch_items_max: usize = 10_000usize, within 1..;
    /// Bytes of a message's payload.
    payload_bytes_max: usize = 16usize << 20;
    /// Bytes of a message's headers as AMQP encodes them.
    headers_bytes_max: usize = 64usize << 10;
    /// Levels of nesting in a JSON payload or in headers.
    json_depth_max: usize = 128usize, within 1..=JSON_DEPTH_LIMIT;
    /// Seconds that Prefer: wait may wait.
    wait_seconds_max: u32 = 60u32;
    /// Seconds that a message may be scheduled ahead.
    schedule_seconds_max: u32 = 31_536_000u32;
    /// Messages that are pending at the same time.
    pending_messages_max: usize = 10_000_000usize, within 1..;
    /// Bytes of those messages.
    pending_bytes_max: usize = 8usize << 30, within 1..;
    /// Seconds for which an idempotency key stands for its first message.
    idempotency_seconds: u32 = 86_400u32, within 1..;
    /// Secrets that sign the webhooks of callback_url, as name:whsec_... pairs that are separated by
    /// commas; a name may have two while its secret is rotated.
    webhook_secrets: String = "", secret mask_pairs;
    /// Hosts and networks that webhooks may go to although they are not public, separated by commas.
    webhook_allow: String = "";
    /// Standing webhooks of one caller.
    webhooks_per_caller_max: usize = 100usize, within ..=WEBHOOKS_LIMIT;
    /// Seconds for which a webhook's secret goes on signing after it was rotated.
    webhook_secret_overlap_seconds: u32 = 86_400u32;
    /// Seconds that settled messages are kept in a file.
    history_seconds: u32 = 604_800u32;
    /// Bytes that the store's files may take.
    store_bytes_max: u64 = 10u64 << 30, within STORE_BYTES_LEAST..;
    /// Messages of one lane that are in memory; the others wait in the file.
    lane_memory_messages_max: usize = 20_000usize, within 1..;
    /// Bytes of those messages.
    lane_memory_bytes_max: usize = 32usize << 20, within 1..;
    /// Settled messages that are kept in memory, without a file.
    history_messages_max: usize = 100_000usize;
    /// Bytes of settled messages that are kept; in memory, 256 MiB at most.
    history_bytes_max: usize = 4usize << 30;
}

/// The option of this key.
pub(super) fn by_key(key: &str) -> Option<&'static Described> {
    DESCRIBED.iter().find(|one| one.key == key)
}
