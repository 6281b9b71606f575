//! The command line: reads the configuration and hands over to [`amqpost::app`].

mod check_config_command;
mod healthcheck_command;
mod keygen_command;
mod store_command;
mod topology_command;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use amqpost::config::{Cli, Command, Config, Inputs, LogFormat};
use clap::Parser as _;
use tracing_subscriber::EnvFilter;

/// A message is some twenty pieces of memory that come and go in different threads; the system's allocator
/// took a fifth of what a single post costs. SQLite keeps that one: to replace it for C too (the crate's feature
/// `override`) ends the process under a preloaded library such as libfaketime.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Openapi => print(&amqpost::http::openapi_yaml()?)?,
        Command::Keygen { name } => print(&keygen_command::run(&name)?)?,
        Command::CheckConfig => {
            check_config_command::run(variables(), &cli.file, &cli.options)?;
            print("the configuration is good\n")?;
        }
        Command::Config => print(&Config::effective(&cli.file, &cli.options)?)?,
        Command::Healthcheck {
            ready,
            timeout_seconds,
        } => {
            let config = Config::load(&cli.file, &cli.options)?;
            let limit = Duration::from_secs(timeout_seconds.into());
            runtime()?.block_on(healthcheck_command::run(&config, ready, limit))?;
        }
        Command::Store(command) => {
            let config = Config::load(&cli.file, &cli.options)?;
            store_command::run(&config, &command)?;
        }
        Command::Topology(command) => {
            let config = Config::load(&cli.file, &cli.options)?;
            return runtime()?.block_on(topology_command::run(&config, &command));
        }
        Command::Serve => {
            Config::refuse_unknown_variables(variables())?;
            let inputs = Inputs {
                file: cli.file,
                options: cli.options,
            };
            let config = inputs.load()?;
            start_log(&config)?;
            if let Some(endpoint) = &config.otlp_endpoint {
                amqpost::observe::start(endpoint)?;
            }
            let runtime = runtime()?;
            let ended = runtime.block_on(amqpost::app::serve(config, inputs));
            // What still blocks is a file that is never read to its end; everything else has been waited for.
            runtime.shutdown_background();
            ended?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn variables() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn start_log(config: &Config) -> Result<(), Failure> {
    // lapin calls every exchange that is asked about and missing an error. What matters of it is told
    // where it is dealt with; a filter that names lapin gets all.
    let filter = EnvFilter::try_new(format!("lapin=off,{}", config.log_filter))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Human => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "this is how a command line complains")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("amqpost: {error}");
}
