//! A relay with a store that can be held, made to fail, and that notes what happens in which order.

mod held;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;

use crate::broker::{Feed, LaneEvent, Outcome, Room};
use crate::clock;
use crate::domain::{
    Caller, Draft, MessageId, Properties, Reason, ReasonCode, RetrySchedule, RowId, Turn,
};
use crate::relay::dispatch::MemoryBudget;
use crate::relay::{Budget, LaneFeed, Relay, Settings, Start, dispatch};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{Audience, Batch, ReadStore, Settlement, StoreError, WriteStore};
use held::Held;

/// So long a test waits for what must happen before it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Note {
    /// A commit has returned: what it accepted and what it settled.
    Kept(Vec<RowId>, Vec<RowId>),
    /// A commit has failed.
    Failed,
    /// A final status was told.
    Told(RowId),
}

#[derive(Default)]
struct Control {
    held: Mutex<bool>,
    let_go: Condvar,
    failures: Mutex<VecDeque<Option<StoreError>>>,
    notes: Mutex<Vec<Note>>,
    /// The groups of which it was told that they have changed.
    groups: Mutex<Vec<Box<str>>>,
    /// What each commit that succeeded said may have been handed over.
    gates: Mutex<Vec<Option<Turn>>>,
    /// How often it was told that deliveries were kept.
    deliveries: AtomicUsize,
}

struct Listener(Arc<Control>);

impl Audience for Listener {
    fn awaits(&self, _: &mut dyn Iterator<Item = MessageId>) -> bool {
        false
    }

    fn settled(&self, settled: &[Settlement]) {
        let told = settled.iter().map(|one| Note::Told(one.id.row()));
        self.0.notes.lock().extend(told);
    }

    fn deliveries_kept(&self) {
        self.0.deliveries.fetch_add(1, Ordering::SeqCst);
    }

    fn groups_changed(&self, groups: &mut dyn Iterator<Item = (&Caller, &str)>) {
        let names = groups.map(|(_, name)| Box::from(name));
        self.0.groups.lock().extend(names);
    }
}

/// An audience that waits for nothing.
pub(in crate::relay) struct Nobody;

impl Audience for Nobody {
    fn awaits(&self, _: &mut dyn Iterator<Item = MessageId>) -> bool {
        false
    }

    fn settled(&self, _: &[Settlement]) {}

    fn deliveries_kept(&self) {}

    fn groups_changed(&self, _: &mut dyn Iterator<Item = (&Caller, &str)>) {}
}

/// The relay, its writer and its lanes.
pub(super) struct Bench {
    pub(super) relay: Relay,
    pub(super) feeds: Vec<LaneFeed>,
    /// What the store keeps.
    pub(super) kept: MemoryStore,
    control: Arc<Control>,
    entered: Arc<Semaphore>,
    writer: JoinHandle<Result<(), StoreError>>,
    backlog: JoinHandle<Result<(), StoreError>>,
}

/// A budget that no test uses up by accident.
pub(in crate::relay) const AMPLE: Budget = Budget {
    messages_max: 1_000_000,
    bytes_max: 1 << 30,
};

/// Lanes that keep everything in memory.
pub(super) const UNBOUNDED: MemoryBudget = MemoryBudget {
    messages_max: usize::MAX,
    bytes_max: usize::MAX,
};

pub(super) fn settings(lanes: usize, budget: Budget) -> Settings {
    Settings {
        lanes,
        budget,
        dispatch: dispatch::Settings {
            retry: RetrySchedule::default(),
            exchange_known: Duration::from_mins(1),
            stall_after: Duration::from_mins(1),
            memory: UNBOUNDED,
        },
        callers: super::anybody(),
    }
}

/// A message to the default exchange.
pub(in crate::relay) fn draft(key: &str) -> Draft {
    Draft {
        caller: Caller::default(),
        exchange: "".into(),
        routing_key: key.into(),
        mandatory: true,
        ordering_key: None,
        properties: Properties::default(),
        payload: vec![0; 100].into(),
        terms: None,
    }
}

impl Bench {
    /// One lane, which is up; `survives` is what the store says of a restart.
    pub(super) fn new(budget: Budget, survives: bool) -> Self {
        let kept = MemoryStore::new(HistoryBudget {
            keys_kept: Duration::from_hours(24),
            messages_max: 1000,
            bytes_max: 1 << 20,
        });
        Self::over(kept, budget, survives, UNBOUNDED)
    }

    /// The same with a lane that keeps no more than so many messages in memory.
    pub(super) fn with_memory(messages_max: usize) -> Self {
        let empty = Self::new(AMPLE, true);
        let kept = empty.kept.clone();
        assert_eq!(empty.end(), Ok(()));
        let memory = MemoryBudget {
            messages_max,
            ..UNBOUNDED
        };
        Self::over(kept, AMPLE, true, memory)
    }

    /// Ends without a word to the store, and starts again over what it keeps.
    pub(super) fn again(self) -> Self {
        self.again_after(&Batch::default())
    }

    /// The same, when this was the last that the store was given to keep.
    pub(super) fn again_after(self, last: &Batch<'_>) -> Self {
        let mut kept = self.kept.clone();
        assert_eq!(self.end(), Ok(()));
        kept.commit(last).expect("commit");
        Self::over(kept, AMPLE, true, UNBOUNDED)
    }

