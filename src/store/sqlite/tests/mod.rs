//! The store over a disk that fails on request.

mod asking;
mod budget;
mod checkpoints;
mod contract;
mod damage;
mod doubts;
mod faults;
mod keys;
mod labels;
mod migration;
mod opening;
mod operators;
mod outbox;
mod outcomes;
mod replays;
mod schedules;
mod settling;
mod written;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use faulty_vfs::Faults;
use tempfile::TempDir;

use super::{OpenError, Opened, Options, SqliteReader, SqliteStore};
use crate::domain::WallTime;
use crate::store::contract::model::partition_of;
use crate::store::{ReadStore, WriteStore};

/// A store in a directory of its own, on a disk of its own.
struct Bench {
    _directory: TempDir,
    path: PathBuf,
    faults: Arc<Faults>,
    options: Options,
    open: Option<Opened>,
}

fn options(partitions: u8) -> Options {
    Options {
        partitions,
        partition_of: Arc::new(move |message| partition_of(message, partitions)),
        reserve_bytes: 0,
        vfs: Some(faulty_vfs::NAME.into()),
        ..Options::default()
    }
}

impl Bench {
    fn new(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("store.db");
        let faults = faulty_vfs::watch(&path);
        let mut bench = Self {
            _directory: directory,
            path,
            faults,
            options,
            open: None,
        };
        bench.open().expect("open");
        bench
    }

    fn open(&mut self) -> Result<&mut Opened, OpenError> {
        let opened = SqliteStore::open(&self.path, &self.options, WallTime::from_unix_ms(0))?;
        Ok(self.open.insert(opened))
    }

    fn opened(&mut self) -> &mut Opened {
        self.open.as_mut().expect("it is open")
    }

    fn store(&mut self) -> &mut SqliteStore {
        &mut self.opened().store
    }

    fn reader(&self) -> &SqliteReader {
        &self.open.as_ref().expect("it is open").reader
    }

    fn close(&mut self) {
        self.store().close().expect("close");
        self.open = None;
    }

    /// The process is killed: what it wrote stays.
    fn kill(&mut self) {
        self.faults.stop();
        self.open = None;
        self.faults.heal();
    }

    /// The power goes: what was not synced is lost.
    fn cut_power(&mut self) {
        self.faults.stop();
        self.open = None;
        self.faults.cut_power();
    }

    fn pending(&self) -> Vec<crate::store::Pending> {
        let all = (0..16).map(|partition| {
            self.reader()
                .pending(partition, None, usize::MAX, usize::MAX)
        });
        all.flat_map(|found| found.expect("read")).collect()
    }

    fn beside(&self, ending: &str) -> PathBuf {
        super::lock::beside(&self.path, ending)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Alters the store behind its back.
fn alter(bench: &Bench, sql: &str) {
    let other = rusqlite::Connection::open(bench.path()).expect("open");
    other.execute_batch(sql).expect("alter");
}

/// The check finds nothing wrong.
fn whole(bench: &Bench) {
    let none: Vec<String> = Vec::new();
    assert_eq!(super::operate::check(bench.path()).expect("check"), none);
}
