//! How one gateway is set up: defaults, a file, the environment, flags, in rising order of strength.
//!
//! All mistakes are told at once, each with the name of its option and what to write instead.

mod api_keys;
mod brokers;
mod options;
mod store_url;
mod topology_file;
mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use brokers::BrokerUrls;
pub use options::{Cli, Command, ConfigFile, LogFormat, Options, StoreCommand, TopologyCommand};
pub use store_url::StoreUrl;
pub use topology_file::{TopologyFileError, read_topology};
pub use webhooks::Webhooks;

use crate::domain::{Limits, RetrySchedule};
use crate::http;

/// The depth of nesting that the recursive parts of the gateway have stack for.
const JSON_DEPTH_LIMIT: usize = 256;

/// Whoever pauses longer has given up.
const RETRY_PAUSE_LIMIT: Duration = Duration::from_hours(24);

/// Variables of the project's scripts and tests, which a gateway may inherit.
const FOR_SCRIPTS: [&str; 5] = [
    "AMQPOST_PORT",
    "AMQPOST_TEST_FULL",
    "AMQPOST_TEST_BROKER_URL",
    "AMQPOST_TEST_BINARY",
    "AMQPOST_TEST_RABBITMQ_ROOT",
];

/// As many partitions as a store has.
const LANES_LIMIT: usize = 16;

/// Each outcome is held against all webhooks of its caller.
const WEBHOOKS_LIMIT: usize = 1000;

/// Below this, a busy broker would be taken for a silent one.
const STALL_AFTER_LEAST: Duration = Duration::from_millis(100);

/// Below this, what is set aside for settlements would leave nothing for messages.
const STORE_BYTES_LEAST: u64 = 64 << 20;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to serve HTTP.
    pub listen: SocketAddr,
    /// The broker's addresses.
    pub brokers: BrokerUrls,
    /// Where messages are kept.
    pub store: StoreUrl,
    /// What to declare at start, if anything.
    pub topology_file: Option<PathBuf>,
    /// How long settled messages are kept in a file.
    pub history_age: Duration,
    /// Bytes that the store's files may take.
    pub store_bytes_max: u64,
    /// Messages of a lane that are in memory when there is a file.
    pub lane_memory_messages_max: usize,
    /// Bytes of those messages.
    pub lane_memory_bytes_max: usize,
    /// Serve everybody who can connect, without keys.
    pub allow_anonymous: bool,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged, in the words of tracing's `EnvFilter`.
    pub log_filter: String,
    /// Connections to the broker that publish side by side.
    pub lanes: usize,
    /// Messages in flight on one lane.
    pub window_messages: usize,
    /// Bytes in flight on one lane.
    pub window_bytes: usize,
    /// Time to settle what is in flight when the process is told to stop.
    pub shutdown_grace: Duration,
    /// When nacked messages are tried again.
    pub retry: RetrySchedule,
    /// How long an exchange is taken to be there after it was seen.
    pub exchange_known: Duration,
    /// How long a destination may be silent while something is in flight to it.
    pub stall_after: Duration,
    /// How long connecting to the broker may take.
    pub connect_timeout: Duration,
    /// The interval of the heartbeats, in whole seconds.
    pub heartbeat: Duration,
    /// How webhooks are signed and where they may go.
    pub webhooks: Webhooks,
    /// How the HTTP room behaves.
    pub http: http::Settings,
    /// Every limit.
    pub limits: Limits,
}

