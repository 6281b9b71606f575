//! Handing over: what goes next, what must wait, and what goes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::holds::KeptBy;
use super::withdraw::life;
use super::{Dispatch, Entry, Way};
use crate::broker::{Handover, Room};
use crate::domain::{Event, Message, RowId};
use crate::store::Pending;

/// Places looked at in one pull, so that a long row of held messages delays nobody.
pub(super) const LOOKED_AT_MAX: usize = 4096;

impl Dispatch {
    /// Appends what shall be published now, in order. True when it stopped early and wants to be
    /// called again.
    pub fn pull(&mut self, now: Instant, room: Room, into: &mut Vec<Handover>) -> bool {
        if self.halted {
            return false;
        }
        self.end_pauses(now);
        if self.renewal.is_draining() {
            return false;
        }
        let room = self.within_memory(room);
        let mut bytes_left = room.bytes;
        for looked_at in 0.. {
            if into.len() >= room.messages || self.is_idle() {
                break;
            }
            if looked_at == LOOKED_AT_MAX {
                return true;
            }
            let alone = room.empty && into.is_empty();
            let fits = |message: &Message| alone || message.draft.payload.len() <= bytes_left;
            let Some(row) = self.next(fits) else { break };
            if self.must_wait(row, now) {
                continue;
            }
            self.under_way(row, now);
            if let Some(handover) = self.hand_over(row, None) {
                bytes_left = bytes_left.saturating_sub(handover.message.draft.payload.len());
                into.push(handover);
            }
        }
        false
    }

    fn is_idle(&self) -> bool {
        self.again.is_empty() && self.fresh.is_empty()
    }

    /// Takes the first message, unless it does not fit.
    fn next(&mut self, fits: impl Fn(&Message) -> bool) -> Option<RowId> {
        if let Some((&place, &row)) = self.again.first_key_value() {
            if !self
                .entries
                .get(&row)
                .is_none_or(|entry| fits(&entry.message))
            {
                return None;
            }
            self.again.remove(&place);
            return Some(row);
        }
        if !fits(&self.fresh.first()?.message) || self.waits_at_gate() {
            return None;
        }
        let pending = self.fresh.pop()?;
        let row = pending.message.id.row();
        if self.put_back(&pending) {
            // There is nobody in this row any more, and the next is looked at.
            return Some(row);
        }
        self.enter(pending);
        Some(row)
    }

    /// The message is looked at for the first time and gets its place in the order.
    pub(super) fn enter(&mut self, pending: Pending) -> u64 {
        let life = life(&pending);
        let message = pending.message;
        let row = message.id.row();
        let place = self.next_place;
        self.next_place += 1;
        self.entry_bytes += message.footprint_bytes();
        let entry = Entry {
            names: self.destinations.enter(&message.draft),
            message,
            life,
            place,
            reason: None,
            due: None,
            way: Way::Lane,
            under_way: false,
            strikes: 0,
            renews: false,
            expired: false,
            after: None,
        };
        self.entries.insert(row, entry);
        place
    }

    /// Puts the message behind the key that is held, if one is.
    fn must_wait(&mut self, row: RowId, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&row) else {
            return true;
        };
        let draft = &entry.message.draft;
        if let Some(kept_by) = self.holds.keep(draft, entry.place, row) {
            // Earlier ones go first in any case.
            if kept_by == KeptBy::Order {
                self.not_under_way(row);
            }
            return true;
        }
        if self.wait_in_quarantine(row) {
            return true;
        }
        let Some(entry) = self.entries.get_mut(&row) else {
            return true;
        };
        let draft = &entry.message.draft;
        if draft.exchange.is_empty() {
            return false;
        }
        match self.known.get(&draft.exchange) {
            Some(&until) if now < until => {
                entry.renews = until - now < self.settings.exchange_known / 2;
                false
            }
            _ => {
                self.holds.hold_exchange(&draft.exchange, entry.place, row);
                self.questions.push(draft.exchange.clone());
                true
            }
        }
    }

    /// The message goes out on the lane.
    fn under_way(&mut self, row: RowId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&row) {
            let again = std::mem::replace(&mut entry.under_way, true);
            let names = entry.names;
            self.await_answer(names, again, now);
        }
    }

    pub(super) fn hand_over(&mut self, row: RowId, patience: Option<Duration>) -> Option<Handover> {
        let entry = self.entries.get_mut(&row)?;
        entry.life = entry.life.apply(Event::HandedOver).ok()?;
        entry.due = None;
        // Those that it had to come after have gone.
        entry.after = None;
        self.in_flight += 1;
        self.in_flight_bytes += entry.message.footprint_bytes();
        Some(Handover {
            message: Arc::clone(&entry.message),
            duplicate_possible: entry.life.duplicate_possible,
            patience,
        })
    }

    fn end_pauses(&mut self, now: Instant) {
        while let Some(&(due, row)) = self.pauses.first()
            && due <= now
        {
            self.end_pause((due, row));
        }
    }

    pub(super) fn end_pause(&mut self, pause: (Instant, RowId)) {
        self.pauses.remove(&pause);
        let (_, row) = pause;
        if let Some(entry) = self.entries.get_mut(&row) {
            entry.due = None;
            self.again.insert(entry.place, row);
        }
        if self.pauses.is_empty() {
            self.put_back.stir();
        }
    }
}
