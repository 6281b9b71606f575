//! The only room that writes the store and drives the broker: admission, dispatch, settlement.
//!
//! A message takes one way: [`Relay::accept`] queues it for the journal, the journal's writer commits
//! it and gives it to its lane's dispatch, the lane pulls and publishes it, its end is queued for the
//! journal again, and after that commit it is told.
//!
//! What is scheduled waits in the store until it is due; what has ended and is replayed comes from
//! there again. Both get a turn, and go on as if they were new.

mod backlog_reader;
mod bulk_replays;
mod cancel;
mod counts;
pub mod dispatch;
mod feeds;
mod figures;
mod idempotency;
mod journal;
mod keys;
mod lanes;
mod outbox;
mod prober;
mod quarantine;
mod replay;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use backlog_reader::BacklogReader;
pub use bulk_replays::BulkReplayer;
pub use cancel::Cancellation;
pub use counts::Counts;
pub use feeds::{LaneFeed, ProbationFeed};
pub use figures::Figures;
pub use idempotency::{Acceptance, Keyed};
pub use journal::Budget;
pub use quarantine::QuarantineFeed;
pub use replay::Replay;

use crate::broker::Probe;
use crate::domain::access::Callers;
use crate::domain::{Draft, Message, MessageId, Reason, RowId, WallTime};
use crate::store::{Audience, PartitionFacts, ReadStore, Record, StoreError, WriteStore};
use journal::Journal;
use lanes::Lanes;

/// How often a stopping relay looks whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why a message was not accepted. Nothing of it will be published, [`AcceptError::OutcomeUnknown`]
/// apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The budget for pending messages is used up.
    #[error("the gateway holds as many pending messages as it may")]
    Full,
    /// The process is about to end.
    #[error("the gateway is stopping")]
    Stopping,
    /// Another message was accepted with the same idempotency key.
    #[error("the idempotency key was used for another message")]
    KeyReused,
    /// Whether the idempotency key was used before could not be found out.
    #[error("the store cannot be asked about the idempotency key")]
    StoreUnavailable,
    /// The commit failed or its answer was lost: it may or may not have been accepted.
    #[error("whether the message was accepted is not known")]
    OutcomeUnknown,
}

/// How a pending message is getting on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Hand-overs so far.
    pub attempts: u32,
    /// Whether some hand-over left a doubt.
    pub duplicate_possible: bool,
    /// When a message that waits between two tries goes out again.
    pub next_attempt_at: Option<WallTime>,
    /// Why it waits or what happened to it; `None` while the first try goes well.
    pub reason: Option<Reason>,
    /// Its final status is known and being committed: ask again in a moment.
    pub settling: bool,
}

/// Whether the broker takes messages.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerHealth {
    /// Lanes that publish.
    pub lanes_up: usize,
    /// Lanes that the broker has blocked, among those that are up.
    pub lanes_blocked: usize,
    /// Lanes in all.
    pub lanes: usize,
    /// Destinations that do not answer, as each lane counts them.
    pub quarantined: usize,
    /// Why a lane is down or blocked, if any is.
    pub reason: Option<Reason>,
}

/// The state of the relay at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Whether new messages are accepted.
    pub accepting: bool,
    /// Pending messages.
    pub pending_messages: usize,
    /// The broker as the lanes see it.
    pub broker: BrokerHealth,
}

/// How a relay behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lanes; at least one.
    pub lanes: usize,
    /// What may be pending.
    pub budget: Budget,
    /// How lanes dispatch.
    pub dispatch: dispatch::Settings,
    /// What callers may publish, which is asked before a message is sent again.
    pub callers: watch::Receiver<Arc<Callers>>,
}

/// What a store holds when the relay starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The last message that was ever accepted.
    pub last_row: Option<RowId>,
    /// What is pending of each lane.
    pub pending: Vec<PartitionFacts>,
    /// What is pending and not due.
    pub scheduled: PartitionFacts,
    /// The wall clock at the last commit that told it.
    pub wall: Option<WallTime>,
}

/// A handle to the relay; clones are the same relay.
#[derive(Clone)]
pub struct Relay {
    journal: Arc<Journal>,
    lanes: Arc<Lanes>,
    reader: Arc<dyn ReadStore>,
    survives_restart: bool,
}

/// The writer of the journal, to be run on a thread of its own.
pub struct Writer {
    journal: Arc<Journal>,
    lanes: Arc<Lanes>,
    store: Box<dyn WriteStore>,
    reader: Arc<dyn ReadStore>,
}

impl Writer {
    /// Writes until [`Relay::end`] was called and everything is written.
    ///
    /// # Errors
    /// The store has failed, and the process must end with a failure.
    pub fn run(mut self) -> Result<(), StoreError> {
        let store = &mut *self.store;
        self.journal.write(store, &self.reader, &self.lanes)
    }
}