/// Everything that is wrong with a configuration, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// The configuration of a process: `options` come from the command line and the environment,
    /// weaker ones from the file.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn load(file: &ConfigFile, options: Options) -> Result<Self, ConfigError> {
        let weaker = match &file.path {
            Some(path) => read(path).map_err(|mistake| ConfigError(vec![mistake]))?,
            None => Options::default(),
        };
        Self::check(&options.or(weaker))
    }

    /// Looks for misspelt options among the names of the environment's variables.
    ///
    /// # Errors
    /// Every variable that begins like one of the gateway's and is none.
    pub fn refuse_unknown_variables(
        names: impl IntoIterator<Item = std::ffi::OsString>,
    ) -> Result<(), ConfigError> {
        let command = <Cli as clap::CommandFactory>::command();
        let known = |name: &str| {
            command
                .get_arguments()
                .any(|option| option.get_env() == Some(name.as_ref()))
        };
        let mistakes: Vec<_> = names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.starts_with("AMQPOST_") && !FOR_SCRIPTS.contains(&name.as_str()))
            .filter(|name| !known(name))
            .map(|name| format!("the environment variable {name} is no option; see amqpost --help"))
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(mistakes))
        }
    }

    fn check(given: &Options) -> Result<Self, ConfigError> {
        let mut mistakes = Vec::new();
        let allow_anonymous = given.allow_anonymous.unwrap_or(false);
        let given_keys = given.api_keys.as_deref().unwrap_or_default();
        let keys = api_keys::parse(given_keys, &mut mistakes);
        // Keys that are faulty were meant to be there.
        let is_open = allow_anonymous || !given_keys.is_empty();
        let listen = listen(given, is_open, &mut mistakes);
        let (secrets, allow) = (
            given.webhook_secrets.as_deref(),
            given.webhook_allow.as_deref(),
        );
        let webhooks = webhooks::parse(secrets, allow, &mut mistakes);
        let store = StoreUrl::parse(given.store_url.as_deref());
        let store = store.unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            StoreUrl::Memory
        });
        let url = given.broker_url.as_deref();
        let url = url.unwrap_or("amqp://guest:guest@127.0.0.1:5672/%2f");
        let brokers = BrokerUrls::parse(url).map_err(|mistake| mistakes.push(mistake));
        let config = brokers.map(|brokers| Self {
            listen,
            brokers,
            store,
            topology_file: topology_file(given),
            history_age: seconds(given.history_seconds, 604_800),
            store_bytes_max: given.store_bytes_max.unwrap_or(10 << 30),
            lane_memory_messages_max: given.lane_memory_messages_max.unwrap_or(20_000),
            lane_memory_bytes_max: given.lane_memory_bytes_max.unwrap_or(32 << 20),
            allow_anonymous,
            log_format: given.log_format.unwrap_or(LogFormat::Human),
            log_filter: given
                .log_filter
                .clone()
                .unwrap_or_else(|| "info".to_owned()),
            lanes: given.lanes.unwrap_or(4),
            window_messages: given.window_messages.unwrap_or(1000),
            window_bytes: given.window_bytes.unwrap_or(32 << 20),
            shutdown_grace: seconds(given.shutdown_grace_seconds, 20),
            retry: retry(given),
            exchange_known: seconds(given.exchange_known_seconds, 30),
            stall_after: Duration::from_millis(given.stall_after_ms.unwrap_or(5000).into()),
            connect_timeout: seconds(given.connect_timeout_seconds, 10),
            heartbeat: seconds(given.heartbeat_seconds.map(u32::from), 10),
            webhooks,
            http: settings(given, keys, allow_anonymous),
            limits: limits(given),
        });
        if let Ok(config) = &config {
            config.check_ranges(&mut mistakes);
        }
        match config {
            Ok(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError(mistakes)),
        }
    }

    fn check_ranges(&self, mistakes: &mut Vec<String>) {
        let limits = &self.limits;
        let at_least_one = [
            ("lanes", self.lanes),
            ("lane_memory_messages_max", self.lane_memory_messages_max),
            ("lane_memory_bytes_max", self.lane_memory_bytes_max),
            (
                "exchange_known_seconds",
                usize::from(!self.exchange_known.is_zero()),
            ),
            ("window_messages", self.window_messages),
            ("window_bytes", self.window_bytes),
            ("retry_tries_max", self.retry.tries_max as usize),
            ("connections_max", self.http.connections_max),
            (
                "header_read_seconds_max",
                self.http.header_read_seconds_max as usize,
            ),
            ("idle_seconds_max", self.http.idle_seconds_max as usize),
            (
                "body_read_seconds_max",
                self.http.body_read_seconds_max as usize,
            ),
            (
                "write_stall_seconds_max",
                self.http.write_stall_seconds_max as usize,
            ),
            (
                "connect_timeout_seconds",
                usize::from(!self.connect_timeout.is_zero()),
            ),
            ("heartbeat_seconds", usize::from(!self.heartbeat.is_zero())),
            (
                "idempotency_seconds",
                self.http.idempotency_seconds as usize,
            ),
            ("body_bytes_max", limits.body_bytes_max),
            ("batch_items_max", limits.batch_items_max),
            ("json_depth_max", limits.json_depth_max),
            ("pending_messages_max", limits.pending_messages_max),
            ("pending_bytes_max", limits.pending_bytes_max),
        ];
        for (name, _) in at_least_one.iter().filter(|(_, value)| *value == 0) {
            mistakes.push(format!("{name} must be at least 1"));
        }
        if self.stall_after < STALL_AFTER_LEAST {
            mistakes.push("stall_after_ms must be at least 100".to_owned());
        }
        if self.lanes > LANES_LIMIT {
            mistakes.push(format!("lanes must be at most {LANES_LIMIT}"));
        }
        if self.http.webhooks_per_caller_max > WEBHOOKS_LIMIT {
            mistakes.push(format!(
                "webhooks_per_caller_max must be at most {WEBHOOKS_LIMIT}"
            ));
        }
        if self.store_bytes_max < STORE_BYTES_LEAST {
            mistakes.push(format!(
                "store_bytes_max must be at least {STORE_BYTES_LEAST}"
            ));
        }
        if limits.json_depth_max > JSON_DEPTH_LIMIT {
            mistakes.push(format!("json_depth_max must be at most {JSON_DEPTH_LIMIT}"));
        }
        if self.http.bodies_bytes_max < limits.body_bytes_max {
            mistakes.push("bodies_bytes_max must not be below body_bytes_max".to_owned());
        }
        if self.retry.pause_max > RETRY_PAUSE_LIMIT {
            mistakes.push("retry_pause_ms_max must be at most a day, 86400000".to_owned());
        }
        if self.retry.pause_min > self.retry.pause_max {
            mistakes.push("retry_pause_ms_min must not be above retry_pause_ms_max".to_owned());
        }
    }
}

