//! What one commit writes.

use tokio::runtime::Handle;

use super::going::{BulkChange, Going, How};
use super::outbox::Outbox;
use super::times::Look;
use super::{Queue, Reply};
use crate::clock;
use crate::domain::{Caller, Message, Turn, WallTime};
use crate::observe::{Ending, Endings};
use crate::relay::Counts;
use crate::relay::dispatch::{Group, Settled};
use crate::relay::journal::commands::Tell;
use crate::relay::{AcceptError, Cancellation, Replay};
use crate::store::{
    self, Accepted, BecomesDue, Note, Pending, Replayed, Settlement, StoreError, WriteStore,
};

/// New messages of one commit at most.
const COMMIT_MESSAGES_MAX: usize = 4096;
/// Bytes of their payloads at most, a single larger one apart.
const COMMIT_BYTES_MAX: usize = 16 << 20;

/// What is no longer pending, or no longer scheduled, after a commit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freed {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) scheduled: usize,
}

#[derive(Default)]
pub(super) struct Batch {
    pub(super) accepted: Vec<Accepted>,
    pub(super) replies: Vec<Reply>,
    due: Vec<BecomesDue>,
    replayed: Vec<Replayed>,
    /// The messages of `due` and `replayed`, in the order of their turns.
    pub(super) going: Vec<(Pending, u8)>,
    replays: Vec<Tell<Replay>>,
    bulk: Option<BulkChange>,
    outbox: Outbox,
    pub(super) settled: Vec<Settlement>,
    /// When the first lives of those that were settled began.
    pub(super) began: Vec<WallTime>,
    /// For the spans of those.
    pub(super) endings: Endings,
    /// Labels of what was settled.
    groups: Vec<Group>,
    /// Some were settled since they were withdrawn.
    pub(super) has_withdrawn: bool,
    cancelled: Vec<(Tell<Cancellation>, Settlement)>,
    noted: Vec<Note>,
    pub(super) clock_step_ms: i64,
    pub(super) wall: Option<WallTime>,
    /// From this commit on the store knows that everything up to here may have been handed over.
    pub(super) handed_to: Option<Turn>,
    /// The store had no room for what is new.
    pub(super) was_refused: bool,
    /// The keys of what was refused.
    pub(super) freed_keys: Vec<(Caller, Box<str>)>,
    pub(super) freed: Freed,
}

impl Batch {
    /// Takes what is queued: of the new messages as many as one commit may have, the oldest first, and
    /// what has got its turn before the rest. With `gate`, all of it may be handed over after the
    /// commit. It is `wall`, and nothing has happened later: when the clock was set back since, that is
    /// when it did. The commit brings the steps of the clock up to `look` with it.
    pub(super) fn take(&mut self, queue: &mut Queue, gate: bool, look: &Look, wall: WallTime) {
        let (requests, messages) = fitting(queue);
        if messages == queue.accepted.len() {
            std::mem::swap(&mut self.accepted, &mut queue.accepted);
        } else {
            self.accepted.extend(queue.accepted.drain(..messages));
        }
        self.replies.extend(queue.replies.drain(..requests));
        self.step_accepted(look);
        self.take_going(queue);
        for mut one in queue.settled.drain(..) {
            let settled_at = &mut one.settlement.settled_at;
            *settled_at = wall.min(*settled_at);
            if let Some(began_at) = one.began_at {
                let settlement = &one.settlement;
                (self.endings).add(one.traced, || ending(settlement, began_at));
            }
            self.settled.push(one.settlement);
            self.began.extend(one.began_at);
            self.freed.messages += 1;
            self.freed.bytes += one.bytes;
            self.groups.extend(one.group.map(|group| *group));
        }
        self.outbox = std::mem::take(&mut queue.outbox);
        self.outbox.no_later_than(wall);
        self.noted = std::mem::take(&mut queue.noted);
        self.handed_to = gate.then(|| queue.last_turn());
        self.wall = Some(look.wall);
        queue.gate_wanted = false;
        queue.settled_since = None;
        queue.urgent = false;
    }

