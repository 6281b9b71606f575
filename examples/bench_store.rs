//! The journal alone: what it costs to keep messages and their ends.
//!
//! `cargo run --release --example bench_store -- [--messages N] [--payload BYTES] [--history N]
//! [--history-bytes N] [--batch N] [--rounds N] [--dir PATH]`
//!
//! Batches of new messages go in, and as many that were accepted a thousand before are settled, in
//! one commit each, with upkeep between commits, as the gateway's writer does. First a history of
//! `--history` settled messages is made, which does not count. Told for each round: microseconds of
//! CPU of the whole process for each message (accepted and settled), messages a second, how long
//! commits took, the longest time from the end of a commit to the end of the next, and the sizes of
//! the files.
#![expect(clippy::print_stdout, reason = "a benchmark tells its figures")]
#![expect(clippy::cast_precision_loss, reason = "figures are told roughly")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use amqpost::clock;
use amqpost::domain::{Draft, IdMinter, Message, Properties, Status};
use amqpost::store::sqlite::{Options, SqliteStore};
use amqpost::store::{Accepted, Batch, ReadStore, Settlement, WriteStore};
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
    #[arg(long)]
    dir: Option<PathBuf>,
}

struct Bench {
    store: SqliteStore,
    minter: IdMinter,
    payload: Bytes,
    batch: usize,
    open: VecDeque<Arc<Message>>,
    drawn: u64,
}

impl Bench {
    fn accept(&mut self) -> Accepted {
        let accepted_at = clock::wall();
        self.drawn = self
            .drawn
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(1);
        let message = Arc::new(Message {
            id: self.minter.mint(accepted_at, self.drawn),
            accepted_at,
            draft: Draft {
                caller: amqpost::domain::Caller::default(),
                exchange: "log.exchange".into(),
                routing_key: "test.key".into(),
                mandatory: true,
                ordering_key: None,
                properties: Properties::default(),
                payload: self.payload.clone(),
            },
        });
        self.open.push_back(Arc::clone(&message));
        Accepted {
            message,
            partition: (self.drawn >> 60).to_le_bytes()[0] % PARTITIONS,
        }
    }

    fn settle(&mut self) -> Option<Settlement> {
        let message = self.open.pop_front()?;
        Some(Settlement {
            id: message.id,
            status: Status::Confirmed,
            reason: None,
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
            let due = self.open.len().saturating_sub(IN_FLIGHT);
            let settled: Vec<_> = (0..due).filter_map(|_| self.settle()).collect();
            let batch = Batch {
                accepted: &accepted,
                settled: &settled,
                handed_to: accepted.last().map(|one| one.message.id.row()),
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
        drawn: 1,
    };
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
