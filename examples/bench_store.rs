//! The journal alone: what it costs to keep messages and their ends.
//!
//! `cargo run --release --example bench_store -- [--messages N] [--payload BYTES] [--history N]
//! [--history-bytes N] [--batch N] [--rounds N] [--callers N] [--dir PATH] [--questions]`
//!
//! Batches of new messages go in, and as many that were accepted a thousand before are settled, in
//! one commit each, with upkeep between commits, as the gateway's writer does. First a history of
//! `--history` settled messages is made, which does not count. Told for each round: microseconds of
//! CPU of the whole process for each message (accepted and settled), messages a second, how long
//! commits took, the longest time from the end of a commit to the end of the next, and the sizes of
//! the files.
//!
//! With `--questions`, a store of `--messages` messages is made (one in a hundred was returned, one in
//! a thousand has failed, a hundred thousand are pending, and the last of the callers has one in a
//! hundred thousand), and the time that questions take is told.
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures are told roughly")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use amqpost::clock;
use amqpost::domain::{
    Caller, Draft, IdMinter, Message, MessageId, Properties, Reason, ReasonCode, Status,
};
use amqpost::store::sqlite::{Options, SqliteStore};
use amqpost::store::{Accepted, Batch, Filter, PageSize, ReadStore, Settlement, WriteStore};
use bytes::Bytes;
use clap::Parser;

const PARTITIONS: u8 = 4;
const IN_FLIGHT: usize = 1000;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 300_000)]
    messages: usize,
    #[arg(long, default_value_t = 256)]
    payload: usize,
    #[arg(long, default_value_t = 0)]
    history: usize,
    #[arg(long, default_value_t = 4 << 30)]
    history_bytes: u64,
    #[arg(long, default_value_t = 100)]
    batch: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[arg(long, default_value_t = 1)]
    callers: usize,
    #[arg(long)]
    dir: Option<PathBuf>,
    #[arg(long)]
    questions: bool,
}

struct Bench {
    store: SqliteStore,
    minter: IdMinter,
    payload: Bytes,
    batch: usize,
    open: VecDeque<Arc<Message>>,
    in_flight: usize,
    /// The last one is rare.
    callers: Vec<Caller>,
    /// Whether not all are confirmed.
    mixed: bool,
    accepted: u64,
    /// Some of all ids.
    sampled: Vec<MessageId>,
    drawn: u64,
}

impl Bench {
    fn accept(&mut self) -> Accepted {
        let accepted_at = clock::wall();
        self.drawn = self
            .drawn
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        self.accepted += 1;
        let caller = match self.accepted {
            rare if self.callers.len() > 1 && rare % 100_000 == 50_000 => self.callers.len() - 1,
            _ => (self.drawn >> 20) as usize % (self.callers.len() - 1).max(1),
        };
        let message = Arc::new(Message {
            id: self.minter.mint(accepted_at, self.drawn),
            accepted_at,
            draft: Draft {
                caller: self.callers[caller].clone(),
                exchange: "log.exchange".into(),
                routing_key: "test.key".into(),
                mandatory: true,
                ordering_key: None,
                properties: Properties::default(),
                payload: self.payload.clone(),
                terms: None,
            },
        });
        if self.mixed && self.accepted.is_multiple_of(97) {
            self.sampled.push(message.id);
        }
        self.open.push_back(Arc::clone(&message));
        Accepted {
            message,
            partition: (self.drawn >> 60).to_le_bytes()[0] % PARTITIONS,
            key: None,
            due: None,
            clock_step_ms: 0,
        }
    }

    fn settle(&mut self) -> Option<Settlement> {
        let message = self.open.pop_front()?;
        let status = match message.id.random() % 1000 {
            0 if self.mixed => Status::Failed,
            1..11 if self.mixed => Status::Returned,
            _ => Status::Confirmed,
        };
        let reason = (status != Status::Confirmed)
            .then(|| Reason::told(ReasonCode::NoRoute, 312, "NO_ROUTE", "no queue is bound"));
        Some(Settlement {
            id: message.id,
            status,
            reason,
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: clock::wall(),
        })
    }

