//! The stream of outcomes: each final status, to everybody who listens, in the order of settlement.
//!
//! **Reading once for all.** A commit wakes one task, [`Events::tail`], which reads what was newly
//! settled from the store and puts it into a ring of bounded size. Listeners take from the ring what
//! they want. Nothing polls, and while nobody listens nothing is read.
//!
//! **The seam.** A listener is nothing but a position: everything up to it was given or passed over.
//! The ring covers all positions from its start to its end, so a listener whose position is in there
//! goes on from the ring, and one whose position is before it reads the store by itself, a page at a
//! time, until the ring covers where it has got to. Both ways give what is behind the position and
//! nothing else; so at the seam nothing is lost and nothing comes twice.
//!
//! **Slow listeners** hold nothing: who falls behind the ring reads the store from then on, as fast as
//! it takes what it is given. (Ending such a stream was the other way. Its client would come back and
//! read the same pages, and each burst that is longer than the ring would send everybody away.) Who
//! takes nothing at all is for the connection to end; see `http/write_stall.rs`.
//!
//! **Bounds**: the events of the ring, the number of listeners, the entries of a page, of which each
//! listener has one at most, and the pages that are being read at the same time.

mod listener;
mod ring;
#[cfg(test)]
mod tests;
mod wanted;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{Notify, Semaphore, watch};

pub use listener::{Listener, Next};
pub use wanted::{Wanted, WantedKey};

use crate::store::{OutcomesPage, POSITIONS_END, ReadStore, Record, StoreError};
use ring::Ring;

/// Events in the ring: about ten megabytes at worst, and the last second of a busy gateway or more.
const RING_EVENTS_MAX: usize = 4096;

/// Settlements that are looked at for one page.
const PAGE_ENTRIES_MAX: usize = 128;

/// Pages that are read at the same time for those who catch up: others ask the store too.
const READING_MAX: usize = 2;

/// The least time between two looks at what is new. It makes hundreds of small commits a few pages, for
/// each of which every listener is woken.
const TAIL_PAUSE: Duration = Duration::from_millis(10);

/// The pause after the store could not be read.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// One outcome.
#[derive(Debug)]
pub struct Event {
    /// Its place in the order of settlement.
    pub position: u64,
    /// The message, with this outcome.
    pub record: Record,
    /// What is sent of it, the same to everybody.
    told: OnceLock<Bytes>,
}

impl Event {
    fn new((position, record): (u64, Record)) -> Self {
        Self {
            position,
            record,
            told: OnceLock::new(),
        }
    }

    /// What `tell` makes of it; made once, whoever asks. All who tell must tell the same.
    pub fn told(&self, tell: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.told.get_or_init(|| tell(self)).clone()
    }
}

/// Why nobody can listen now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// As many listen as may.
    #[error("too many streams of events are open")]
    TooMany,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See the module.
pub struct Events {
    ring: RwLock<Ring>,
    /// How many listen; changed under the ring's lock only.
    listening: AtomicUsize,
    /// Something was settled, or somebody began to listen.
    settled: Notify,
    /// The ring has changed.
    news: watch::Sender<()>,
    room: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

impl Events {
    /// For so many listeners at most.
    #[must_use]
    pub fn new(listeners_max: usize) -> Self {
        Self {
            ring: RwLock::new(Ring::new(RING_EVENTS_MAX)),
            listening: AtomicUsize::new(0),
            settled: Notify::new(),
            news: watch::Sender::default(),
            room: Arc::new(Semaphore::new(listeners_max.min(Semaphore::MAX_PERMITS))),
            reading: Arc::new(Semaphore::new(READING_MAX)),
        }
    }

    /// How many listen.
    #[must_use]
    pub fn listening(&self) -> usize {
        self.listening.load(Ordering::SeqCst)
    }

    /// Something was settled just now. Quick, and never waits.
    pub fn settled(&self) {
        // Whoever begins to listen after this look finds the commit, which came before, in the store.
        if self.listening.load(Ordering::SeqCst) > 0 {
            self.settled.notify_one();
        }
    }

    /// Starts to listen to what is `wanted`, from behind the position `after`, or from now on.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn listen(
        self: &Arc<Self>,
        store: Arc<dyn ReadStore>,
        wanted: Wanted,
        after: Option<u64>,
    ) -> Result<Listener, ListenError> {
        Listener::start(Arc::clone(self), store, wanted, after).await
    }

    /// Reads for everybody who listens until `stop` turns true.
    pub async fn tail(self: Arc<Self>, store: Arc<dyn ReadStore>, mut stop: watch::Receiver<bool>) {
        let tail = async {
            loop {
                self.settled.notified().await;
                self.read_to_the_end(&store).await;
                tokio::time::sleep(TAIL_PAUSE).await;
            }
        };
        tokio::select! {
            () = tail => {}
            // An error means that nobody is left who could say it.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn read_to_the_end(&self, store: &Arc<dyn ReadStore>) {
        while let Some(after) = self.tail_from() {
            let store = Arc::clone(store);
            let read = move || store.outcomes(after, PAGE_ENTRIES_MAX);
            match ask(read).await {
                Ok(page) => {
                    if !self.push(after, page) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the events cannot be read");
                    tokio::time::sleep(FAILED_PAUSE).await;
                }
            }
        }
    }

    /// Where the ring goes on, if anybody listens. A ring that nobody needed starts at the end.
    fn tail_from(&self) -> Option<u64> {
        let ring = self.ring.read();
        let listens = self.listening.load(Ordering::SeqCst) > 0;
        listens.then(|| ring.end().unwrap_or(POSITIONS_END))
    }

    /// Puts a page behind `after` into the ring. False when there is nothing more to read.
    fn push(&self, after: u64, page: OutcomesPage) -> bool {
        let mut ring = self.ring.write();
        if self.listening.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let more = page.reached < page.last;
        match ring.end() {
            Some(end) if end == after => ring.push(after, page),
            // Everybody has left and somebody else has come meanwhile, for whom nothing was read.
            Some(_) => return true,
            None => ring.start(page.last),
        }
        drop(ring);
        self.news.send_replace(());
        more
    }

    fn enter(&self) {
        let ring = self.ring.write();
        self.listening.fetch_add(1, Ordering::SeqCst);
        if ring.end().is_none() {
            // It must start, also when nothing is settled.
            self.settled.notify_one();
        }
    }

    fn leave(&self) {
        let mut ring = self.ring.write();
        if self.listening.fetch_sub(1, Ordering::SeqCst) == 1 {
            ring.clear();
        }
    }
}

/// What the store answers, without keeping anybody else waiting.
async fn ask<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let answer = tokio::task::spawn_blocking(read).await;
    answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}
