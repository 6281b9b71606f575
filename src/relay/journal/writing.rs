//! The writer at work, round after round: what callers want of accepted messages, what is due, what is
//! overdue, what is new and what has ended, all in one commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::batch::Batch;
use super::commands::Command;
use super::going::{Decided, Minting};
use super::times::{Look, Times};
use super::{Journal, Phase, Queue, StoreRoom, Work};
use crate::domain::{Message, MessageId};
use crate::relay::AcceptError;
use crate::relay::dispatch::{Moment, Why};
use crate::relay::keys::Claimed;
use crate::relay::lanes::Lanes;
use crate::store::{DueMessages, ReadStore, StoreError, Upkeep, WriteStore};
use crate::{chance, clock};

/// A full store is not asked again before this.
const FULL_PAUSE: Duration = Duration::from_secs(1);
/// The store is looked after so often.
const UPKEEP_EVERY: Duration = Duration::from_millis(100);
/// So long who waits for a commit that is under way is left alone.
const DEFERRED_FOR: Duration = Duration::from_millis(2);
/// So long after a commit for several requests or outcomes the next one begins at the earliest, unless enough
/// have come: who comes meanwhile comes along. At 5 000 single messages a second this takes a third of the
/// gateway's CPU away, and half of the time in which 99 % are accepted (docs/performance.md).
const GATHERED_FOR: Duration = Duration::from_millis(1);
/// Commands that are decided between two commits at most.
const COMMANDS_AT_ONCE: usize = 256;
/// Scheduled messages that become due with one commit at most, and their bytes.
const DUE_AT_ONCE: usize = 512;
const DUE_BYTES_AT_ONCE: usize = 4 << 20;
/// Messages whose time is over that end with one commit at most.
const OVERDUE_AT_ONCE: usize = 512;

/// See the module.
pub(super) struct Writing<'a> {
    pub(super) journal: &'a Journal,
    pub(super) store: &'a mut dyn WriteStore,
    pub(super) reader: &'a Arc<dyn ReadStore>,
    pub(super) lanes: &'a Lanes,
    pub(super) batch: Batch,
    pub(super) decided: Decided,
    /// Commands about messages of which something is not committed yet.
    pub(super) deferred: Vec<Command>,
    /// Those messages.
    pub(super) under_way: FxHashSet<MessageId>,
    /// Some message that is due has its turn, and waits for its commit.
    due_under_way: bool,
    pub(super) bulk_under_way: bool,
    times: Times,
    upkeep_due: Instant,
    /// No commit begins before this.
    gathers_until: Option<Instant>,
}

/// What there is to do in one round.
struct Round {
    /// Something is queued that is to be committed now.
    commit: bool,
    ending: bool,
    commands: Vec<Command>,
    room: Room,
}

