//! Destinations that do not answer: when a lane has stalled, who is silent, and the quarantine.
//!
//! A broker that confirms nothing for a queue closes nothing either, and may stop reading everything
//! that comes behind. So a lane that has waited too long for one destination is given up. Whoever was
//! heard of since then goes on over a fresh connection. The silent ones go into *quarantine*: their
//! messages are held, and of each destination one message at a time is tried alone, on another
//! connection. Any answer ends its quarantine, and its messages flow on its lane again, in order.
//!
//! Behind a queue that stops the reading everybody is silent. Which of them are well shows within
//! moments, since first tries are short, and who was heard of lately comes first; who does not
//! answer then is tried again after growing pauses, in turns, and now and then for as long as a slow
//! queue may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::destinations::{Name, Names};
use super::holds::Row;
use super::outcomes::Ends;
use super::{Dispatch, Link, Way};
use crate::broker::Handover;
use crate::domain::{Reason, ReasonCode, RetrySchedule, RowId};

/// How long the first try of a destination may take: who is well answers sooner. The next ones may
/// take twice as long each,
const FIRST_PATIENCE: Duration = Duration::from_millis(200);
/// up to so long.
const LATER_PATIENCE: Duration = Duration::from_secs(1);
/// Of so many tries one may take as long as the slowest queue that is not called silent.
const FULL_PATIENCE_EVERY: u32 = 4;
/// The pauses between two tries of a destination.
const PAUSES: RetrySchedule = RetrySchedule {
    tries_max: u32::MAX,
    pause_min: Duration::from_millis(250),
    pause_max: Duration::from_secs(30),
};
/// When a destination is looked at again of whose messages all wait for others.
const POSTPONED: Duration = Duration::from_millis(100);

/// Why a lane was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Destinations that have gone into quarantine for it.
    pub silent: usize,
    /// The exchange of one that has waited longest.
    pub exchange: Box<str>,
    /// Its routing key.
    pub routing_key: Box<str>,
}

impl Dispatch {
    /// When to ask [`Dispatch::stalled`].
    #[must_use]
    pub fn stall_check(&self) -> Option<Instant> {
        self.check_at.filter(|_| self.waits_for_answers())
    }

    /// Whether the lane's connection is to be given up, since a destination does not answer. Up to
    /// `slow_until` the socket took bytes only slowly, and nobody was called silent.
    pub fn stalled(&mut self, now: Instant, slow_until: Instant) -> Option<Stall> {
        if self.stall_check().is_none_or(|check| now < check) {
            return None;
        }
        let Some(since) = self.destinations.longest_wait() else {
            self.check_at = None;
            return None;
        };
        let late = since
            .max(slow_until)
            .max(self.unblocked_at.unwrap_or(since));
        if now < late + self.settings.stall_after {
            self.check_at = Some(late + self.settings.stall_after);
            return None;
        }
        self.check_at = None;
        let longest = self.entries.values().find(|entry| {
            entry.is_on_lane()
                && self
                    .destinations
                    .waits_since(entry.names.destination, since)
        });
        let (exchange, routing_key) = longest
            .map(|entry| &entry.message.draft)
            .map(|draft| (draft.exchange.clone(), draft.routing_key.clone()))
            .unwrap_or_default();
        let silent = self.destinations.silent_since(since);
        for &name in &silent {
            self.destinations.quarantine(name, now, 0);
        }
        Some(Stall {
            silent: silent.len(),
            exchange,
            routing_key,
        })
    }

    /// Whether silence means something: a lane that is down or blocked waits for the whole broker.
    fn waits_for_answers(&self) -> bool {
        self.link == Link::Up && self.blocked.is_none()
    }

    /// A hand-over on the lane: from now on an answer is waited for.
    pub(super) fn await_answer(&mut self, names: Names, again: bool, now: Instant) {
        self.destinations.handed_over(names, again, now);
        if self.check_at.is_none() {
            self.check_at = Some(now + self.settings.stall_after);
        }
    }

    /// Puts the message behind its destination, if that is in quarantine. Later ones of its key wait
    /// for it.
    pub(super) fn wait_in_quarantine(&mut self, row: RowId) -> bool {
        let Some(entry) = self.entries.get_mut(&row) else {
            return false;
        };
        let name = entry.names.destination;
        if !self.destinations.is_quarantined(name) {
            return false;
        }
        entry.way = Way::Quarantine;
        let place = entry.place;
        self.not_under_way(row);
        self.hold_key(row);
        self.destinations.wait(name, place, row);
        true
    }

    /// Later ones of its key that take another way need not wait until the message is done.
    pub(super) fn not_under_way(&mut self, row: RowId) {
        if let Some(entry) = self.entries.get_mut(&row)
            && std::mem::take(&mut entry.under_way)
        {
            self.destinations.not_under_way(entry.names);
        }
    }

