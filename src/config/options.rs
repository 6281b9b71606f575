//! Every option by its name: as a flag, as an environment variable, and as a key of the file.
//!
//! One struct is all three, so that they cannot differ. What an option means when it is given
//! nowhere stands in [`super::Config`]; a test compares the help's words with that.

use std::path::PathBuf;

use serde::Deserialize;

/// The command line.
#[derive(clap::Parser)]
#[command(
    name = "amqpost",
    version,
    about = "HTTP publishing gateway for RabbitMQ",
    after_help = "An option is taken from, in rising order of strength: its default, the file, its \
                  environment variable, its flag. A key of the file is the flag's name with _ for -."
)]
pub struct Cli {
    /// What to do; without one, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The file.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Everything else.
    #[command(flatten)]
    pub options: Options,
}

/// What to do.
#[derive(clap::Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve HTTP (the default).
    Serve,
    /// Print openapi.yaml and end.
    Openapi,
    /// Look after a SQLite store, with the gateway running or not.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Look at or declare exchanges, queues and bindings from a definitions file.
    #[command(subcommand)]
    Topology(TopologyCommand),
}

/// What to do with a store.
#[derive(clap::Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum StoreCommand {
    /// Tell what the store holds.
    Info,
    /// Read all of it and tell what is wrong with it; fails if anything is.
    Check,
    /// Write a copy of it, as it is at this moment, to a new file.
    Backup {
        /// The copy, which must not exist.
        file: PathBuf,
    },
    /// List what is pending, what goes next first, what is scheduled last: id, time, exchange, routing
    /// key, bytes.
    List {
        /// Messages to list at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

/// What to do with a topology.
#[derive(clap::Subcommand, Clone, Debug, PartialEq, Eq)]
pub enum TopologyCommand {
    /// Tell what declaring a file would change at the broker, and change nothing.
    ///
    /// Exit code 0: nothing would change. 3: something is missing and would be declared, and nothing
    /// would be refused. 1: something differs or would be refused, the file has mistakes, or the
    /// broker cannot be reached. AMQP has no question about bindings: they are told as unknown, and do
    /// not count, unless one of their ends is missing.
    Check {
        /// As `rabbitmqctl export_definitions` writes it; without it, the configured one.
        file: Option<PathBuf>,
    },
    /// Declare a file at the broker now, as the gateway does at start; fails if anything is refused.
    Declare {
        /// As `rabbitmqctl export_definitions` writes it; without it, the configured one.
        file: Option<PathBuf>,
    },
}

/// Where the file is.
#[derive(clap::Args, Default)]
pub struct ConfigFile {
    /// A TOML file with options.
    #[arg(
        long = "config",
        env = "AMQPOST_CONFIG",
        value_name = "FILE",
        global = true
    )]
    pub path: Option<PathBuf>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What was given in one place. Secrets may be among it, so it has no `Debug`.
