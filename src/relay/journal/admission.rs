//! The way into the queue: a message gets its id under the lock that queues it.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Budget, Journal, Phase, Queue};
use crate::domain::order::OrderKey;
use crate::domain::{Draft, Message, MessageId, WallTime};
use crate::relay::AcceptError;
use crate::relay::dispatch::Moment;
use crate::store::{Accepted, KeyUse};
use crate::{chance, clock};

/// Messages of one reply at most, which bounds how long the queue is locked.
const REPLY_MESSAGES_MAX: usize = 512;
/// Bytes of their payloads from which on the reply has no more of them.
const REPLY_BYTES_MAX: usize = 2 << 20;

/// A message that was queued, or why it was not.
pub(in crate::relay) type Admitted = Result<Arc<Message>, AcceptError>;

type Committed = oneshot::Receiver<Result<(), AcceptError>>;

/// Who is told of some of the messages, which are committed together.
pub(super) struct Reply {
    /// How many, of those that are queued.
    pub(super) messages: usize,
    pub(super) sender: oneshot::Sender<Result<(), AcceptError>>,
    /// When it was to be queued.
    pub(super) queued_at: Instant,
    /// When the messages were accepted.
    pub(super) accepted: Moment,
}

impl Reply {
    /// Tells all of `replies` that their messages are safe.
    ///
    /// Whoever tells from a thread of its own hands each task that it wakes over to the `runtime` by itself,
    /// and is interrupted by what it wakes. One task is handed over instead, which wakes the others where
    /// they run: 2 µs of CPU less for a message when there are 64 callers (docs/performance.md).
    pub(super) fn all_kept(replies: &mut Vec<Self>, runtime: &Handle) {
        if let [_, _, ..] = replies[..] {
            let replies = std::mem::take(replies);
            runtime.spawn(async { replies.into_iter().for_each(Self::kept) });
        } else {
            replies.drain(..).for_each(Self::kept);
        }
    }

    fn kept(self) {
        // Whoever has left no longer needs the answer.
        let _ = self.sender.send(Ok(()));
    }
}

fn both_clocks() -> Moment {
    let (now, wall) = clock::both();
    Moment { now, wall }
}

async fn answer(committed: Committed) -> Result<(), AcceptError> {
    committed.await.unwrap_or(Err(AcceptError::OutcomeUnknown))
}

/// What is to be queued.
pub(in crate::relay) struct Request {
    pub(in crate::relay) draft: Draft,
    /// Whose claim the requester holds: the commit of the message ends it.
    pub(in crate::relay) key: Option<Box<KeyUse>>,
}

impl From<Draft> for Request {
    fn from(draft: Draft) -> Self {
        Self { draft, key: None }
    }
}

/// Messages that are queued, or why not, and the commits that they wait for.
pub(in crate::relay) struct Queued(Vec<(Vec<Admitted>, Committed)>);

impl Queued {
    /// Whether each is queued, in the order of the requests.
    pub(in crate::relay) fn admitted(&self) -> impl Iterator<Item = &Admitted> {
        self.0.iter().flat_map(|(messages, _)| messages)
    }

    /// Returns when all are committed.
    pub(in crate::relay) async fn committed(self) -> Vec<Admitted> {
        let mut all = Vec::new();
        for (messages, committed) in self.0 {
            let answer = answer(committed).await;
            all.extend(messages.into_iter().map(|message| {
                let message = message?;
                answer.clone().map(|()| message)
            }));
        }
        all
    }
}

impl Journal {
    /// Accepts a message; returns when it is committed. `queued` is told its id under the lock that
    /// queues it, so before anything of it can be committed.
    pub(in crate::relay) async fn accept(
        &self,
        draft: Draft,
        queued: impl FnOnce(MessageId),
    ) -> Result<Arc<Message>, AcceptError> {
        let (message, committed) = self.admit_one(draft, queued)?;
        answer(committed).await.map(|()| message)
    }

    fn admit_one(
        &self,
        draft: Draft,
        queued: impl FnOnce(MessageId),
    ) -> Result<(Arc<Message>, Committed), AcceptError> {
        let lane = OrderKey::of(&draft).lane(self.lanes);
        let (sender, committed) = oneshot::channel();
        let queued_at = clock::monotonic();
        let mut queue = self.queue.lock();
        let accepted = both_clocks();
        let message = queue.admit(draft.into(), accepted.wall, lane, &self.budget)?;
        queued(message.id);
        queue.replies.push_back(Reply {
            messages: 1,
            queued_at,
            accepted,
            sender,
        });
        let wakes = queue.has_enough();
        drop(queue);
        if wakes {
            self.work.notify_one();
        }
        Ok((message, committed))
    }

    /// Queues messages in their order, each on its own. All are queued before anything is waited for:
    /// who leaves then leaves nothing half queued.
    pub(in crate::relay) fn queue_all(
        &self,
        requests: impl ExactSizeIterator<Item = Request>,
    ) -> Queued {
        let mut requests = requests;
        let mut parts = Vec::new();
        while requests.len() > 0 {
            parts.push(self.admit(&mut requests));
        }
        Queued(parts)
    }

    /// Queues as many messages as one reply is for. Their ids are minted under the lock that queues.
    fn admit(&self, requests: &mut impl Iterator<Item = Request>) -> (Vec<Admitted>, Committed) {
        let (sender, committed) = oneshot::channel();
        let mut admitted = Vec::with_capacity(requests.size_hint().0.min(REPLY_MESSAGES_MAX));
        let (mut messages, mut bytes) = (0, 0);
        let queued_at = clock::monotonic();
        let mut queue = self.queue.lock();
        let accepted = both_clocks();
        while admitted.len() < REPLY_MESSAGES_MAX && bytes < REPLY_BYTES_MAX {
            let Some(request) = requests.next() else {
                break;
            };
            let lane = OrderKey::of(&request.draft).lane(self.lanes);
            let one = queue.admit(request, accepted.wall, lane, &self.budget);
            if let Ok(message) = &one {
                messages += 1;
                bytes += message.draft.payload.len();
            }
            admitted.push(one);
        }
        if messages > 0 {
            queue.replies.push_back(Reply {
                messages,
                sender,
                queued_at,
                accepted,
            });
            let wakes = queue.has_enough();
            drop(queue);
            if wakes {
                self.work.notify_one();
            }
        }
        (admitted, committed)
    }
}

impl Queue {
    fn admit(
        &mut self,
        request: Request,
        accepted_at: WallTime,
        lane: usize,
        budget: &Budget,
    ) -> Admitted {
        if self.phase != Phase::Accepting {
            return Err(AcceptError::Stopping);
        }
        let Request { draft, key } = request;
        let id = self.minter.mint(accepted_at, chance::bits());
        let message = Arc::new(Message {
            id,
            accepted_at,
            draft,
        });
        let bytes = message.footprint_bytes();
        if !self.has_room(bytes, budget) {
            return Err(AcceptError::Full);
        }
        self.pending_messages += 1;
        self.pending_bytes += bytes;
        // What is due already goes at once, in the order of acceptance.
        let due = message.due().filter(|due| due.at > accepted_at);
        self.scheduled_messages += usize::from(due.is_some());
        self.accepted.push(Accepted {
            message: Arc::clone(&message),
            partition: u8::try_from(lane).unwrap_or(u8::MAX),
            key,
            due,
            clock_step_ms: 0,
        });
        Ok(message)
    }
}