impl Relay {
    /// A relay that writes `store`, which holds what `start` says and is read by `reader`, and tells
    /// `audience` what is final; and its writer.
    ///
    /// # Panics
    /// Not in a runtime of tokio, which is where its callers are taken to be.
    #[must_use]
    pub fn new(
        settings: &Settings,
        store: impl WriteStore,
        reader: Arc<dyn ReadStore>,
        start: &Start,
        audience: Arc<dyn Audience>,
    ) -> (Self, Writer) {
        let survives_restart = store.survives_restart();
        let count = settings.lanes.max(1);
        let journal = Arc::new(Journal::new(
            settings.budget,
            count,
            start,
            survives_restart,
            audience,
            settings.callers.clone(),
        ));
        let lanes = Arc::new(Lanes::new(
            count,
            &settings.dispatch,
            start,
            survives_restart,
        ));
        let relay = Self {
            journal,
            lanes,
            reader,
            survives_restart,
        };
        let writer = Writer {
            journal: Arc::clone(&relay.journal),
            lanes: Arc::clone(&relay.lanes),
            store: Box::new(store),
            reader: Arc::clone(&relay.reader),
        };
        (relay, writer)
    }

    /// What reads back from the store what does not fit into memory.
    #[must_use]
    pub fn backlog_reader(&self) -> BacklogReader {
        BacklogReader {
            lanes: Arc::clone(&self.lanes),
            store: Arc::clone(&self.reader),
        }
    }

    /// What sends again whatever bulk replays ask for.
    #[must_use]
    pub fn bulk_replayer(&self) -> BulkReplayer {
        BulkReplayer {
            journal: Arc::clone(&self.journal),
            store: Arc::clone(&self.reader),
        }
    }

    /// Lets the backlog reader and the bulk replayer end.
    pub fn stop_reading(&self) {
        self.lanes.backlog.end();
        self.journal.jobs.end();
    }

    /// Accepts a message that has passed the rules; returns when it is committed.
    ///
    /// # Errors
    /// [`AcceptError`] says whether it can have been accepted all the same.
    pub async fn accept(&self, draft: Draft) -> Result<Arc<Message>, AcceptError> {
        self.accept_watched(draft, |_| ()).await
    }

    /// As [`Relay::accept`]. `queued` is told the message's id before anything of it is committed: who
    /// starts to wait for its final status there misses nothing. It is on everybody's way, and must
    /// neither wait nor call the relay.
    ///
    /// # Errors
    /// As [`Relay::accept`].
    pub async fn accept_watched(
        &self,
        draft: Draft,
        queued: impl FnOnce(MessageId),
    ) -> Result<Arc<Message>, AcceptError> {
        self.journal.accept(draft, queued).await
    }

    /// Accepts messages that have passed the rules, in their order and each on its own; returns when
    /// all that are accepted are committed. The answers are in the order of `drafts`.
    pub async fn accept_all(&self, drafts: Vec<Draft>) -> Vec<Result<Arc<Message>, AcceptError>> {
        let queued = self.journal.queue_all(drafts.into_iter().map(Into::into));
        queued.committed().await
    }

    /// How a message whose record says pending is getting on.
    #[must_use]
    pub fn progress(&self, record: &Record) -> Progress {
        self.lanes.progress(record)
    }

    /// The state at this moment.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            accepting: self.journal.accepts(),
            pending_messages: self.journal.pending_messages(),
            broker: self.lanes.health(),
        }
    }

    /// What feeds each lane.
    #[must_use]
    pub fn lane_feeds(&self) -> Vec<LaneFeed> {
        let feed = |lane| LaneFeed {
            lanes: Arc::clone(&self.lanes),
            journal: Arc::clone(&self.journal),
            lane,
            settled: Vec::new(),
        };
        (0..self.lanes.all().len()).map(feed).collect()
    }

    /// What feeds the probation lane.
    #[must_use]
    pub fn probation_feed(&self) -> ProbationFeed {
        ProbationFeed {
            lanes: Arc::clone(&self.lanes),
            journal: Arc::clone(&self.journal),
            lane: 0,
            settled: Vec::new(),
        }
    }

    /// What feeds the quarantine lanes.
    #[must_use]
    pub fn quarantine_feeds(&self) -> Vec<QuarantineFeed> {
        let feed = |number| QuarantineFeed {
            lanes: Arc::clone(&self.lanes),
            journal: Arc::clone(&self.journal),
            number,
            lane: 0,
            settled: Vec::new(),
        };
        (0..lanes::QUARANTINE_LANES).map(feed).collect()
    }

    /// Asks about exchanges until `stop` turns true.
    pub async fn probe(self, probe: Arc<dyn Probe>, stop: watch::Receiver<bool>) {
        prober::run(self.lanes, probe, stop).await;
    }

    /// Whether what is pending is there again after a restart.
    #[must_use]
    pub fn survives_restart(&self) -> bool {
        self.survives_restart
    }

    /// Pending messages that are not due.
    #[must_use]
    pub fn scheduled_messages(&self) -> usize {
        self.journal.scheduled_messages()
    }

    /// Accepts nothing any more. Messages go on being published.
    pub fn close(&self) {
        self.journal.close();
    }

    /// Returns when a stop loses nothing: with a store that survives it, when nothing is in flight
    /// (and nothing is handed over any more); with one that does not, when nothing is pending but what
    /// is scheduled for later, which is lost.
    pub async fn drained(&self) {
        if self.survives_restart {
            self.lanes.halt();
        }
        while !self.is_drained() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn is_drained(&self) -> bool {
        if self.survives_restart {
            self.lanes.in_flight() == 0
        } else {
            self.journal.pending_messages() == self.journal.scheduled_messages()
        }
    }

    /// Lets the writer end once everything is written. No lane may be working any more.
    pub fn end(&self) {
        self.journal.end(self.lanes.doubts());
    }
}
