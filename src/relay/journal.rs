//! The one way into the store: a queue and one writer.
//!
//! **Group commit without a timer**: the writer takes whatever was queued while its last commit ran.
//! Ids are minted under the lock that queues, so the order of ids is the order of acceptance. After a
//! commit, and only then, the messages go to their lanes, callers get their 202, and final statuses
//! are told.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::AcceptError;
use super::lanes::Lanes;
use crate::domain::{Draft, IdMinter, Message};
use crate::store::{self, Accepted, Audience, Settlement, StoreError, WriteStore};
use crate::{chance, clock};

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
    accepted: Vec<Arc<Message>>,
    /// How many of `accepted`, in order, each waiting request has.
    replies: Vec<Reply>,
    settled: Vec<(Settlement, usize)>,
    pending_messages: usize,
    pending_bytes: usize,
    /// Nothing is accepted any more.
    closed: bool,
    /// The writer ends when it has written everything.
    ended: bool,
}

type Reply = oneshot::Sender<Result<(), AcceptError>>;

/// See the module.
pub(super) struct Journal {
    queue: Mutex<Queue>,
    work: Condvar,
    budget: Budget,
}

impl Journal {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            budget,
        }
    }

    /// Accepts a message; returns when it is committed.
    pub(super) async fn accept(&self, draft: Draft) -> Result<Arc<Message>, AcceptError> {
        let random = chance::bits();
        let (reply, committed) = oneshot::channel();
        let message = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(AcceptError::Stopping);
            }
            let accepted_at = clock::wall();
            let id = queue.minter.mint(accepted_at, random);
            let message = Arc::new(Message {
                id,
                accepted_at,
                draft,
            });
            let bytes = queue.pending_bytes + message.footprint_bytes();
            if queue.pending_messages >= self.budget.messages_max || bytes > self.budget.bytes_max {
                return Err(AcceptError::Full);
            }
            queue.pending_messages += 1;
            queue.pending_bytes = bytes;
            queue.accepted.push(Arc::clone(&message));
            queue.replies.push(reply);
            message
        };
        self.work.notify_one();
        committed
            .await
            .unwrap_or(Err(AcceptError::OutcomeUnknown))
            .map(|()| message)
    }

    /// Takes final statuses to be written.
    pub(super) fn settle(&self, settled: &mut Vec<(Settlement, usize)>) {
        if settled.is_empty() {
            return;
        }
        self.queue.lock().settled.append(settled);
        self.work.notify_one();
    }

    /// Accepts nothing any more.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
    }

    /// Lets the writer end once everything is written.
    pub(super) fn end(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.ended = true;
        self.work.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    pub(super) fn pending_messages(&self) -> usize {
        self.queue.lock().pending_messages
    }

    /// The writer, on a thread of its own. Returns when [`Journal::end`] was called.
    ///
    /// # Errors
    /// The store has failed; the process must end, and who waits is told that nobody knows.
    pub(super) fn write(
        &self,
        store: &mut dyn WriteStore,
        lanes: &Lanes,
        audience: &dyn Audience,
    ) -> Result<(), StoreError> {
        let written = self.write_until_end(store, lanes, audience);
        let mut queue = self.queue.lock();
        queue.closed = true;
        // Dropping the replies tells everybody who still waits that the outcome is unknown.
        queue.replies.clear();
        written
    }

    fn write_until_end(
        &self,
        store: &mut dyn WriteStore,
        lanes: &Lanes,
        audience: &dyn Audience,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        loop {
            let mut queue = self.queue.lock();
            queue.pending_messages -= batch.freed_messages;
            queue.pending_bytes -= batch.freed_bytes;
            while queue.accepted.is_empty() && queue.settled.is_empty() {
                if queue.ended {
                    return Ok(());
                }
                self.work.wait(&mut queue);
            }
            batch.take(&mut queue);
            drop(queue);
            batch.commit(store)?;
            lanes.enqueue(&mut batch.accepted);
            for reply in batch.replies.drain(..) {
                // Whoever has left no longer needs the answer.
                let _ = reply.send(Ok(()));
            }
            audience.settled(&batch.settled);
        }
    }
}

#[derive(Default)]
struct Batch {
    accepted: Vec<Arc<Message>>,
    replies: Vec<Reply>,
    settled: Vec<Settlement>,
    freed_messages: usize,
    freed_bytes: usize,
}

impl Batch {
    fn take(&mut self, queue: &mut Queue) {
        self.accepted.clear();
        self.settled.clear();
        std::mem::swap(&mut self.accepted, &mut queue.accepted);
        std::mem::swap(&mut self.replies, &mut queue.replies);
        self.freed_messages = queue.settled.len();
        self.freed_bytes = queue.settled.iter().map(|(_, bytes)| bytes).sum();
        self.settled
            .extend(queue.settled.drain(..).map(|(settlement, _)| settlement));
    }

    /// One commit; when there is no room for new messages, the settlements are kept without them.
    fn commit(&mut self, store: &mut dyn WriteStore) -> Result<(), StoreError> {
        let accepted: Vec<_> = self
            .accepted
            .iter()
            .map(|message| Accepted {
                message: Arc::clone(message),
                partition: 0,
            })
            .collect();
        let batch = store::Batch {
            accepted: &accepted,
            settled: &self.settled,
            ..store::Batch::default()
        };
        match store.commit(&batch) {
            Err(StoreError::Full) if !self.accepted.is_empty() => {
                self.freed_messages += self.accepted.len();
                let bytes = self
                    .accepted
                    .iter()
                    .map(|message| message.footprint_bytes());
                self.freed_bytes += bytes.sum::<usize>();
                self.accepted.clear();
                for reply in self.replies.drain(..) {
                    let _ = reply.send(Err(AcceptError::Full));
                }
                if self.settled.is_empty() {
                    Ok(())
                } else {
                    store.commit(&store::Batch {
                        settled: &self.settled,
                        ..store::Batch::default()
                    })
                }
            }
            committed => committed,
        }
    }
}