    /// What was accepted under another wall clock than that of `look` has the ends of its durations by
    /// that one; now the store has them all by the same.
    fn step_accepted(&mut self, look: &Look) {
        let mut rest = &mut self.accepted[..];
        for reply in &self.replies {
            let theirs = reply.messages.min(rest.len());
            let (theirs, others) = rest.split_at_mut(theirs);
            rest = others;
            let step_ms = look.step_since(reply.accepted);
            if step_ms != 0 {
                for one in theirs {
                    one.step_clock(step_ms);
                }
            }
        }
    }

    fn take_going(&mut self, queue: &mut Queue) {
        let rest: Option<Turn> = (queue.accepted.first()).map(|one| one.message.id.row().into());
        let is_before = |turn: Turn| rest.is_none_or(|rest| turn < rest);
        while let Some(one) = queue.going.pop_front_if(|one| is_before(one.pending.turn)) {
            let Going {
                pending,
                partition,
                how,
            } = one;
            let (id, turn) = (pending.message.id, pending.turn);
            match how {
                How::Due => self.due.push(BecomesDue {
                    id,
                    turn,
                    partition,
                }),
                How::Replayed(at, tell) => {
                    self.replays.extend(tell);
                    self.replayed.push(Replayed {
                        id,
                        turn,
                        partition,
                        at,
                    });
                }
            }
            self.going.push((pending, partition));
        }
        self.freed.scheduled += self.due.len();
        let bulk = queue.bulk.take_if(|bulk| is_before(bulk.after));
        self.bulk = bulk;
    }

    /// A message has ended that was not in flight.
    pub(super) fn withdraw(&mut self, settled: impl IntoIterator<Item = Settled>) {
        for one in settled {
            self.has_withdrawn = true;
            self.settled.push(one.settlement);
            self.freed.messages += 1;
            self.freed.bytes += one.bytes;
            self.groups.extend(one.group.map(|group| *group));
        }
    }

    /// The last message that was withdrawn was cancelled by somebody who waits for the commit.
    pub(super) fn cancelled(&mut self, tell: Tell<Cancellation>) {
        if let Some(settlement) = self.settled.last() {
            self.cancelled.push((tell, settlement.clone()));
        }
    }

    /// One commit; when there is no room for what is new, the rest is kept without it.
    pub(super) fn commit(&mut self, store: &mut dyn WriteStore) -> Result<(), StoreError> {
        match store.commit(&self.whole()) {
            Err(StoreError::Full) if self.has_new() => {
                self.refuse_new();
                let rest = self.whole();
                if rest.is_empty() {
                    Ok(())
                } else {
                    store.commit(&rest)
                }
            }
            committed => committed,
        }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.whole().is_empty()
    }

    /// Whether there is something that may be refused.
    pub(super) fn has_new(&self) -> bool {
        !self.accepted.is_empty() || !self.replayed.is_empty() || self.bulk.is_some()
    }