#[derive(clap::Args, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Address and port to serve HTTP on [default: 127.0.0.1:8080].
    #[arg(long, env = "AMQPOST_LISTEN", global = true)]
    pub(super) listen: Option<String>,
    /// The broker; several addresses of a cluster are separated by commas, amqps:// is TLS
    /// [default: amqp://guest:guest@127.0.0.1:5672/%2f].
    #[expect(clippy::doc_markdown, reason = "this is the text of --help")]
    #[arg(
        long,
        env = "AMQPOST_BROKER_URL",
        hide_env_values = true,
        global = true
    )]
    pub(super) broker_url: Option<String>,
    /// Where messages are kept: sqlite:FILE, or memory: for trials [default:
    /// sqlite:amqpost-data/amqpost.db].
    #[arg(long, env = "AMQPOST_STORE_URL", hide_env_values = true, global = true)]
    pub(super) store_url: Option<String>,
    /// Keys of callers, as name:key pairs that are separated by commas [default: none].
    #[arg(long, env = "AMQPOST_API_KEYS", hide_env_values = true, global = true)]
    pub(super) api_keys: Option<String>,
    /// Exchanges, queues and bindings to declare at start, as exported by `rabbitmqctl
    /// export_definitions` [default: none].
    #[arg(
        long,
        env = "AMQPOST_TOPOLOGY_FILE",
        global = true,
        value_name = "FILE"
    )]
    pub(super) topology_file: Option<String>,
    /// Serve everybody who can connect, also without a key [default: false].
    #[arg(long, env = "AMQPOST_ALLOW_ANONYMOUS", global = true, value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) allow_anonymous: Option<bool>,
    /// How log lines are written [default: human].
    #[arg(long, env = "AMQPOST_LOG_FORMAT", global = true)]
    pub(super) log_format: Option<LogFormat>,
    /// What is logged, as a filter of tracing [default: info].
    #[arg(long, env = "AMQPOST_LOG_FILTER", global = true)]
    pub(super) log_filter: Option<String>,
    /// Connections to the broker that publish side by side [default: 4].
    #[arg(long, env = "AMQPOST_LANES", global = true)]
    pub(super) lanes: Option<usize>,
    /// Messages in flight on one lane [default: 1000].
    #[arg(long, env = "AMQPOST_WINDOW_MESSAGES", global = true)]
    pub(super) window_messages: Option<usize>,
    /// Bytes in flight on one lane [default: 33554432].
    #[arg(long, env = "AMQPOST_WINDOW_BYTES", global = true)]
    pub(super) window_bytes: Option<usize>,
    /// Seconds to settle what is in flight when the process is told to stop [default: 20].
    #[arg(long, env = "AMQPOST_SHUTDOWN_GRACE_SECONDS", global = true)]
    pub(super) shutdown_grace_seconds: Option<u32>,
    /// Tries for a message that the broker nacks, the first one included [default: 10].
    #[arg(long, env = "AMQPOST_RETRY_TRIES_MAX", global = true)]
    pub(super) retry_tries_max: Option<u32>,
    /// Milliseconds of the pause after the first nack [default: 100].
    #[arg(long, env = "AMQPOST_RETRY_PAUSE_MS_MIN", global = true)]
    pub(super) retry_pause_ms_min: Option<u64>,
    /// Milliseconds of the longest pause between two tries [default: 30000].
    #[arg(long, env = "AMQPOST_RETRY_PAUSE_MS_MAX", global = true)]
    pub(super) retry_pause_ms_max: Option<u64>,
    /// Seconds that an exchange is taken to be there after it was seen [default: 30].
    #[arg(long, env = "AMQPOST_EXCHANGE_KNOWN_SECONDS", global = true)]
    pub(super) exchange_known_seconds: Option<u32>,
    /// Milliseconds that a destination may be silent before it is set apart [default: 5000].
    #[arg(long, env = "AMQPOST_STALL_AFTER_MS", global = true)]
    pub(super) stall_after_ms: Option<u32>,
    /// Seconds that connecting to the broker may take [default: 10].
    #[arg(long, env = "AMQPOST_CONNECT_TIMEOUT_SECONDS", global = true)]
    pub(super) connect_timeout_seconds: Option<u32>,
    /// Seconds between heartbeats that are offered to the broker [default: 10].
    #[arg(long, env = "AMQPOST_HEARTBEAT_SECONDS", global = true)]
    pub(super) heartbeat_seconds: Option<u16>,
    /// HTTP connections that are open at the same time; more wait [default: 10000].
    #[arg(long, env = "AMQPOST_CONNECTIONS_MAX", global = true)]
    pub(super) connections_max: Option<usize>,
    /// Bytes of all bodies that are being received, beyond 64 KiB each [default: 268435456].
    #[arg(long, env = "AMQPOST_BODIES_BYTES_MAX", global = true)]
    pub(super) bodies_bytes_max: Option<usize>,
    /// Seconds for the head of a request to arrive [default: 10].
    #[arg(long, env = "AMQPOST_HEADER_READ_SECONDS_MAX", global = true)]
    pub(super) header_read_seconds_max: Option<u32>,
    /// Seconds that a connection may idle between two requests [default: 75].
    #[arg(long, env = "AMQPOST_IDLE_SECONDS_MAX", global = true)]
    pub(super) idle_seconds_max: Option<u32>,
    /// Seconds for the body of a request to arrive [default: 30].
    #[arg(long, env = "AMQPOST_BODY_READ_SECONDS_MAX", global = true)]
    pub(super) body_read_seconds_max: Option<u32>,
    /// Seconds that a connection may take nothing of what is written to it [default: 30].
    #[arg(long, env = "AMQPOST_WRITE_STALL_SECONDS_MAX", global = true)]
    pub(super) write_stall_seconds_max: Option<u32>,
    /// Streams of events that are open at the same time [default: 2000].
    #[arg(long, env = "AMQPOST_EVENT_STREAMS_MAX", global = true)]
    pub(super) event_streams_max: Option<usize>,
    /// Bytes of a request's body [default: 16777216].
    #[arg(long, env = "AMQPOST_BODY_BYTES_MAX", global = true)]
    pub(super) body_bytes_max: Option<usize>,
    /// Messages of one batch [default: 10000].
    #[arg(long, env = "AMQPOST_BATCH_ITEMS_MAX", global = true)]
    pub(super) batch_items_max: Option<usize>,
    /// Bytes of a message's payload [default: 16777216].
    #[arg(long, env = "AMQPOST_PAYLOAD_BYTES_MAX", global = true)]
    pub(super) payload_bytes_max: Option<usize>,
    /// Bytes of a message's headers as AMQP encodes them [default: 65536].
    #[arg(long, env = "AMQPOST_HEADERS_BYTES_MAX", global = true)]
    pub(super) headers_bytes_max: Option<usize>,
    /// Levels of nesting in a JSON payload or in headers, at most 256 [default: 128].
    #[arg(long, env = "AMQPOST_JSON_DEPTH_MAX", global = true)]
    pub(super) json_depth_max: Option<usize>,
    /// Seconds that Prefer: wait may wait [default: 60].
    #[arg(long, env = "AMQPOST_WAIT_SECONDS_MAX", global = true)]
    pub(super) wait_seconds_max: Option<u32>,
    /// Seconds that a message may be scheduled ahead [default: 31536000].
    #[arg(long, env = "AMQPOST_SCHEDULE_SECONDS_MAX", global = true)]
    pub(super) schedule_seconds_max: Option<u32>,
    /// Messages that are pending at the same time [default: 10000000].
    #[arg(long, env = "AMQPOST_PENDING_MESSAGES_MAX", global = true)]
    pub(super) pending_messages_max: Option<usize>,
    /// Bytes of those messages [default: 8589934592].
    #[arg(long, env = "AMQPOST_PENDING_BYTES_MAX", global = true)]
    pub(super) pending_bytes_max: Option<usize>,
    /// Seconds for which an idempotency key stands for its first message [default: 86400].
    #[arg(long, env = "AMQPOST_IDEMPOTENCY_SECONDS", global = true)]
    pub(super) idempotency_seconds: Option<u32>,
    /// Secrets that sign the webhooks of callback_url, as name:whsec_... pairs that are separated by
    /// commas; a name may have two while its secret is rotated [default: none].
    #[expect(clippy::doc_markdown, reason = "this is the text of --help")]
    #[arg(
        long,
        env = "AMQPOST_WEBHOOK_SECRETS",
        hide_env_values = true,
        global = true
    )]
    pub(super) webhook_secrets: Option<String>,
    /// Hosts and networks that webhooks may go to although they are not public, separated by commas
    /// [default: none].
    #[arg(long, env = "AMQPOST_WEBHOOK_ALLOW", global = true)]
    pub(super) webhook_allow: Option<String>,
    /// Standing webhooks of one caller, at most 1000 [default: 100].
    #[arg(long, env = "AMQPOST_WEBHOOKS_PER_CALLER_MAX", global = true)]
    pub(super) webhooks_per_caller_max: Option<usize>,
    /// Seconds for which a webhook's secret goes on signing after it was rotated [default: 86400].
    #[arg(long, env = "AMQPOST_WEBHOOK_SECRET_OVERLAP_SECONDS", global = true)]
    pub(super) webhook_secret_overlap_seconds: Option<u32>,
    /// Seconds that settled messages are kept in a file [default: 604800].
    #[arg(long, env = "AMQPOST_HISTORY_SECONDS", global = true)]
    pub(super) history_seconds: Option<u32>,
    /// Bytes that the store's files may take [default: 10737418240].
    #[arg(long, env = "AMQPOST_STORE_BYTES_MAX", global = true)]
    pub(super) store_bytes_max: Option<u64>,
    /// Messages of one lane that are in memory; the others wait in the file [default: 20000].
    #[arg(long, env = "AMQPOST_LANE_MEMORY_MESSAGES_MAX", global = true)]
    pub(super) lane_memory_messages_max: Option<usize>,
    /// Bytes of those messages [default: 33554432].
    #[arg(long, env = "AMQPOST_LANE_MEMORY_BYTES_MAX", global = true)]
    pub(super) lane_memory_bytes_max: Option<usize>,
    /// Settled messages that are kept in memory, without a file [default: 100000].
    #[arg(long, env = "AMQPOST_HISTORY_MESSAGES_MAX", global = true)]
    pub(super) history_messages_max: Option<usize>,
    /// Bytes of settled messages that are kept; in memory, 256 MiB at most [default: 4294967296].
    #[arg(long, env = "AMQPOST_HISTORY_BYTES_MAX", global = true)]
    pub(super) history_bytes_max: Option<usize>,
}

