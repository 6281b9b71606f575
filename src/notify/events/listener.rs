//! One who listens.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;

use super::ring::Step;
use super::wanted::WantedPage;
use super::{Event, Events, ListenError, Wanted};
use crate::store::{POSITIONS_END, ReadStore, StoreError};

/// See [`Events::listen`]. Dropping it ends it.
pub struct Listener {
    place: Place,
    store: Arc<dyn ReadStore>,
    wanted: Arc<Wanted>,
    news: watch::Receiver<()>,
    /// Everything up to here was given or passed over.
    position: u64,
    /// It was told that something may be missing up to here.
    missing_to: u64,
    /// A gap that is still to be told.
    gap: Option<(u64, u64)>,
    /// A page of its own, and what is being read.
    page: Option<WantedPage>,
    reading: Option<JoinHandle<Result<WantedPage, StoreError>>>,
    /// The last page of its own was empty, and nothing has happened since.
    at_end: bool,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// An outcome.
    Event(Arc<Event>),
    /// Of what was settled behind `from` and up to `to`, something may no longer be kept. What is kept
    /// of it comes next.
    Gap {
        /// The position that was reached.
        from: u64,
        /// Behind this nothing is missing.
        to: u64,
    },
}

/// Its place among all who listen.
struct Place {
    all: Arc<Events>,
    _room: OwnedSemaphorePermit,
}

impl Place {
    fn take(all: Arc<Events>) -> Result<Self, ListenError> {
        let room = Arc::clone(&all.room).try_acquire_owned();
        let room = room.map_err(|_| ListenError::TooMany)?;
        all.enter();
        Ok(Self { all, _room: room })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.leave();
    }
}

impl Listener {
    /// Takes its place first and looks into the store second, so that a commit in between is seen by
    /// one of the two.
    pub(super) async fn start(
        all: Arc<Events>,
        store: Arc<dyn ReadStore>,
        wanted: Wanted,
        after: Option<u64>,
    ) -> Result<Self, ListenError> {
        let place = Place::take(all)?;
        let mut listener = Self {
            news: place.all.news.subscribe(),
            place,
            store,
            wanted: Arc::new(wanted),
            position: after.unwrap_or(POSITIONS_END),
            missing_to: 0,
            gap: None,
            page: None,
            reading: None,
            at_end: false,
        };
        let mut page = listener.read().await?;
        match after {
            None => listener.position = page.last,
            // Whoever asks for what is kept knows that there may have been more.
            Some(0) => listener.missing_to = page.kept_since,
            // It is of another store, or of this one before it was set back.
            Some(after) if after > page.last => {
                listener.position = 0;
                page = listener.read().await?;
                listener.missing_to = page.kept_since;
                listener.gap = Some((after, page.kept_since));
            }
            Some(_) => {}
        }
        listener.page = Some(page).filter(|_| after.is_some());
        Ok(listener)
    }

    /// Everything up to here was given or passed over: who starts behind it misses nothing.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What comes next, if it is there already. When it is not, [`Self::more`] waits for it.
    pub fn take(&mut self) -> Option<Next> {
        if let Some((from, to)) = self.gap.take() {
            return Some(Next::Gap { from, to });
        }
        if let Some(page) = &mut self.page {
            let kept_since = page.kept_since;
            if kept_since > self.position.max(self.missing_to) {
                return Some(self.misses(self.position, kept_since));
            }
            if let Some(event) = page.events.next() {
                self.position = event.position;
                return Some(Next::Event(Arc::new(event)));
            }
            self.position = page.reached;
            self.page = None;
        }
        if !self.wanted.is_in_ring() {
            return None;
        }
        let ring = self.place.all.ring.read();
        let step = ring.step(self.position, self.missing_to, &self.wanted);
        drop(ring);
        match step {
            Step::Event(event) => {
                self.position = event.position;
                Some(Next::Event(event))
            }
            Step::Gap(from, to) => Some(self.misses(from, to)),
            Step::Nothing(position) => {
                self.position = self.position.max(position);
                None
            }
            Step::NotHere => None,
        }
    }

    fn misses(&mut self, from: u64, to: u64) -> Next {
        self.position = from;
        self.missing_to = to;
        Next::Gap { from, to }
    }

    /// Returns when [`Self::take`] may have something. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn more(&mut self) -> Result<(), StoreError> {
        if self.reading.is_none() && (self.at_end || self.is_covered()) {
            // The sender lives as long as its place.
            let _ = self.news.changed().await;
            self.at_end = false;
            return Ok(());
        }
        let page = self.read().await?;
        self.at_end = page.reached == self.position;
        self.page = Some(page);
        Ok(())
    }

    fn is_covered(&self) -> bool {
        self.wanted.is_in_ring() && self.place.all.ring.read().covers(self.position)
    }

    /// A page from the store. When the future is dropped, the reading goes on and the next call gets it.
    async fn read(&mut self) -> Result<WantedPage, StoreError> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let reading = Arc::clone(&self.place.all.reading).acquire_owned().await;
                let (store, wanted) = (Arc::clone(&self.store), Arc::clone(&self.wanted));
                let after = self.position;
                none.insert(tokio::task::spawn_blocking(move || {
                    let _reading = reading;
                    wanted.read(&*store, after)
                }))
            }
        };
        let answer = reading.await;
        self.reading = None;
        answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}