/// How much more may be pending.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        journal: &'a Journal,
        store: &'a mut dyn WriteStore,
        reader: &'a Arc<dyn ReadStore>,
        lanes: &'a Lanes,
    ) -> Self {
        let (now, wall) = clock::both();
        let start = Moment { now, wall };
        let queue = journal.queue.lock();
        let pending = queue.pending_messages > 0;
        let scheduled = queue.scheduled_messages > 0;
        drop(queue);
        Self {
            journal,
            store,
            reader,
            lanes,
            batch: Batch::default(),
            decided: Decided::default(),
            deferred: Vec::new(),
            under_way: FxHashSet::default(),
            due_under_way: false,
            bulk_under_way: false,
            times: Times::new(start, journal.last_wall, scheduled, pending),
            upkeep_due: now,
            gathers_until: None,
        }
    }

    /// Writes until the journal has ended and everything is written.
    pub(super) fn run(mut self) -> Result<(), StoreError> {
        while let Some(round) = self.next() {
            let look = self.times.look(clock::both());
            self.batch.clock_step_ms = look.step_ms;
            if !round.ending {
                self.decide(round.commands, round.room, &look)?;
                // What is due or overdue shows when the store knows of a step of the clock.
                if look.step_ms == 0 {
                    self.find_due(&look)?;
                    self.find_overdue(&look)?;
                }
            }
            if round.commit || !self.decided.is_empty() || !self.batch.is_empty() {
                self.take(&look);
                if !self.batch.is_empty() {
                    // Who is alone waits for nobody.
                    let has_company = self.batch.replies.len() > 1 || self.batch.settled.len() > 1;
                    self.gathers_until = has_company.then(|| clock::monotonic() + GATHERED_FOR);
                    self.commit()?;
                    self.tell();
                }
                self.batch.clear();
            }
            let now = clock::monotonic();
            if now >= self.upkeep_due {
                // The store knows of every step up to this look.
                let Upkeep { more } = self.store.upkeep(look.wall)?;
                self.upkeep_due = if more { now } else { now + UPKEEP_EVERY };
            }
        }
        Ok(())
    }

    /// Waits for something to do; nothing when everything is done.
    fn next(&mut self) -> Option<Round> {
        let mut queue = self.journal.queue.lock();
        queue.free(std::mem::take(&mut self.batch.freed));
        if let Some(until) = self.gathers_until.take() {
            self.journal.gather(&mut queue, until);
        }
        if queue.pending_messages == 0 {
            self.times.nothing_is_pending();
        }
        let now = clock::monotonic();
        let mut until = self.upkeep_due;
        if let Some(look) = self.times.next_look(now, clock::wall()) {
            until = until.min(look);
        }
        if !self.deferred.is_empty() {
            until = until.min(now + DEFERRED_FOR);
        }
        let work = self.journal.wait(&mut queue, until);
        let ending = queue.phase == Phase::Ending;
        let mut commands = std::mem::take(&mut self.deferred);
        if ending {
            for command in commands.drain(..) {
                command.refuse(AcceptError::Stopping);
            }
        } else {
            let more = queue.commands.len().min(COMMANDS_AT_ONCE);
            commands.extend(queue.commands.drain(..more));
        }
        self.under_way.clear();
        self.under_way.extend(queue.ids_going());
        self.due_under_way = queue.has_due_going();
        self.bulk_under_way = queue.bulk.is_some();
        let budget = &self.journal.budget;
        let room = Room {
            messages: budget.messages_max.saturating_sub(queue.pending_messages),
            bytes: budget.bytes_max.saturating_sub(queue.pending_bytes),
        };
        let commit = match work {
            Work::End => return None,
            Work::Commit => true,
            Work::Look => false,
        };
        Some(Round {
            commit,
            ending,
            commands,
            room,
        })
    }

    /// Scheduled messages whose time has come get their turns.
    fn find_due(&mut self, look: &Look) -> Result<(), StoreError> {
        if !self.times.is_due(look) || self.due_under_way {
            return Ok(());
        }
        let DueMessages { messages, next } =
            self.store.due(look.wall, DUE_AT_ONCE, DUE_BYTES_AT_ONCE)?;
        self.times.found_due(next);
        self.decided.due = messages;
        // Whoever was cancelled just now ends with this commit.
        let cancelled = &self.under_way;
        (self.decided.due).retain(|message| !cancelled.contains(&message.id));
        Ok(())
    }

    /// Messages whose time is over end, unless they are in flight.
    fn find_overdue(&mut self, look: &Look) -> Result<(), StoreError> {
        if !self.times.wants_overdue(look) {
            return Ok(());
        }
        let after = self.times.overdue_after();
        let found = self.store.overdue(look.wall, after, OVERDUE_AT_ONCE)?;
        let mut settled = Vec::new();
        for record in &found {
            let at = super::moment(look);
            self.lanes.withdraw(record, Why::Expired, at, &mut settled);
        }
        self.batch.withdraw(settled);
        let place = found.last().and_then(|record| {
            let standing = record.standing?;
            Some((record.give_up_at?, standing.turn))
        });
        let more = found.len() >= OVERDUE_AT_ONCE;
        self.times.found_overdue(look, place.filter(|_| more));
        Ok(())
    }

    fn take(&mut self, look: &Look) {
        let journal = self.journal;
        let mut queue = journal.queue.lock();
        let minting = Minting {
            at: look.wall,
            random: chance::bits(),
            budget: &journal.budget,
            lanes: journal.lanes,
        };
        queue.go(&mut self.decided, &minting);
        let gate = journal.durable && (queue.gate_wanted || self.lanes.any_up());
        self.batch.take(&mut queue, gate, look, clock::wall());
    }

    /// Commits, and when even what is not new finds no room, waits for room: none of it may be lost, and
    /// all of it is counted as pending still.
    fn commit(&mut self) -> Result<(), StoreError> {
        loop {
            let had_new = self.batch.has_new();
            let begun = clock::monotonic();
            let committed = self.batch.commit(self.store);
            let took = clock::monotonic().duration_since(begun);
            self.journal.counts.commit().observe(took);
            let mut queue = self.journal.queue.lock();
            queue.room = match &committed {
                Err(StoreError::Full) => StoreRoom::None,
                _ if self.batch.was_refused => StoreRoom::NoneForNew,
                // A commit without anything new says nothing about room for it.
                _ if !had_new && queue.room == StoreRoom::NoneForNew => queue.room,
                _ => StoreRoom::Ample,
            };
            if committed != Err(StoreError::Full) || queue.phase == Phase::Ending {
                return committed;
            }
            tracing::error!("the store is full, and final statuses wait for room");
            self.journal
                .work
                .wait_until(&mut queue, clock::monotonic() + FULL_PAUSE);
            drop(queue);
            self.store.upkeep(clock::wall())?;
        }
    }

    /// After the commit: lanes get their messages, callers their answers, waiters their news.
    fn tell(&mut self) {
        let batch = &mut self.batch;
        // Whoever is told finds it counted.
        batch.count(&self.journal.counts, clock::wall());
        if let Some(turn) = batch.handed_to {
            self.lanes.open_to(turn);
        }
        if batch.has_withdrawn {
            self.lanes.withdrawals_are_kept();
        }
        self.journal.end_claims(batch);
        for accepted in &batch.accepted {
            limit(&mut self.times, &accepted.message);
            if let Some(due) = accepted.due {
                self.times.scheduled(due.at);
            }
        }
        for (one, _) in &batch.going {
            limit(&mut self.times, &one.message);
        }
        let mut groups = batch.groups().peekable();
        if groups.peek().is_some() {
            self.journal.audience.groups_changed(&mut groups);
        }
        drop(groups);
        self.lanes.enqueue(&mut batch.accepted, &mut batch.going);
        if let Some(begun) = batch.answer(&self.journal.counts, &self.journal.runtime) {
            self.journal.jobs.add(begun);
        }
        self.journal.audience.settled(&batch.settled);
        if self.store.has_kept_deliveries() {
            self.journal.audience.deliveries_kept();
        }
        batch.endings.tell();
    }
}

/// Notes when the message has a time that will be over.
fn limit(times: &mut Times, message: &Message) {
    let terms = message.draft.terms.as_ref();
    if terms.is_some_and(|terms| terms.give_up_after_ms.is_some()) {
        times.limited();
    }
}

impl Journal {
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
}

impl Queue {
    fn free(&mut self, freed: super::batch::Freed) {
        self.pending_messages -= freed.messages;
        self.pending_bytes -= freed.bytes;
        self.scheduled_messages -= freed.scheduled;
    }
}