impl Options {
    /// These options, and those of `weaker` where these are not given.
    #[must_use]
    pub(super) fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            broker_url: self.broker_url.or(weaker.broker_url),
            store_url: self.store_url.or(weaker.store_url),
            api_keys: self.api_keys.or(weaker.api_keys),
            topology_file: self.topology_file.or(weaker.topology_file),
            allow_anonymous: self.allow_anonymous.or(weaker.allow_anonymous),
            log_format: self.log_format.or(weaker.log_format),
            log_filter: self.log_filter.or(weaker.log_filter),
            lanes: self.lanes.or(weaker.lanes),
            window_messages: self.window_messages.or(weaker.window_messages),
            window_bytes: self.window_bytes.or(weaker.window_bytes),
            shutdown_grace_seconds: self
                .shutdown_grace_seconds
                .or(weaker.shutdown_grace_seconds),
            retry_tries_max: self.retry_tries_max.or(weaker.retry_tries_max),
            retry_pause_ms_min: self.retry_pause_ms_min.or(weaker.retry_pause_ms_min),
            retry_pause_ms_max: self.retry_pause_ms_max.or(weaker.retry_pause_ms_max),
            exchange_known_seconds: self
                .exchange_known_seconds
                .or(weaker.exchange_known_seconds),
            stall_after_ms: self.stall_after_ms.or(weaker.stall_after_ms),
            connect_timeout_seconds: self
                .connect_timeout_seconds
                .or(weaker.connect_timeout_seconds),
            heartbeat_seconds: self.heartbeat_seconds.or(weaker.heartbeat_seconds),
            connections_max: self.connections_max.or(weaker.connections_max),
            bodies_bytes_max: self.bodies_bytes_max.or(weaker.bodies_bytes_max),
            header_read_seconds_max: self
                .header_read_seconds_max
                .or(weaker.header_read_seconds_max),
            idle_seconds_max: self.idle_seconds_max.or(weaker.idle_seconds_max),
            body_read_seconds_max: self.body_read_seconds_max.or(weaker.body_read_seconds_max),
            write_stall_seconds_max: self
                .write_stall_seconds_max
                .or(weaker.write_stall_seconds_max),
            event_streams_max: self.event_streams_max.or(weaker.event_streams_max),
            body_bytes_max: self.body_bytes_max.or(weaker.body_bytes_max),
            batch_items_max: self.batch_items_max.or(weaker.batch_items_max),
            payload_bytes_max: self.payload_bytes_max.or(weaker.payload_bytes_max),
            headers_bytes_max: self.headers_bytes_max.or(weaker.headers_bytes_max),
            json_depth_max: self.json_depth_max.or(weaker.json_depth_max),
            wait_seconds_max: self.wait_seconds_max.or(weaker.wait_seconds_max),
            schedule_seconds_max: self.schedule_seconds_max.or(weaker.schedule_seconds_max),
            pending_messages_max: self.pending_messages_max.or(weaker.pending_messages_max),
            pending_bytes_max: self.pending_bytes_max.or(weaker.pending_bytes_max),
            idempotency_seconds: self.idempotency_seconds.or(weaker.idempotency_seconds),
            webhook_secrets: self.webhook_secrets.or(weaker.webhook_secrets),
            webhook_allow: self.webhook_allow.or(weaker.webhook_allow),
            webhooks_per_caller_max: self
                .webhooks_per_caller_max
                .or(weaker.webhooks_per_caller_max),
            webhook_secret_overlap_seconds: self
                .webhook_secret_overlap_seconds
                .or(weaker.webhook_secret_overlap_seconds),
            history_seconds: self.history_seconds.or(weaker.history_seconds),
            store_bytes_max: self.store_bytes_max.or(weaker.store_bytes_max),
            lane_memory_messages_max: self
                .lane_memory_messages_max
                .or(weaker.lane_memory_messages_max),
            lane_memory_bytes_max: self.lane_memory_bytes_max.or(weaker.lane_memory_bytes_max),
            history_messages_max: self.history_messages_max.or(weaker.history_messages_max),
            history_bytes_max: self.history_bytes_max.or(weaker.history_bytes_max),
        }
    }
}
