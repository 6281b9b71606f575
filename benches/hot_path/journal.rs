//! A commit of new messages and of as many ends, as the writer makes them under load.

use std::collections::VecDeque;
use std::sync::Arc;

use amqpost::domain::{IdMinter, Message, Status, WallTime};
use amqpost::store::sqlite::{Options, SqliteStore};
use amqpost::store::{Accepted, Batch, Settlement, WriteStore as _};
use tempfile::TempDir;

use super::{Hot, NOW, draft};

/// Messages end so many commits after their acceptance.
const LATER: usize = 3;
/// The store is looked after once for so many commits.
const UPKEEP_EVERY: usize = 16;

/// A store in a folder of its own.
pub struct Journal {
    store: SqliteStore,
    minter: IdMinter,
    open: VecDeque<Vec<Arc<Message>>>,
    batch: usize,
    commits: usize,
    _directory: TempDir,
}

impl Journal {
    /// Commits of so many messages.
    pub fn new(batch: usize) -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join("bench.db");
        let opened = SqliteStore::open(&path, &Options::default(), NOW).expect("a store");
        Self {
            store: opened.store,
            minter: IdMinter::default(),
            open: VecDeque::new(),
            batch,
            commits: 0,
            _directory: directory,
        }
    }

    fn accept(&mut self) -> Vec<Arc<Message>> {
        let one = |minter: &mut IdMinter| {
            Arc::new(Message {
                id: minter.mint(NOW, 7),
                accepted_at: NOW,
                draft: draft(),
            })
        };
        (0..self.batch).map(|_| one(&mut self.minter)).collect()
    }
}

impl Hot for Journal {
    fn messages(&self) -> usize {
        self.batch
    }

    fn once(&mut self) {
        let new = self.accept();
        let accepted: Vec<_> = (new.iter())
            .map(|message| Accepted {
                message: Arc::clone(message),
                partition: 0,
                key: None,
                due: None,
                clock_step_ms: 0,
            })
            .collect();
        self.open.push_back(new);
        let ended = if self.open.len() > LATER {
            self.open.pop_front().unwrap_or_default()
        } else {
            Vec::new()
        };
        let settled: Vec<_> = ended.iter().map(|message| confirmed(message)).collect();
        let batch = Batch {
            accepted: &accepted,
            settled: &settled,
            handed_to: accepted.last().map(|one| one.message.id.row().into()),
            ..Batch::default()
        };
        self.store.commit(&batch).expect("a commit");
        self.commits += 1;
        if self.commits.is_multiple_of(UPKEEP_EVERY) {
            self.store.upkeep(WallTime::default()).expect("upkeep");
        }
    }
}

fn confirmed(message: &Message) -> Settlement {
    Settlement {
        id: message.id,
        status: Status::Confirmed,
        reason: None,
        attempts: 1,
        duplicate_possible: false,
        revision: 2,
        settled_at: NOW,
    }
}
