//! The one way into the store: a queue and one writer.
//!
//! **Group commit without a timer**: the writer takes whatever was queued while its last commit ran.
//! Ids are minted under the lock that queues, so the order of ids is the order of acceptance. After a
//! commit, and only then, the messages go to their lanes, callers get their 202, and final statuses
//! are told.
//!
//! Final statuses ride along with new messages. Alone they go once the oldest has waited for
//! [`SETTLED_WAIT_MAX`], at once when somebody waits for one of them, when many have come together, or
//! when the store costs nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Start;
use super::keys::{Claimed, Keys};
use super::lanes::Lanes;
use crate::clock;
use crate::domain::{IdMinter, Message, Turn};
use crate::store::{Accepted, Audience, Note, Settlement, StoreError, Upkeep, WriteStore};
use admission::Reply;
use batch::Batch;

pub(super) mod admission;
mod batch;

/// Final statuses wait so long for new messages to ride along with.
const SETTLED_WAIT_MAX: Duration = Duration::from_millis(20);
/// So many final statuses do not wait.
const SETTLED_WAITING_MAX: usize = 2000;
/// A full store is not asked again before this.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// The store is looked after so often.
const UPKEEP_EVERY: Duration = Duration::from_millis(100);

/// How much may be pending at a time.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Messages.
    pub messages_max: usize,
    /// Bytes, as [`Message::footprint_bytes`] accounts them.
    pub bytes_max: usize,
}

/// What is to be written, and what is pending.
#[derive(Default)]
struct Queue {
    minter: IdMinter,
    accepted: Vec<Accepted>,
    /// For all of `accepted`, in their order.
    replies: VecDeque<Reply>,
    settled: Vec<(Settlement, usize)>,
    /// When the first of `settled` came.
    settled_since: Option<Instant>,
    noted: Vec<Note>,
    /// Some lane wants to hand over messages of which the store does not know that yet.
    gate_wanted: bool,
    pending_messages: usize,
    pending_bytes: usize,
    /// `settled` is to be written at once.
    urgent: bool,
    room: StoreRoom,
    phase: Phase,
}

/// What the store last said of its room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StoreRoom {
    #[default]
    Ample,
    /// There was none for what is new.
    NoneForNew,
    /// There was none even for final statuses, which wait for it: nothing new may queue meanwhile.
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Accepting,
    /// Nothing is accepted any more.
    Closed,
    /// And the writer ends when it has written everything.
    Ending,
}

/// See the module.
pub(super) struct Journal {
    queue: Mutex<Queue>,
    work: Condvar,
    budget: Budget,
    lanes: usize,
    settled_wait: Duration,
    /// Whether the store must know what may have been handed over.
    durable: bool,
    audience: Arc<dyn Audience>,
    /// Claims of messages that are queued end here, with their commit.
    pub(super) keys: Arc<Keys>,
}

/// What the writer does next.
enum Work {
    Commit,
    Upkeep,
    End,
}

impl Journal {
    pub(super) fn new(
        budget: Budget,
        lanes: usize,
        start: &Start,
        durable: bool,
        audience: Arc<dyn Audience>,
    ) -> Self {
        let pending = |count: fn(&crate::store::PartitionFacts) -> u64| {
            usize::try_from(start.pending.iter().map(count).sum::<u64>()).unwrap_or(usize::MAX)
        };
        let queue = Queue {
            minter: IdMinter::after(start.last_row.unwrap_or_default()),
            pending_messages: pending(|partition| partition.messages),
            pending_bytes: pending(|partition| partition.bytes),
            ..Queue::default()
        };
        let settled_wait = if durable {
            SETTLED_WAIT_MAX
        } else {
            Duration::ZERO
        };
        let queue = Mutex::new(queue);
        Self {
            queue,
            work: Condvar::new(),
            budget,
            lanes,
            settled_wait,
            durable,
            audience,
            keys: Arc::default(),
        }
    }

    /// Takes final statuses to be written.
    pub(super) fn settle(&self, settled: &mut Vec<(Settlement, usize)>) {
        if settled.is_empty() {
            return;
        }
        let awaited = self
            .audience
            .awaits(&mut settled.iter().map(|(settlement, _)| settlement.id));
        let mut queue = self.queue.lock();
        let first = queue.settled.is_empty();
        queue.settled.append(settled);
        if first {
            queue.settled_since = Some(clock::monotonic());
        }
        queue.urgent |= awaited || queue.settled.len() >= SETTLED_WAITING_MAX;
        if first || queue.urgent {
            self.work.notify_one();
        }
    }

    /// Some lane wants to hand over what the store does not know to be handed over.
    pub(super) fn want_gate(&self) {
        self.queue.lock().gate_wanted = true;
        self.work.notify_one();
    }

