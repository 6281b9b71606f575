//! Sends again whatever bulk replays ask for, page by page and each in turn.
//!
//! A page is read here, and the writer commits what goes again together with how far it has come: so
//! after a crash nothing is sent twice for it and nothing is left out. Bounded in memory by one page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::AcceptError;
use super::journal::Journal;
use super::journal::commands::Step;
use crate::clock;
use crate::domain::MessageId;
use crate::store::{BulkReplay, PageSize, ReadStore, Record, StoreError};

/// Bulk replays that are under way at most.
pub(super) const UNDER_WAY_MAX: usize = 100;
/// A page, which is also what one commit sends again at most.
const PAGE: PageSize = PageSize {
    records_max: 512,
    examined_max: 10_000,
};
/// When there is no room for more pending messages, it is tried again after so long.
const FULL_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether everything is over while the writer is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Bulk replays that are under way, by turns the first.
#[derive(Default)]
pub(super) struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<BulkReplay>,
    ended: bool,
}

impl Jobs {
    /// One more that has begun.
    pub(super) fn add(&self, bulk: BulkReplay) {
        let mut state = self.state.lock();
        if state.jobs.iter().all(|job| job.id != bulk.id) {
            state.jobs.push_back(bulk);
        }
        self.changed.notify_one();
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().jobs.len()
    }

    /// Lets the replayer end.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_one();
    }

    /// Waits for a job, and gives the first; nothing when it is over.
    fn first(&self) -> Option<BulkReplay> {
        let mut state = self.state.lock();
        while state.jobs.is_empty() && !state.ended {
            self.changed.wait(&mut state);
        }
        state.jobs.front().cloned().filter(|_| !state.ended)
    }

    /// The first stands so now, and comes last; one that is done goes.
    fn stands(&self, bulk: BulkReplay) {
        let mut state = self.state.lock();
        state.jobs.pop_front();
        if !bulk.done {
            state.jobs.push_back(bulk);
        }
    }

    /// Waits until `pause` is over, or everything is.
    fn pause(&self, pause: Duration) {
        let mut state = self.state.lock();
        let until = clock::monotonic() + pause;
        while !state.ended && !self.changed.wait_until(&mut state, until).timed_out() {}
    }

    fn is_ended(&self) -> bool {
        self.state.lock().ended
    }
}

/// Works on all bulk replays, to be run on a thread of its own.
pub struct BulkReplayer {
    pub(super) journal: Arc<Journal>,
    pub(super) store: Arc<dyn ReadStore>,
}

impl BulkReplayer {
    /// Goes on with what the store says is under way, and works until [`super::Relay::stop_reading`]
    /// is called.
    ///
    /// # Errors
    /// The store cannot be read, and the process must end: what was promised would never be done.
    pub fn run(self) -> Result<(), StoreError> {
        let jobs = &self.journal.jobs;
        for bulk in self.store.bulk_replays_under_way()? {
            jobs.add(bulk);
        }
        while let Some(bulk) = jobs.first() {
            let through = bulk.through;
            let page = self.store.unconfirmed(&bulk.filter, through, PAGE)?;
            if page.records.is_empty() && page.next.is_some() {
                // Nothing is lost when this is forgotten: it is looked through again.
                jobs.stands(BulkReplay {
                    through: page.next,
                    ..bulk
                });
                continue;
            }
            let candidate = |record: &Record| (record.id, record.replays);
            let ids = page.records.iter().map(candidate).collect();
            match self.step(bulk, ids, page.next) {
                Some(Ok(bulk)) => jobs.stands(bulk),
                Some(Err(AcceptError::Full)) => jobs.pause(FULL_PAUSE),
                // The gateway stops, and goes on when it starts again.
                Some(Err(_)) | None => self.wait_for_the_end(),
            }
        }
        Ok(())
    }

    /// Commits a page; nothing when everything is over.
    fn step(
        &self,
        bulk: BulkReplay,
        page: Vec<(MessageId, u32)>,
        next: Option<crate::domain::RowId>,
    ) -> Option<Result<BulkReplay, AcceptError>> {
        let (tell, told) = sync_channel(1);
        self.journal.step(Step {
            bulk,
            page,
            next,
            tell,
        });
        loop {
            match told.recv_timeout(LOOK_EVERY) {
                Ok(told) => return Some(told),
                Err(RecvTimeoutError::Timeout) if !self.journal.jobs.is_ended() => {}
                Err(_) => return None,
            }
        }
    }

    fn wait_for_the_end(&self) {
        let jobs = &self.journal.jobs;
        while !jobs.is_ended() {
            jobs.pause(LOOK_EVERY);
        }
    }
}