fn read(path: &Path) -> Result<Options, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
    // The parser's own error quotes the line, in which a password may stand; its message does not.
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            1 + before.matches('\n').count()
        });
        format!("the file {shown}, line {line}: {}", error.message())
    })
}

fn listen(given: &Options, is_open: bool, mistakes: &mut Vec<String>) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8080));
    let Some(text) = given.listen.as_deref() else {
        return default;
    };
    let Ok(address) = text.parse::<SocketAddr>() else {
        mistakes.push(format!(
            "listen (AMQPOST_LISTEN) must be an address and a port, such as 127.0.0.1:8080 or \
             [::1]:8080, and is {text:?}"
        ));
        return default;
    };
    if !address.ip().to_canonical().is_loopback() && !is_open {
        mistakes.push(format!(
            "listen (AMQPOST_LISTEN) is {address}, which other machines can reach, and there are no \
             keys: listen on 127.0.0.1, give callers keys by AMQPOST_API_KEYS, or set \
             AMQPOST_ALLOW_ANONYMOUS=true to serve everybody"
        ));
    }
    address
}

/// As for the other options, an empty text is none.
fn topology_file(given: &Options) -> Option<PathBuf> {
    let path = given.topology_file.as_deref();
    path.filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn seconds(given: Option<u32>, default: u32) -> Duration {
    Duration::from_secs(given.unwrap_or(default).into())
}

fn retry(given: &Options) -> RetrySchedule {
    let default = RetrySchedule::default();
    let pause = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
    RetrySchedule {
        tries_max: given.retry_tries_max.unwrap_or(default.tries_max),
        pause_min: pause(given.retry_pause_ms_min, default.pause_min),
        pause_max: pause(given.retry_pause_ms_max, default.pause_max),
    }
}

fn settings(given: &Options, api_keys: http::ApiKeys, allow_anonymous: bool) -> http::Settings {
    let default = http::Settings::default();
    http::Settings {
        loopback_only: !allow_anonymous && api_keys.is_empty(),
        api_keys,
        allow_anonymous,
        connections_max: given.connections_max.unwrap_or(default.connections_max),
        bodies_bytes_max: given.bodies_bytes_max.unwrap_or(default.bodies_bytes_max),
        header_read_seconds_max: given
            .header_read_seconds_max
            .unwrap_or(default.header_read_seconds_max),
        idle_seconds_max: given.idle_seconds_max.unwrap_or(default.idle_seconds_max),
        body_read_seconds_max: given
            .body_read_seconds_max
            .unwrap_or(default.body_read_seconds_max),
        write_stall_seconds_max: given
            .write_stall_seconds_max
            .unwrap_or(default.write_stall_seconds_max),
        event_streams_max: (given.event_streams_max).unwrap_or(default.event_streams_max),
        idempotency_seconds: given
            .idempotency_seconds
            .unwrap_or(default.idempotency_seconds),
        webhooks_per_caller_max: given
            .webhooks_per_caller_max
            .unwrap_or(default.webhooks_per_caller_max),
        webhook_secret_overlap_seconds: given
            .webhook_secret_overlap_seconds
            .unwrap_or(default.webhook_secret_overlap_seconds),
    }
}

fn limits(given: &Options) -> Limits {
    let default = Limits::default();
    Limits {
        body_bytes_max: given.body_bytes_max.unwrap_or(default.body_bytes_max),
        batch_items_max: given.batch_items_max.unwrap_or(default.batch_items_max),
        payload_bytes_max: given.payload_bytes_max.unwrap_or(default.payload_bytes_max),
        headers_bytes_max: given.headers_bytes_max.unwrap_or(default.headers_bytes_max),
        json_depth_max: given.json_depth_max.unwrap_or(default.json_depth_max),
        wait_seconds_max: given.wait_seconds_max.unwrap_or(default.wait_seconds_max),
        schedule_seconds_max: given
            .schedule_seconds_max
            .unwrap_or(default.schedule_seconds_max),
        pending_messages_max: given
            .pending_messages_max
            .unwrap_or(default.pending_messages_max),
        pending_bytes_max: given.pending_bytes_max.unwrap_or(default.pending_bytes_max),
        history_messages_max: given
            .history_messages_max
            .unwrap_or(default.history_messages_max),
        history_bytes_max: given.history_bytes_max.unwrap_or(default.history_bytes_max),
    }
}

#[cfg(test)]
mod tests;
