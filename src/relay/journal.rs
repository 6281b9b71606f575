//! The one way into the store: a queue and one writer.
//!
//! **Group commit**: the writer takes whatever was queued while its last commit ran, and where several requests
//! or outcomes come at the same time it does not commit more often than once a millisecond, unless many have
//! come by then. Who is alone waits for no timer.
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

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::bulk_replays::Jobs;
use super::dispatch::{Moment, Settled};
use super::figures::Backlog;
use super::keys::Keys;
use super::lanes::Lanes;
use super::{AcceptError, Counts, Start};
use crate::clock;
use crate::domain::access::Callers;
use crate::domain::{IdMinter, Message, Turn, WallTime};
use crate::store::{Accepted, Audience, Note, PartitionFacts, ReadStore, StoreError, WriteStore};
use admission::Reply;
use commands::Command;
use going::{BulkChange, Going, How};
use outbox::Outbox;
use times::Look;
use writing::Writing;

pub(super) mod admission;
mod batch;
pub(super) mod commands;
mod deciding;
mod going;
mod outbox;
#[cfg(test)]
mod tests;
mod times;
mod writing;

/// Final statuses wait so long for new messages to ride along with.
const SETTLED_WAIT_MAX: Duration = Duration::from_millis(20);
/// So many final statuses do not wait.
const SETTLED_WAITING_MAX: usize = 2000;
/// So many requests and outcomes do not wait for more. With 64 connections that each wait for their 202, a
/// gateway that waited for its millisecond took an eighth less (docs/performance.md).
const GATHERED_MAX: usize = 24;

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
    settled: Vec<Settled>,
    /// When the first of `settled` came.
    settled_since: Option<Instant>,
    noted: Vec<Note>,
    outbox: Outbox,
    commands: VecDeque<Command>,
    /// What has got its turn among `accepted`, in the order of turns.
    going: VecDeque<Going>,
    bulk: Option<BulkChange>,
    /// Some lane wants to hand over messages of which the store does not know that yet.
    gate_wanted: bool,
    pending_messages: usize,
    pending_bytes: usize,
    /// Of the pending ones.
    scheduled_messages: usize,
    /// So many requests and outcomes must have come before the writer is to be woken.
    enough: usize,
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
    /// The wall clock when something was last committed before this start.
    last_wall: Option<WallTime>,
    /// Whether the store must know what may have been handed over.
    durable: bool,
    audience: Arc<dyn Audience>,
    pub(super) counts: Counts,
    callers: watch::Receiver<Arc<Callers>>,
    /// Claims of messages that are queued end here, with their commit.
    pub(super) keys: Arc<Keys>,
    pub(super) jobs: Arc<Jobs>,
    /// Where those who are answered run.
    runtime: Handle,
}

/// What the writer does next.
enum Work {
    Commit,
    /// To look for what is due, or to look after the store.
    Look,
    End,
}