    /// Microseconds of each commit, and of each whole turn.
    fn run(&mut self, messages: usize) -> (Vec<u128>, Vec<u128>) {
        let (mut commits, mut turns) = (Vec::new(), Vec::new());
        for _ in 0..messages / self.batch {
            let turn = Instant::now();
            let accepted: Vec<_> = (0..self.batch).map(|_| self.accept()).collect();
            let due = self.open.len().saturating_sub(self.in_flight);
            let settled: Vec<_> = (0..due).filter_map(|_| self.settle()).collect();
            let batch = Batch {
                accepted: &accepted,
                settled: &settled,
                handed_to: accepted.last().map(|one| one.message.id.row().into()),
                ..Batch::default()
            };
            let start = Instant::now();
            self.store.commit(&batch).expect("commit");
            commits.push(start.elapsed().as_micros());
            self.store.upkeep(clock::wall()).expect("upkeep");
            turns.push(turn.elapsed().as_micros());
        }
        (commits, turns)
    }
}

/// Microseconds of CPU of this process.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let (_, fields) = stat.rsplit_once(") ").expect("the end of the name");
    let ticks = |at: usize| {
        fields
            .split(' ')
            .nth(at)
            .and_then(|field| field.parse::<u64>().ok())
    };
    10_000 * (ticks(11).expect("user time") + ticks(12).expect("system time"))
}

/// The first one has no name.
fn caller(number: usize) -> Caller {
    match number {
        0 => Caller::default(),
        _ => Caller::named(&format!("caller-{number}")).expect("a name"),
    }
}

/// Fills the store and asks each question two hundred times.
fn ask(bench: &mut Bench, reader: &dyn ReadStore, messages: usize) {
    bench.in_flight = 100_000.min(messages / 2);
    bench.batch = 2000;
    let rounds = (messages / 1_000_000).max(1);
    for round in 0..rounds {
        bench.run(messages / rounds);
        println!("{} accepted", (round + 1) * (messages / rounds));
    }
    let facts = reader.facts().expect("facts");
    println!(
        "{} pending, {} confirmed, {} returned, {} failed, {} MiB",
        facts.pending_messages(),
        facts.confirmed,
        facts.returned,
        facts.failed,
        facts.file_bytes >> 20
    );
    let ids = std::mem::take(&mut bench.sampled);
    let mut drawn = 1_u64;
    let mut any = |ids: &[MessageId]| {
        drawn = drawn.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        ids[(drawn >> 33) as usize % ids.len()]
    };
    let rare = bench.callers.last().cloned();
    let common = bench.callers.first().cloned();
    let callers = [("all", None), ("common", common), ("rare", rare)];
    ask_for_lists(reader, &callers, &mut || any(&ids));
    let many = time(|| {
        let ids: Vec<_> = (0..1000).map(|_| any(&ids)).collect();
        reader.get_many(&ids).expect("look up").len()
    });
    told("1000 ids anywhere", many);
    let pending: Vec<_> = bench.open.iter().map(|message| message.id).collect();
    let many = time(|| {
        let ids: Vec<_> = (0..1000).map(|_| any(&pending)).collect();
        reader.get_many(&ids).expect("look up").len()
    });
    told("1000 pending ids", many);
    told(
        "one id",
        time(|| usize::from(reader.get(any(&ids)).is_ok())),
    );
    told(
        "payload",
        time(|| usize::from(reader.payload(any(&pending)).is_ok())),
    );
    for (whose, caller) in callers {
        let tally = time(|| {
            let tally = reader.tally(caller.as_ref()).expect("tally");
            usize::try_from(tally.accepted()).unwrap_or(0)
        });
        told(&format!("tally of {whose}"), tally);
        let oldest = time(|| {
            let oldest = reader.oldest_pending(caller.as_ref(), 10_000);
            usize::from(oldest.is_ok())
        });
        told(&format!("oldest pending of {whose}"), oldest);
    }
}