    fn whole(&self) -> store::Batch<'_> {
        store::Batch {
            accepted: &self.accepted,
            due: &self.due,
            outbox: &self.outbox.changes,
            settled: &self.settled,
            replayed: &self.replayed,
            noted: &self.noted,
            bulk: self.bulk.as_ref().map(|change| &change.bulk),
            handed_to: self.handed_to,
            clock_step_ms: self.clock_step_ms,
            wall: self.wall,
        }
    }

    fn refuse_new(&mut self) {
        self.was_refused = true;
        for accepted in self.accepted.drain(..) {
            self.freed.messages += 1;
            self.freed.bytes += accepted.message.footprint_bytes();
            self.freed.scheduled += usize::from(accepted.due.is_some());
            if let Some(used) = accepted.key {
                let caller = accepted.message.draft.caller.clone();
                self.freed_keys.push((caller, used.key));
            }
        }
        for reply in self.replies.drain(..) {
            // Whoever has left no longer needs the answer.
            let _ = reply.sender.send(Err(AcceptError::Full));
        }
        let mut due = self.due.iter().map(|one| one.turn).peekable();
        let freed = &mut self.freed;
        self.going.retain(|(pending, _)| {
            let is_due = due.next_if_eq(&pending.turn).is_some();
            if !is_due {
                freed.messages += 1;
                freed.bytes += pending.message.footprint_bytes();
            }
            is_due
        });
        self.replayed.clear();
        for tell in self.replays.drain(..) {
            let _ = tell.send(Err(AcceptError::Full));
        }
        if let Some(change) = self.bulk.take() {
            change.tell.send(Err(AcceptError::Full));
        }
    }

    /// The labels whose counts have changed with the commit.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Caller, &str)> {
        let accepted = self.accepted.iter().map(|one| &*one.message);
        let going = self.going.iter().map(|(one, _)| &*one.message);
        let settled = self.groups.iter();
        let settled = settled.map(|group| (&group.0, &*group.1));
        accepted.chain(going).filter_map(label).chain(settled)
    }

    /// Answers everybody whose answer waited for the commit, and gives a bulk replay that has begun.
    pub(super) fn answer(
        &mut self,
        counts: &Counts,
        runtime: &Handle,
    ) -> Option<store::BulkReplay> {
        let now = clock::monotonic();
        let waited = (self.replies.iter()).map(|reply| now.duration_since(reply.queued_at));
        counts.accept().observe_all(waited);
        Reply::all_kept(&mut self.replies, runtime);
        for written in self.outbox.written.drain(..) {
            let _ = written.send(());
        }
        for (tell, settlement) in self.cancelled.drain(..) {
            let _ = tell.send(Ok(Cancellation::Cancelled(settlement)));
        }
        for tell in self.replays.drain(..) {
            let _ = tell.send(Ok(Replay::Pending));
        }
        let BulkChange { bulk, tell, .. } = self.bulk.take()?;
        let begun = tell.is_of_new().then(|| bulk.clone());
        tell.send(Ok(bulk));
        begun
    }

    /// Counts what was committed.
    pub(super) fn count(&self, counts: &Counts, now: WallTime) {
        if !self.accepted.is_empty() {
            counts.accepts(&self.accepted);
        }
        if !self.replayed.is_empty() {
            counts.replays(self.replayed.len());
        }
        if !self.settled.is_empty() {
            counts.settles(&self.settled, &self.began, now);
        }
        if self.was_refused {
            counts.refuses();
        }
    }

    /// Makes room for the next.
    pub(super) fn clear(&mut self) {
        self.accepted.clear();
        self.due.clear();
        self.replayed.clear();
        self.going.clear();
        self.outbox.changes.clear();
        self.settled.clear();
        self.began.clear();
        self.groups.clear();
        self.noted.clear();
        self.has_withdrawn = false;
        self.was_refused = false;
        self.clock_step_ms = 0;
        self.wall = None;
        self.handed_to = None;
    }
}

fn ending(settlement: &Settlement, began_at: WallTime) -> Ending {
    Ending {
        id: settlement.id,
        status: settlement.status,
        reason: settlement.reason.as_ref().map(|reason| reason.code),
        attempts: settlement.attempts,
        began_at,
        settled_at: settlement.settled_at,
    }
}

fn label(message: &Message) -> Option<(&Caller, &str)> {
    Some((&message.draft.caller, message.draft.group()?))
}

/// How many replies, for how many messages, one commit may have: at least one.
fn fitting(queue: &Queue) -> (usize, usize) {
    let (mut requests, mut messages, mut bytes) = (0, 0, 0);
    for reply in &queue.replies {
        let theirs = &queue.accepted[messages..messages + reply.messages];
        let payloads = theirs.iter().map(|one| one.message.draft.payload.len());
        bytes += payloads.sum::<usize>();
        let too_much = messages + reply.messages > COMMIT_MESSAGES_MAX || bytes > COMMIT_BYTES_MAX;
        if too_much && requests > 0 {
            break;
        }
        requests += 1;
        messages += reply.messages;
    }
    (requests, messages)
}

#[cfg(test)]
pub(super) mod tests;