    /// Accepts nothing any more.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        if queue.phase == Phase::Accepting {
            queue.phase = Phase::Closed;
        }
    }

    /// Lets the writer end once everything is written, `doubts` about pending messages included.
    pub(super) fn end(&self, doubts: Vec<Note>) {
        let mut queue = self.queue.lock();
        queue.noted = doubts;
        queue.phase = Phase::Ending;
        self.work.notify_one();
    }

    /// Whether a small message would be accepted now.
    pub(super) fn accepts(&self) -> bool {
        let queue = self.queue.lock();
        queue.phase == Phase::Accepting
            && queue.pending_messages < self.budget.messages_max
            && queue.pending_bytes < self.budget.bytes_max
            && queue.room == StoreRoom::Ample
    }

    pub(super) fn pending_messages(&self) -> usize {
        self.queue.lock().pending_messages
    }

    /// The writer, on a thread of its own. Returns when [`Journal::end`] was called and the store is
    /// closed.
    ///
    /// # Errors
    /// The store has failed; the process must end, and who waits is told that nobody knows.
    pub(super) fn write(
        &self,
        store: &mut dyn WriteStore,
        lanes: &Lanes,
    ) -> Result<(), StoreError> {
        let written = self
            .write_until_end(store, lanes)
            .and_then(|()| store.close());
        let mut queue = self.queue.lock();
        queue.phase = Phase::Ending;
        // Dropping the replies tells everybody who still waits that the outcome is unknown.
        queue.replies.clear();
        self.keys.give_up();
        written
    }

    fn write_until_end(&self, store: &mut dyn WriteStore, lanes: &Lanes) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut upkeep_due = clock::monotonic();
        loop {
            let work = {
                let mut queue = self.queue.lock();
                queue.pending_messages -= std::mem::take(&mut batch.freed_messages);
                queue.pending_bytes -= std::mem::take(&mut batch.freed_bytes);
                let work = self.wait(&mut queue, upkeep_due);
                if matches!(work, Work::Commit) {
                    let gate = queue.gate_wanted || (self.durable && lanes.any_up());
                    batch.take(&mut queue, gate && self.durable);
                }
                work
            };
            match work {
                Work::Commit => {
                    self.commit(&mut batch, store)?;
                    self.tell(&mut batch, lanes);
                }
                Work::Upkeep => {}
                Work::End => return Ok(()),
            }
            let now = clock::monotonic();
            if now >= upkeep_due {
                let Upkeep { more } = store.upkeep(clock::wall())?;
                upkeep_due = if more { now } else { now + UPKEEP_EVERY };
            }
        }
    }

    /// Commits, and when even what is not new finds no room, waits for room: none of it may be lost, and
    /// all of it is counted as pending still.
    fn commit(&self, batch: &mut Batch, store: &mut dyn WriteStore) -> Result<(), StoreError> {
        loop {
            let committed = batch.commit(store);
            let mut queue = self.queue.lock();
            queue.room = match &committed {
                Err(StoreError::Full) => StoreRoom::None,
                _ if batch.was_refused => StoreRoom::NoneForNew,
                // A commit without anything new says nothing about room for it.
                _ if batch.accepted.is_empty() && queue.room == StoreRoom::NoneForNew => queue.room,
                _ => StoreRoom::Ample,
            };
            if committed != Err(StoreError::Full) || queue.phase == Phase::Ending {
                return committed;
            }
            tracing::error!("the store is full, and final statuses wait for room");
            self.work
                .wait_until(&mut queue, clock::monotonic() + FULL_PAUSE);
            drop(queue);
            store.upkeep(clock::wall())?;
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, queue: &mut parking_lot::MutexGuard<'_, Queue>, upkeep_due: Instant) -> Work {
        loop {
            let now = clock::monotonic();
            let ending = queue.phase == Phase::Ending;
            let settled_due = queue.settled_since.map(|since| since + self.settled_wait);
            let settled = queue.urgent || ending || settled_due.is_some_and(|due| due <= now);
            if !queue.accepted.is_empty()
                || queue.gate_wanted
                || !queue.noted.is_empty()
                || (settled && !queue.settled.is_empty())
            {
                return Work::Commit;
            }
            if ending {
                return Work::End;
            }
            if upkeep_due <= now {
                return Work::Upkeep;
            }
            let until = settled_due.map_or(upkeep_due, |due| due.min(upkeep_due));
            self.work.wait_until(queue, until);
        }
    }

    /// The keys of what was kept are in the store now; those of what was refused are free.
    fn end_claims(&self, batch: &mut Batch) {
        for accepted in &batch.accepted {
            if let Some(used) = &accepted.key {
                let Message { id, draft, .. } = &*accepted.message;
                let kept = Claimed::Kept(*id, used.fingerprint);
                self.keys.end(&draft.caller, &used.key, kept);
            }
        }
        for (caller, key) in batch.freed_keys.drain(..) {
            self.keys.end(&caller, &key, Claimed::Free);
        }
    }

    /// After the commit: lanes get their messages, callers their answers, waiters their news.
    fn tell(&self, batch: &mut Batch, lanes: &Lanes) {
        if let Some(turn) = batch.handed_to {
            lanes.open_to(turn);
        }
        self.end_claims(batch);
        lanes.enqueue(&mut batch.accepted);
        for reply in batch.replies.drain(..) {
            // Whoever has left no longer needs the answer.
            let _ = reply.sender.send(Ok(()));
        }
        self.audience.settled(&batch.settled);
    }
}

impl Queue {
    /// The last turn that was given, that of what waits here included.
    fn last_turn(&self) -> Turn {
        self.minter.last().into()
    }
}
