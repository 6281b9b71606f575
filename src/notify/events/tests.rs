//! Whatever happens at whatever moment, a listener gets what its filter asks for: in order, once, and all
//! of it, unless it is told of a gap.

mod counted;
mod gaps;
mod seams;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;
use crate::domain::{Caller, RowId, Status};
use crate::store::contract::samples::{accepting, one, settlement, settling};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{Accepted, Filter, WriteStore as _};
use counted::Counted;

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that is told to settle, those who listen, and the task that reads for them.
struct Bench {
    store: MemoryStore,
    counted: Arc<Counted>,
    events: Arc<Events>,
    rows: u64,
    _tail: JoinSet<()>,
    _stop: watch::Sender<bool>,
}

impl Bench {
    fn new(history_messages_max: usize, ring_events_max: usize) -> Self {
        let store = MemoryStore::new(HistoryBudget {
            keys_kept: Duration::from_hours(24),
            messages_max: history_messages_max,
            bytes_max: usize::MAX,
        });
        let counted = Arc::new(Counted::new(store.clone()));
        let events = Events::new(16);
        *events.ring.write() = Ring::new(ring_events_max);
        let (events, (stop, stopping)) = (Arc::new(events), watch::channel(false));
        let mut tail = JoinSet::new();
        tail.spawn(Arc::clone(&events).tail(counted.clone(), stopping));
        Self {
            store,
            counted,
            events,
            rows: 0,
            _tail: tail,
            _stop: stop,
        }
    }

    /// One more message of a caller, which ends so; answers its position.
    fn settle(&mut self, caller: u8, status: Status) -> u64 {
        let message = self.accept(caller);
        let settled = [settlement(message.message.id, status, 9)];
        self.store.commit(&settling(&settled)).expect("commit");
        self.events.settled();
        self.last()
    }

    fn accept(&mut self, caller: u8) -> Accepted {
        self.rows += 1;
        let mut message = one(self.rows, "payload");
        Arc::make_mut(&mut message.message).draft.caller = named(caller);
        let batch = [message.clone()];
        self.store.commit(&accepting(&batch)).expect("commit");
        message
    }

    fn last(&self) -> u64 {
        self.store.facts().expect("facts").last_position
    }

    /// Returns when the ring covers what comes next.
    async fn ring_has_started(&self) {
        while !self.events.ring.read().covers(self.last()) {
            tokio::time::sleep(TAIL_PAUSE).await;
        }
    }

    fn pages(&self) -> usize {
        self.counted.pages.load(Ordering::SeqCst)
    }

    async fn listen(&self, filter: Filter, after: Option<u64>) -> Listener {
        let wanted = Wanted { filter, key: None };
        let store = Arc::clone(&self.counted);
        let listener = self.events.listen(store, wanted, after).await;
        listener.expect("there is room")
    }
}

fn named(caller: u8) -> Caller {
    Caller::named(&format!("caller-{caller}")).expect("a name")
}

fn of(caller: u8) -> Filter {
    Filter {
        caller: Some(named(caller)),
        ..Filter::default()
    }
}

/// The next one, once it is there.
async fn next(listener: &mut Listener) -> Next {
    let next = async {
        loop {
            if let Some(next) = listener.take() {
                return next;
            }
            listener.more().await.expect("a store that answers");
        }
    };
    let next = tokio::time::timeout(PATIENCE, next).await;
    next.expect("an event comes")
}

/// The position of the next one, which is an event.
async fn position(listener: &mut Listener) -> u64 {
    match next(listener).await {
        Next::Event(event) => event.position,
        gap @ Next::Gap { .. } => panic!("{gap:?}"),
    }
}

