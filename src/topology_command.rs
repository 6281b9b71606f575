//! `amqpost topology`: what declaring a definitions file would change at the broker, and declaring it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use amqpost::broker::rabbitmq::{Broker, Declarer, Finding, Window};
use amqpost::config::{Config, TopologyCommand, read_topology};
use amqpost::domain::Topology;
use amqpost::domain::topology::{Entry, Problem, ProblemKind};

use crate::Failure;

/// Something is missing and would be declared; nothing would be refused.
const WOULD_CHANGE: u8 = 3;

/// Does what `command` says at the broker of `config`.
pub(crate) async fn run(config: &Config, command: &TopologyCommand) -> Result<ExitCode, Failure> {
    let (TopologyCommand::Check { file } | TopologyCommand::Declare { file }) = command;
    let topology = read(config, file.as_deref())?;
    let window = Window {
        messages: config.window_messages,
        bytes: config.window_bytes,
    };
    let broker = Broker::new(
        config.brokers.urls(),
        window,
        config.heartbeat,
        config.connect_timeout,
        config.broker_client()?.map(|client| client.config),
    );
    let declarer = broker.declarer();
    match command {
        TopologyCommand::Check { .. } => check(&declarer, &topology).await,
        TopologyCommand::Declare { .. } => declare(&declarer, &topology).await,
    }
}

fn read(config: &Config, file: Option<&Path>) -> Result<Topology, Failure> {
    let file = file
        .or(config.topology_file.as_deref())
        .ok_or("name a definitions file, or set AMQPOST_TOPOLOGY_FILE")?;
    let topology = read_topology(file, config.brokers.vhost())?;
    let notes: Vec<_> = topology.notes.iter().map(line_of_note).collect();
    crate::print(&notes.concat())?;
    Ok(topology)
}

fn line_of_note(note: &String) -> String {
    format!("note             {note}\n")
}

async fn check(declarer: &Declarer, topology: &Topology) -> Result<ExitCode, Failure> {
    let findings = declarer.check(&topology.entries).await?;
    let mut text = String::new();
    let (mut missing, mut refused, mut unknown) = (0, 0, 0);
    for (entry, finding) in topology.entries.iter().zip(&findings) {
        match finding {
            Finding::Same => writeln!(text, "as in the file   {entry}")?,
            Finding::Missing => {
                missing += 1;
                writeln!(text, "to be declared   {entry}")?;
            }
            Finding::Unknown => {
                unknown += 1;
                writeln!(text, "unknown          {entry}")?;
            }
            Finding::Refused(problem) => {
                refused += 1;
                writeln!(text, "{}", line_of(entry, problem))?;
            }
        }
    }
    if unknown > 0 {
        writeln!(
            text,
            "AMQP cannot be asked about bindings: those {unknown} are there, or would be declared."
        )?;
    }
    let same = findings.len() - missing - refused - unknown;
    writeln!(
        text,
        "{same} as in the file, {missing} to be declared, {refused} would be refused. Nothing was changed."
    )?;
    crate::print(&text)?;
    Ok(match (refused, missing) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(WOULD_CHANGE),
        _ => ExitCode::FAILURE,
    })
}

async fn declare(declarer: &Declarer, topology: &Topology) -> Result<ExitCode, Failure> {
    let problems = declarer.declare(&topology.entries).await?;
    let mut text = String::new();
    let mut refused = 0;
    for (entry, problem) in topology.entries.iter().zip(&problems) {
        if let Some(problem) = problem {
            refused += 1;
            writeln!(text, "{}", line_of(entry, problem))?;
        } else {
            writeln!(text, "is there         {entry}")?;
        }
    }
    crate::print(&text)?;
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn line_of(entry: &Entry, problem: &Problem) -> String {
    let word = match problem.kind {
        ProblemKind::PreconditionFailed => "differs          ",
        _ => "refused          ",
    };
    format!("{word}{entry}: {}", problem.detail)
}
