//! How one gateway is set up: defaults, a file, the environment, flags, in rising order of strength.
//!
//! All mistakes are told at once, each with its place, the name of its option and what is allowed. To add
//! an option: one entry in [`options`], and what becomes of it in [`check`].

mod brokers;
mod callers;
mod check;
mod cli;
mod effective;
mod file;
mod flags;
mod given;
mod inputs;
mod masks;
mod mistakes;
mod nearest;
mod option;
mod options;
mod source;
mod store_url;
mod tls;
mod topology_file;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use brokers::BrokerUrls;
pub use cli::{Cli, Command, ConfigFile, StoreCommand, TopologyCommand};
pub use flags::Options;
pub use inputs::Inputs;
pub use mistakes::ConfigError;
pub use options::LogFormat;
pub use store_url::StoreUrl;
pub use tls::{BrokerClient, BrokerTls, IdentityFiles};
pub use topology_file::{TopologyFileError, read_topology};

use crate::domain::access::Callers;
use crate::domain::webhook::AllowList;
use crate::domain::{Limits, RetrySchedule};
use crate::http;
use crate::tls::TlsError;
use given::Given;
use mistakes::Mistakes;

/// Variables of the project's scripts and tests, which a gateway may inherit.
const FOR_SCRIPTS: [&str; 4] = [
    "AMQPOST_TEST_FULL",
    "AMQPOST_TEST_BROKER_URL",
    "AMQPOST_TEST_BINARY",
    "AMQPOST_TEST_RABBITMQ_ROOT",
];

/// A checked configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to serve HTTP.
    pub listen: SocketAddr,
    /// Address to serve metrics and health on, apart from callers.
    pub management_listen: Option<SocketAddr>,
    /// The certificate to serve HTTPS with; without one, HTTP is served.
    pub https: Option<IdentityFiles>,
    /// The broker's addresses.
    pub brokers: BrokerUrls,
    /// How TLS is spoken with it.
    pub broker_tls: BrokerTls,
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
    /// Who may come, and what each may do.
    pub callers: Callers,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged, in the words of tracing's `EnvFilter`.
    pub log_filter: String,
    /// The collector that traces are sent to, if any; only where traces are built in.
    pub otlp_endpoint: Option<String>,
    /// Connections to the broker that publish side by side.
    pub lanes: usize,
    /// Messages in flight on one lane.
    pub window_messages: usize,
    /// Bytes in flight on one lane.
    pub window_bytes: usize,
    /// Time in which readiness is denied and everything still served, when the process is told to stop.
    pub shutdown_delay: Duration,
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
    /// Where webhooks may go besides public addresses.
    pub webhook_allow: AllowList,
    /// How the HTTP room behaves.
    pub http: http::Settings,
    /// Every limit.
    pub limits: Limits,
}

impl Config {
    /// The configuration of a process: `options` come from the command line and the environment,
    /// weaker ones from the file.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn load(file: &ConfigFile, options: &Options) -> Result<Self, ConfigError> {
        let mut mistakes = Mistakes::default();
        let given = Given::load(file, options, &mut mistakes);
        check::check(&given, mistakes)
    }

    /// What [`Self::load`] comes to, as a file that says the same, without the secrets.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn effective(file: &ConfigFile, options: &Options) -> Result<String, ConfigError> {
        let mut mistakes = Mistakes::default();
        let given = Given::load(file, options, &mut mistakes);
        check::check(&given, mistakes).map(|_| effective::effective(&given))
    }

    /// What connections to the broker speak TLS with, if an address says `amqps`.
    ///
    /// # Errors
    /// [`TlsError`], which names the file that cannot be used.
    pub fn broker_client(&self) -> Result<Option<BrokerClient>, TlsError> {
        let wanted = self.brokers.speak_tls();
        wanted.then(|| self.broker_tls.read()).transpose()
    }

    /// Looks for misspelt options among the names of the environment's variables. What Kubernetes sets for
    /// a service that is called amqpost is not meant for the gateway.
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
            .filter(|name| {
                name.starts_with(nearest::PREFIX) && !FOR_SCRIPTS.contains(&name.as_str())
            })
            .filter(|name| !known(name) && !is_service_link(name))
            .map(|name| nearest::unknown_variable(&name))
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(mistakes))
        }
    }
}

/// Whether Kubernetes may have set this variable, for a service that is called amqpost or begins so.
fn is_service_link(name: &str) -> bool {
    let is_of_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().unwrap_or_default();
        let protocol = parts.next().unwrap_or_default();
        number.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| is_of_port(rest))
}

#[cfg(test)]
mod tests;