    /// The next message that is to show whether its destination answers, to be published while
    /// nothing else is in flight on its connection.
    pub fn next_probe(&mut self, now: Instant) -> Option<Handover> {
        if self.halted {
            return None;
        }
        while let Some(name) = self.destinations.first_due(now) {
            let (tries, waiting) = self.destinations.candidates(name)?;
            let can_go = |(&place, row): (&u64, &RowId)| {
                let entry = self.entries.get(row)?;
                let free = self.holds.is_first(&entry.message.draft, place)
                    && !self.destinations.is_under_way(entry.names.key)
                    && !entry.life.in_flight;
                free.then_some(*row)
            };
            if let Some(row) = waiting.iter().find_map(can_go) {
                self.destinations.probing(name);
                let patience = patience(tries, self.settings.stall_after);
                return self.hand_over(row, Some(patience));
            }
            self.destinations.turn_at(name, now + POSTPONED, tries);
        }
        None
    }

    /// How many connections have work in the quarantine, up to about `count_max`.
    #[must_use]
    pub fn probes(&self, now: Instant, count_max: usize) -> usize {
        if self.halted {
            return 0;
        }
        self.destinations.wanted(now, count_max)
    }

    /// When [`Dispatch::next_probe`] may give more although nothing has happened.
    #[must_use]
    pub fn next_probe_at(&self) -> Option<Instant> {
        self.destinations.next_turn().filter(|_| !self.halted)
    }

    /// Destinations in quarantine.
    #[must_use]
    pub fn quarantined(&self) -> usize {
        self.destinations.quarantined()
    }

    /// A try has ended without an answer: `unanswered` in its time, or with its connection.
    pub(super) fn probed(&mut self, row: RowId, unanswered: bool, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        let (name, place) = (entry.names.destination, entry.place);
        let Some((tries, _)) = self.destinations.candidates(name) else {
            // Another message of the destination was answered meanwhile.
            let released = self.back_to_its_lane(row);
            self.take_along(&released);
            return;
        };
        let tries = tries + u32::from(unanswered);
        let pause = PAUSES.pause(tries, (ends.dice)()).unwrap_or_default();
        self.destinations.probed(name);
        self.destinations.wait(name, place, row);
        self.destinations.turn_at(name, ends.at.now + pause, tries);
    }

    /// The message was alone, and got no answer: its destination is silent.
    pub(super) fn was_silent_alone(&mut self, row: RowId, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        entry.way = Way::Quarantine;
        let (name, place) = (entry.names.destination, entry.place);
        let pause = PAUSES.pause(1, (ends.dice)()).unwrap_or_default();
        self.destinations.quarantine(name, ends.at.now + pause, 1);
        self.destinations.wait(name, place, row);
    }

    /// The message does not wait in quarantine any more; its key it may still hold.
    pub(super) fn leave_quarantine(&mut self, row: RowId) {
        if let Some(entry) = self.entries.get_mut(&row)
            && entry.way == Way::Quarantine
        {
            entry.way = Way::Lane;
            let (name, place) = (entry.names.destination, entry.place);
            self.destinations.probed(name);
            self.destinations.wait_no_more(name, place);
        }
    }

    /// The destination has answered: its messages go on, in order.
    pub(super) fn end_quarantine(&mut self, name: Name) {
        if !self.destinations.is_quarantined(name) {
            return;
        }
        self.put_back.stir();
        let mut released = self.destinations.release(name);
        for (place, row) in released.clone() {
            let Some(entry) = self.entries.get(&row) else {
                continue;
            };
            // A try that is in flight comes back by itself.
            if entry.life.in_flight {
                released.remove(&place);
                continue;
            }
            released.append(&mut self.back_to_its_lane(row));
        }
        self.take_along(&released);
    }

    /// The message goes out on its lane again, with those that waited for it alone. Gives all of them.
    fn back_to_its_lane(&mut self, row: RowId) -> Row {
        let Some(entry) = self.entries.get_mut(&row) else {
            return Row::new();
        };
        entry.way = Way::Lane;
        let place = entry.place;
        let message = Arc::clone(&entry.message);
        let waited_for = message.draft.ordering_key.is_some() && entry.life.nacks > 0;
        self.again.insert(place, row);
        let mut going = if waited_for {
            Row::new()
        } else {
            self.let_go(&message.draft, place)
        };
        going.insert(place, row);
        going
    }

    /// What is told of a message whose destination is in quarantine.
    pub(super) fn silence(&self, name: Name) -> Option<Reason> {
        self.destinations.is_quarantined(name).then(|| {
            Reason::own(
                ReasonCode::BrokerUnavailable,
                "the queue behind this exchange and routing key does not answer",
            )
        })
    }
}

fn patience(tries: u32, stall_after: Duration) -> Duration {
    if tries % FULL_PATIENCE_EVERY == FULL_PATIENCE_EVERY - 1 {
        return stall_after;
    }
    let growing = FIRST_PATIENCE * (1 << tries.min(8));
    growing.min(LATER_PATIENCE).min(stall_after)
}