    fn over(kept: MemoryStore, budget: Budget, survives: bool, memory: MemoryBudget) -> Self {
        let control = Arc::new(Control::default());
        let entered = Arc::new(Semaphore::new(0));
        let store = Held {
            kept: kept.clone(),
            control: Arc::clone(&control),
            entered: Arc::clone(&entered),
            survives,
        };
        let audience = Arc::new(Listener(Arc::clone(&control)));
        let reader = Arc::new(kept.clone());
        let facts = kept.facts().expect("read");
        let start = Start {
            last_row: facts.last_row,
            pending: facts.pending,
            scheduled: facts.scheduled,
            wall: facts.wall,
        };
        let mut settings = settings(1, budget);
        settings.dispatch.memory = memory;
        let (relay, writer) = Relay::new(&settings, store, reader, &start, audience);
        let backlog = relay.backlog_reader();
        let backlog = std::thread::Builder::new()
            .spawn(move || backlog.run())
            .expect("a thread");
        let writer = std::thread::Builder::new()
            .spawn(move || writer.run())
            .expect("a thread");
        let mut feeds = relay.lane_feeds();
        for feed in &mut feeds {
            feed.report(clock::monotonic(), &mut vec![LaneEvent::Up]);
        }
        Self {
            relay,
            feeds,
            kept,
            control,
            entered,
            writer,
            backlog,
        }
    }

    /// Accepts a message with this routing key.
    pub(super) async fn accept(&self, key: &str) -> RowId {
        let accepted = self.relay.accept(draft(key)).await;
        accepted.expect("accepted").id.row()
    }

    /// Commits do not return any more.
    pub(super) fn hold(&self) {
        *self.control.held.lock() = true;
    }

    /// Commits return again.
    pub(super) fn let_go(&self) {
        *self.control.held.lock() = false;
        self.control.let_go.notify_all();
    }

    /// How many commits have begun that were not waited for.
    pub(super) fn commits_begun(&self) -> usize {
        self.entered.available_permits()
    }

    /// How the next commits end.
    pub(super) fn fail(&self, failures: impl IntoIterator<Item = Option<StoreError>>) {
        self.control.failures.lock().extend(failures);
    }

    /// Returns when one more commit has begun.
    pub(super) async fn commit_begins(&self) {
        let entered = tokio::time::timeout(PATIENCE, self.entered.acquire()).await;
        entered.expect("in time").expect("open").forget();
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        self.control.notes.lock().clone()
    }

    /// The groups of which it was told that they have changed, since this was last asked.
    pub(super) fn take_groups(&self) -> Vec<Box<str>> {
        std::mem::take(&mut self.control.groups.lock())
    }

    /// Whether it was told of some group since.
    pub(super) fn has_groups(&self) -> bool {
        !self.control.groups.lock().is_empty()
    }

    /// How often it was told that deliveries of webhooks were kept.
    pub(super) fn deliveries_told(&self) -> usize {
        self.control.deliveries.load(Ordering::SeqCst)
    }

    /// What each commit said may have been handed over.
    pub(super) fn gates(&self) -> Vec<Option<Turn>> {
        self.control.gates.lock().clone()
    }

    /// The lane has news of itself.
    pub(super) fn lane_is(&mut self, event: LaneEvent) {
        self.feeds[0].report(clock::monotonic(), &mut vec![event]);
    }

    /// Everything that the lane may publish now.
    pub(super) fn pull(&mut self) -> Vec<RowId> {
        let room = Room {
            messages: 1000,
            bytes: 1 << 20,
            empty: true,
        };
        let mut into = Vec::new();
        self.feeds[0].pull(clock::monotonic(), room, &mut into);
        into.iter().map(|one| one.message.id.row()).collect()
    }

    pub(super) fn report(&mut self, row: RowId, outcome: Outcome) {
        let mut events = vec![LaneEvent::Ended(row, outcome)];
        self.feeds[0].report(clock::monotonic(), &mut events);
        assert!(events.is_empty(), "all events are taken");
    }

    /// Waits until it is so. Every look lets others work; nothing hangs on how long one takes.
    pub(super) async fn until(&self, what: impl Fn(&Self) -> bool) {
        let wait = async {
            while !what(self) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("in time");
    }

    /// Ends the writer and gives what it said.
    pub(super) fn end(self) -> Result<(), StoreError> {
        self.relay.stop_reading();
        let read = self.backlog.join().expect("the reader does not panic");
        assert_eq!(read, Ok(()));
        self.relay.end();
        self.writer.join().expect("the writer does not panic")
    }
}

/// What the future gives; a test fails when it does not end.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    (tokio::time::timeout(PATIENCE, future).await).expect("in time")
}

/// Whether the future has not ended when it is looked at once.
pub(super) async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = std::future::ready(()) => true,
    }
}

pub(super) fn suspect() -> Outcome {
    let reason = Reason::own(ReasonCode::BrokerError, "as the test says");
    Outcome::Suspect(Arc::new(reason))
}

pub(super) fn reason() -> Reason {
    Reason::own(ReasonCode::BrokerUnavailable, "as the test says")
}
