//! The command line: what to do. Its options are those of [`super::options`].

use std::path::PathBuf;

use super::flags::Options;

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
    /// Print a new key for a caller, and the lines of the configuration that let it in.
    Keygen {
        /// The caller's name.
        #[arg(default_value = "NAME")]
        name: String,
    },
    /// Tell what is wrong with the configuration: the file, the environment, the flags, and the files
    /// that they name; fails if anything is.
    CheckConfig,
    /// Print the configuration as it is, as a file that says the same, without its secrets.
    Config,
    /// Ask the gateway that is served with this configuration how it is; fails unless all is well.
    Healthcheck {
        /// Ask whether it accepts messages, not only whether it lives.
        #[arg(long)]
        ready: bool,
        /// Seconds for the answer to come.
        #[arg(long, default_value_t = 3)]
        timeout_seconds: u32,
    },
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
