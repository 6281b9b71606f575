//! What of a lane's messages is in memory, and what is only in the store.
//!
//! A lane's memory is bounded. Once it is used up the lane has *spilled*: everything newer stays in
//! the store, and is read back in the order of turns when there is room again, until the reading has
//! caught up with the tip. A start after a crash is the same: then everything is only in the store.

use super::Dispatch;
use super::put_back::share;
use crate::domain::Turn;
use crate::store::Pending;

/// How much of one lane may be in memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBudget {
    /// Messages.
    pub messages_max: usize,
    /// Bytes, as [`crate::domain::Message::footprint_bytes`] accounts them.
    pub bytes_max: usize,
}

/// With no more than so many sixteenths of the memory in use reading begins: what waits there for others takes less
/// ([`super::put_back`]), and keeps nobody out.
const READ_FROM: usize = 12;
/// Messages of one reading at most.
pub(super) const READ_MESSAGES_MAX: usize = 4096;

/// What to read from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// From behind this turn.
    pub after: Option<Turn>,
    /// Messages at most.
    pub messages_max: usize,
    /// Bytes at most.
    pub bytes_max: usize,
    /// The last turn that was known to be only in the store when this was asked.
    pub(super) tip: Turn,
    /// It is about messages that were put back.
    pub(super) again: bool,
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    messages: usize,
    bytes: usize,
    /// The last turn that was taken into memory.
    loaded_to: Option<Turn>,
    /// The last turn that is only in the store; none when the lane has not spilled.
    stored_to: Option<Turn>,
    /// A reading is under way.
    reading: bool,
}

impl Backlog {
    /// Takes the message's place in memory, or leaves it to the store. Turns that are there already
    /// (a reading may be ahead of its commit's news) are left alone.
    fn admit(&mut self, turn: Turn, bytes: usize, budget: MemoryBudget) -> bool {
        if self.loaded_to >= Some(turn) {
            return false;
        }
        let full = self.messages >= budget.messages_max || self.bytes + bytes > budget.bytes_max;
        if self.stored_to.is_some() || (full && self.messages > 0) {
            self.stored_to = Some(turn);
            return false;
        }
        self.load(turn, bytes);
        true
    }

    fn load(&mut self, turn: Turn, bytes: usize) {
        self.loaded_to = Some(turn);
        self.messages += 1;
        self.bytes += bytes;
    }

    /// Messages in memory.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Whether nothing more may come into memory.
    pub(super) fn is_full(&self, budget: MemoryBudget) -> bool {
        self.messages >= budget.messages_max || self.bytes >= budget.bytes_max
    }

    /// Whether reading is worth the while.
    fn has_room_for_more(&self, budget: MemoryBudget) -> bool {
        let is_below = |max: usize, used| used < max && used <= share(max, READ_FROM);
        is_below(budget.messages_max, self.messages) && is_below(budget.bytes_max, self.bytes)
    }

    /// A message that was read is not wanted any more.
    fn skip(&mut self, turn: Turn) {
        self.loaded_to = Some(turn);
    }

    /// Whether a reading is under way.
    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }

    /// There was nothing to read.
    pub(super) fn reading_is_over(&mut self) {
        self.reading = false;
    }

    /// A message that was put back is in memory again.
    pub(super) fn take_back(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    /// A message has left the memory for good, or was put back.
    pub(super) fn forget(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    /// Whether the message is only in the store.
    pub(super) fn is_stored(&self, turn: Turn) -> bool {
        self.stored_to.is_some() && Some(turn) > self.loaded_to
    }
}

impl Dispatch {
    /// Everything of this lane up to `last` is only in the store; nothing was added yet.
    pub fn recover(&mut self, last: Turn) {
        self.backlog.stored_to = Some(last);
    }

    /// Adds messages, committed, and with later turns than those before.
    pub fn enqueue(&mut self, messages: impl IntoIterator<Item = Pending>) {
        let budget = self.settings.memory;
        for one in messages {
            let bytes = one.message.footprint_bytes();
            if self.backlog.admit(one.turn, bytes, budget) {
                self.fresh.push(one);
            }
        }
    }

    /// What to read from the store next; to be answered with [`Dispatch::refill`] before it is asked
    /// again.
    pub fn wants_reading(&mut self) -> Option<Reading> {
        let budget = self.settings.memory;
        if self.wants_back() && !self.backlog.reading {
            self.backlog.reading = true;
            let asked = self.read_back();
            if asked.is_some() {
                return asked;
            }
        }
        let backlog = &mut self.backlog;
        let tip = backlog.stored_to?;
        if !backlog.has_room_for_more(budget) || backlog.reading || self.halted {
            return None;
        }
        backlog.reading = true;
        Some(Reading {
            after: backlog.loaded_to,
            messages_max: (budget.messages_max - backlog.messages).clamp(1, READ_MESSAGES_MAX),
            bytes_max: budget.bytes_max - backlog.bytes,
            tip,
            again: false,
        })
    }

    /// Whether [`Dispatch::wants_reading`] would say something.
    #[must_use]
    pub fn needs_reading(&self) -> bool {
        let (budget, backlog) = (self.settings.memory, &self.backlog);
        if backlog.reading || self.halted {
            return false;
        }
        let main = backlog.stored_to.is_some() && backlog.has_room_for_more(budget);
        main || self.wants_back()
    }

    /// The answer to `asked`: what is pending behind its turn, in order.
    pub fn refill(&mut self, asked: Reading, read: Vec<Pending>) {
        let backlog = &mut self.backlog;
        backlog.reading = false;
        if asked.again {
            self.taken_back(asked, read);
        } else {
            self.taken_over(asked, read);
        }
        self.withdrawn.reading_is_over();
    }

    fn taken_over(&mut self, asked: Reading, read: Vec<Pending>) {
        let backlog = &mut self.backlog;
        let nothing = read.is_empty();
        for one in read {
            if self.withdrawn.has(one.turn) {
                backlog.skip(one.turn);
                continue;
            }
            backlog.load(one.turn, one.message.footprint_bytes());
            self.fresh.push(one);
        }
        // Nothing pending behind the turn: whatever was stored up to the tip has ended since.
        let caught_up = backlog.stored_to <= backlog.loaded_to
            || (nothing && backlog.stored_to <= Some(asked.tip));
        if caught_up {
            backlog.loaded_to = backlog.loaded_to.max(backlog.stored_to);
            backlog.stored_to = None;
        }
    }
}