impl Journal {
    /// One whose callers run where this is called.
    ///
    /// # Panics
    /// Not in a runtime of tokio.
    pub(super) fn new(
        budget: Budget,
        lanes: usize,
        start: &Start,
        durable: bool,
        audience: Arc<dyn Audience>,
        callers: watch::Receiver<Arc<Callers>>,
    ) -> Self {
        let pending = |count: fn(&PartitionFacts) -> u64| {
            let turns = start.pending.iter().map(count).sum::<u64>();
            whole(turns + count(&start.scheduled))
        };
        let queue = Queue {
            minter: IdMinter::after(start.last_row.unwrap_or_default()),
            pending_messages: pending(|partition| partition.messages),
            pending_bytes: pending(|partition| partition.bytes),
            scheduled_messages: whole(start.scheduled.messages),
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
            last_wall: start.wall,
            durable,
            audience,
            counts: Counts::default(),
            callers,
            keys: Arc::default(),
            jobs: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// Whether the caller of a message that has ended may publish it as things are now. One that is
    /// pending goes out whatever has become of its caller's rights.
    fn may_publish(&self, message: &Message) -> bool {
        self.callers.borrow().may_publish(&message.draft)
    }

    /// Takes final statuses to be written.
    pub(super) fn settle(&self, settled: &mut Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
        let awaited = self
            .audience
            .awaits(&mut settled.iter().map(|one| one.settlement.id));
        let mut queue = self.queue.lock();
        let first = queue.settled.is_empty();
        queue.settled.append(settled);
        if first {
            queue.settled_since = Some(clock::monotonic());
        }
        queue.urgent |= awaited || queue.settled.len() >= SETTLED_WAITING_MAX;
        if (first || queue.urgent) && queue.has_enough() {
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
        self.queue.lock().accepts(&self.budget)
    }

    /// What is pending, and how much may be.
    pub(super) fn backlog(&self) -> Backlog {
        let queue = self.queue.lock();
        Backlog {
            accepting: queue.accepts(&self.budget),
            messages: queue.pending_messages,
            bytes: queue.pending_bytes,
            scheduled_messages: queue.scheduled_messages,
            budget: self.budget,
        }
    }

    pub(super) fn pending_messages(&self) -> usize {
        self.queue.lock().pending_messages
    }

    /// Those of the pending messages that are not due.
    pub(super) fn scheduled_messages(&self) -> usize {
        self.queue.lock().scheduled_messages
    }

    /// The writer, on a thread of its own. Returns when [`Journal::end`] was called and the store is
    /// closed.
    ///
    /// # Errors
    /// The store has failed; the process must end, and who waits is told that nobody knows.
    pub(super) fn write(
        &self,
        store: &mut dyn WriteStore,
        reader: &Arc<dyn ReadStore>,
        lanes: &Lanes,
    ) -> Result<(), StoreError> {
        let written = Writing::new(self, store, reader, lanes)
            .run()
            .and_then(|()| store.close());
        let mut queue = self.queue.lock();
        queue.phase = Phase::Ending;
        // Dropping the replies tells everybody who still waits that the outcome is unknown.
        queue.replies.clear();
        queue.going.clear();
        queue.outbox.written.clear();
        queue.bulk = None;
        let commands = std::mem::take(&mut queue.commands);
        drop(queue);
        for command in commands {
            command.refuse(AcceptError::Stopping);
        }
        self.keys.give_up();
        written
    }

    /// Waits until enough has come together, `until` then at the latest.
    fn gather(&self, queue: &mut MutexGuard<'_, Queue>, until: Instant) {
        queue.enough = GATHERED_MAX;
        while !queue.has_enough() && !self.work.wait_until(queue, until).timed_out() {}
        queue.enough = 0;
    }

    /// Waits until there is something to do.
    fn wait(&self, queue: &mut MutexGuard<'_, Queue>, until: Instant) -> Work {
        loop {
            let now = clock::monotonic();
            let ending = queue.phase == Phase::Ending;
            let settled_due = queue.settled_since.map(|since| since + self.settled_wait);
            let settled = queue.urgent || ending || settled_due.is_some_and(|due| due <= now);
            if !queue.accepted.is_empty()
                || queue.gate_wanted
                || !queue.going.is_empty()
                || queue.bulk.is_some()
                || !queue.noted.is_empty()
                || !queue.outbox.written.is_empty()
                || (settled && !queue.settled.is_empty())
            {
                return Work::Commit;
            }
            if ending {
                return Work::End;
            }
            if until <= now || !queue.commands.is_empty() {
                return Work::Look;
            }
            let until = settled_due.map_or(until, |due| due.min(until));
            self.work.wait_until(queue, until);
        }
    }
}

impl Queue {
    /// Whether the writer is to be woken for requests and outcomes.
    fn has_enough(&self) -> bool {
        let outcomes = if self.urgent { self.settled.len() } else { 0 };
        self.replies.len() + outcomes >= self.enough
    }

    fn accepts(&self, budget: &Budget) -> bool {
        self.phase == Phase::Accepting
            && self.pending_messages < budget.messages_max
            && self.pending_bytes < budget.bytes_max
            && self.room == StoreRoom::Ample
    }

    /// The last turn that was given, that of what waits here included.
    fn last_turn(&self) -> Turn {
        self.minter.last().into()
    }

    /// Whether something that was scheduled has its turn and waits for its commit.
    fn has_due_going(&self) -> bool {
        let mut going = self.going.iter();
        going.any(|one| matches!(one.how, How::Due))
    }
}

fn whole(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The moment of a look.
fn moment(look: &Look) -> Moment {
    Moment {
        now: look.now,
        wall: look.wall,
    }
}