#[tokio::test]
async fn who_listens_is_told_from_that_moment_on() {
    let mut bench = Bench::new(100, 100);
    bench.settle(1, Status::Confirmed);
    let mut listener = bench.listen(Filter::default(), None).await;
    assert_eq!(listener.position(), 1);
    bench.settle(1, Status::Returned);
    let Next::Event(event) = next(&mut listener).await else {
        panic!("a gap");
    };
    assert_eq!(event.position, 2);
    assert_eq!(event.record.id.row(), RowId::from_stored(2));
    let status = event.record.outcome.as_ref().map(|outcome| outcome.status);
    assert_eq!(status, Some(Status::Returned));
    assert!(listener.take().is_none());
}

#[tokio::test]
async fn what_is_told_of_an_event_is_made_once_for_all() {
    let mut bench = Bench::new(100, 100);
    let mut first = bench.listen(Filter::default(), None).await;
    let mut second = bench.listen(Filter::default(), None).await;
    bench.ring_has_started().await;
    bench.settle(1, Status::Confirmed);
    let mut made = 0;
    for listener in [&mut first, &mut second] {
        let Next::Event(event) = next(listener).await else {
            panic!("a gap");
        };
        let told = event.told(|_| {
            made += 1;
            Bytes::from_static(b"told")
        });
        assert_eq!(told, "told");
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn each_caller_is_told_of_its_own_and_passes_over_the_rest() {
    let mut bench = Bench::new(100, 100);
    let mut listener = bench.listen(of(2), None).await;
    for caller in [1, 2, 1, 1] {
        bench.settle(caller, Status::Confirmed);
    }
    assert_eq!(position(&mut listener).await, 2);
    while listener.position() < 4 {
        assert!(listener.take().is_none());
        if listener.position() < 4 {
            listener.more().await.expect("a store that answers");
        }
    }
}

#[tokio::test]
async fn while_nobody_listens_nothing_is_read_and_one_reading_is_for_all() {
    let mut bench = Bench::new(1000, 1000);
    for _ in 0..50 {
        bench.settle(1, Status::Confirmed);
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.pages(), 0);
    let mut listeners = Vec::new();
    for _ in 0..10 {
        listeners.push(bench.listen(Filter::default(), None).await);
    }
    bench.ring_has_started().await;
    let started = bench.pages();
    // One for each of them, and the one that starts the ring, for which somebody may have asked again.
    assert!((10..=12).contains(&started), "{started}");
    let last = bench.settle(1, Status::Confirmed);
    for listener in &mut listeners {
        assert_eq!(position(listener).await, last);
    }
    let read = bench.pages() - started;
    assert!((1..=2).contains(&read), "{read} pages were read for ten");
    drop(listeners);
    assert!(bench.events.ring.read().end().is_none());
    let before = bench.pages();
    bench.settle(1, Status::Confirmed);
    tokio::time::sleep(TAIL_PAUSE * 5).await;
    assert_eq!(bench.pages(), before);
}

#[tokio::test]
async fn the_number_of_those_who_listen_is_bounded() {
    let bench = Bench::new(100, 100);
    let mut listeners = Vec::new();
    for _ in 0..16 {
        listeners.push(bench.listen(Filter::default(), None).await);
    }
    let listen = || {
        let store = Arc::clone(&bench.counted);
        bench.events.listen(store, Wanted::default(), None)
    };
    assert_eq!(listen().await.err(), Some(ListenError::TooMany));
    listeners.pop();
    assert!(listen().await.is_ok());
}

#[tokio::test]
async fn who_falls_behind_the_ring_reads_on_by_itself_and_misses_nothing() {
    let mut bench = Bench::new(usize::MAX, 10);
    let mut slow = bench.listen(of(1), None).await;
    let mut quick = bench.listen(of(1), None).await;
    for number in 1..=500 {
        let position = bench.settle(1, Status::Confirmed);
        assert_eq!(position, number);
        assert_eq!(self::position(&mut quick).await, position);
    }
    assert!(!bench.events.ring.read().covers(slow.position()));
    for number in 1..=500 {
        assert_eq!(position(&mut slow).await, number);
    }
    assert!(slow.take().is_none());
}