fn ask_for_lists(
    reader: &dyn ReadStore,
    callers: &[(&str, Option<Caller>)],
    any: &mut dyn FnMut() -> MessageId,
) {
    let size = PageSize {
        records_max: 100,
        examined_max: 10_000,
    };
    for (name, status) in [
        ("any", None),
        ("pending", Some(Status::Pending)),
        ("confirmed", Some(Status::Confirmed)),
        ("returned", Some(Status::Returned)),
        ("failed", Some(Status::Failed)),
    ] {
        for (whose, caller) in callers {
            let filter = Filter {
                status,
                caller: caller.clone(),
                ..Filter::default()
            };
            let first = time(|| {
                reader
                    .list(&filter, None, size)
                    .expect("list")
                    .records
                    .len()
            });
            told(
                &format!("list of {name}, caller {whose}, first page"),
                first,
            );
            let later = time(|| {
                let before = Some(any().row());
                reader
                    .list(&filter, before, size)
                    .expect("list")
                    .records
                    .len()
            });
            told(
                &format!("list of {name}, caller {whose}, later page"),
                later,
            );
        }
    }
}

/// Microseconds of each run, and what the last one answered.
fn time(mut ask: impl FnMut() -> usize) -> (Vec<u128>, usize) {
    let mut answered = 0;
    let mut one = || {
        let start = Instant::now();
        answered = ask();
        start.elapsed().as_micros()
    };
    let mut all: Vec<_> = (0..200).map(|_| one()).collect();
    all.sort_unstable();
    (all, answered)
}

fn told(name: &str, (sorted, answered): (Vec<u128>, usize)) {
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    println!("{name}: p50 {} p99 {} us ({answered})", at(50), at(99));
}

fn main() {
    let arguments = Arguments::parse();
    let directory = match &arguments.dir {
        Some(directory) => tempfile::tempdir_in(directory),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("a directory");
    let path = directory.path().join("bench.db");
    let options = Options {
        partitions: PARTITIONS,
        history_bytes_max: arguments.history_bytes,
        ..Options::default()
    };
    let opened = SqliteStore::open(&path, &options, clock::wall()).expect("open");
    let mut bench = Bench {
        store: opened.store,
        minter: IdMinter::default(),
        payload: vec![b'x'; arguments.payload].into(),
        batch: arguments.batch,
        open: VecDeque::new(),
        in_flight: IN_FLIGHT,
        callers: (0..arguments.callers.max(1)).map(caller).collect(),
        mixed: arguments.questions,
        accepted: 0,
        sampled: Vec::new(),
        drawn: 1,
    };
    if arguments.questions {
        return ask(&mut bench, &*opened.reader, arguments.messages);
    }
    let batch = std::mem::replace(&mut bench.batch, 2000);
    bench.run(arguments.history.max(4 * IN_FLIGHT));
    bench.batch = batch;
    for _ in 0..arguments.rounds {
        let (start, cpu) = (Instant::now(), cpu_us());
        let (mut commits, mut turns) = bench.run(arguments.messages);
        let (elapsed, cpu) = (start.elapsed(), cpu_us() - cpu);
        commits.sort_unstable();
        turns.sort_unstable();
        let at = |sorted: &[u128], percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        let messages = arguments.messages as f64;
        let facts = opened.reader.facts().expect("facts");
        let log =
            std::fs::metadata(directory.path().join("bench.db-wal")).map_or(0, |log| log.len());
        println!(
            "{:.2} us CPU a message, {:.0} messages/s; commit p50 {} p99 {} max {} us; longest gap {} us; \
             in use {} MiB, file {} MiB, log {} MiB, {} confirmed kept",
            cpu as f64 / messages,
            messages / elapsed.as_secs_f64(),
            at(&commits, 50),
            at(&commits, 99),
            at(&commits, 100),
            at(&turns, 100),
            facts.file_bytes >> 20,
            std::fs::metadata(&path).map_or(0, |file| file.len()) >> 20,
            log >> 20,
            facts.confirmed,
        );
    }
    bench.store.close().expect("close");
}
