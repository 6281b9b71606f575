//! `amqpost store`: what operators do with a store, with the gateway running or not.

use std::io::Write as _;
use std::path::Path;

use amqpost::config::{Config, StoreCommand, StoreUrl};
use amqpost::domain::{Caller, RowId};
use amqpost::store::sqlite::operate;
use amqpost::store::{Pending, Record};

use crate::Failure;

/// Messages that are read at a time.
const READ_MESSAGES: usize = 1000;

/// Does what `command` says to the store of `config`.
pub(crate) fn run(config: &Config, command: &StoreCommand) -> Result<(), Failure> {
    let StoreUrl::Sqlite(path) = &config.store else {
        return Err(
            "a store in memory ends with its gateway: there is nothing to look after".into(),
        );
    };
    match command {
        StoreCommand::Info => info(path),
        StoreCommand::Check => check(path),
        StoreCommand::Backup { file } => {
            operate::backup(path, file)?;
            crate::print(&format!(
                "{} is a copy of {}\n",
                file.display(),
                path.display()
            ))
        }
        StoreCommand::List { limit } => list(path, *limit),
    }
}

fn info(path: &Path) -> Result<(), Failure> {
    let info = operate::info(path)?;
    let facts = &info.facts;
    let turns: u64 = facts.pending.iter().map(|partition| partition.bytes).sum();
    let bytes = turns + facts.scheduled.bytes;
    let oldest = facts
        .oldest_pending
        .map_or_else(|| "none".to_owned(), accepted_at);
    let horizon = facts
        .horizon
        .map_or_else(|| "nothing".to_owned(), accepted_at);
    crate::print(&format!(
        "store              {}\n\
         schema version     {}\n\
         closed cleanly     {}\n\
         pending            {} messages, {bytes} bytes\n\
         scheduled of them  {} messages, {} bytes\n\
         oldest pending     {oldest}\n\
         confirmed          {}\n\
         returned           {}\n\
         failed             {}\n\
         history            {} bytes\n\
         forgotten up to    {horizon}\n\
         files              {} bytes\n",
        path.display(),
        info.schema_version,
        if info.closed {
            "yes"
        } else {
            "no, or a gateway is running"
        },
        facts.pending_messages(),
        facts.scheduled.messages,
        facts.scheduled.bytes,
        facts.confirmed,
        facts.returned,
        facts.failed,
        facts.history_bytes,
        facts.file_bytes,
    ))
}

fn check(path: &Path) -> Result<(), Failure> {
    let problems = operate::check(path)?;
    if problems.is_empty() {
        return crate::print(&format!("{} is whole\n", path.display()));
    }
    Err(format!("{} is damaged:\n{}", path.display(), problems.join("\n")).into())
}

/// What goes next, in that order, and then what is due first of what is scheduled.
fn list(path: &Path, limit: usize) -> Result<(), Failure> {
    let next = next(path, limit)?;
    let scheduled = operate::list_scheduled(path, limit - next.len())?;
    let mut out = std::io::stdout().lock();
    for one in next {
        let doubt = if one.duplicate_possible {
            "  duplicate possible"
        } else {
            ""
        };
        let record = Record::of(&one.message, None);
        writeln!(out, "{}{doubt}", line(&record))?;
    }
    for record in scheduled {
        let due = record.deliver_at.unwrap_or(record.accepted_at);
        writeln!(out, "{}  due {due}", line(&record))?;
    }
    Ok(())
}

fn line(record: &Record) -> String {
    let Record {
        id,
        caller,
        accepted_at,
        exchange,
        routing_key,
        size_bytes,
        ..
    } = record;
    let mut line =
        format!("{id}  {accepted_at}  {exchange:?}  {routing_key:?}  {size_bytes} bytes");
    if *caller != Caller::default() {
        line += "  of ";
        line += caller.as_str();
    }
    line
}

/// The first messages of all partitions, each of which is in the order of turns.
fn next(path: &Path, limit: usize) -> Result<Vec<Pending>, Failure> {
    let mut first: Vec<Pending> = Vec::new();
    for partition in 0..=u8::MAX {
        let mut after = None;
        loop {
            let wanted = limit.min(READ_MESSAGES);
            let read = operate::list_pending(path, partition, after, wanted)?;
            after = read.last().map(|last| last.turn);
            let whole = read.len() < wanted;
            first.extend(read);
            first.sort_by_key(|one| one.turn);
            first.truncate(limit);
            let last = first.last().map(|last| last.turn);
            if whole || (first.len() == limit && last < after) {
                break;
            }
        }
    }
    Ok(first)
}

/// The time that a place in the order of acceptance tells.
fn accepted_at(row: RowId) -> String {
    row.time().to_string()
}
