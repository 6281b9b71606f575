//! What the ends of hand-overs lead to.

use std::sync::Arc;
use std::time::Instant;

use super::{Dispatch, Entry, KNOWN_EXCHANGES_MAX, Link, Moment};
use crate::broker::{LaneEvent, Outcome, Presence};
use crate::domain::{Event, Reason, ReasonCode, RowId};
use crate::store::Settlement;

/// When, by what chance, and where settlements go.
pub struct Ends<'a> {
    /// When this happens.
    pub at: Moment,
    /// A fraction from 0 to 1 for each call.
    pub dice: fn() -> f64,
    /// What was settled, with the footprint of each message in bytes.
    pub settled: &'a mut Vec<(Settlement, usize)>,
}

impl Dispatch {
    /// Takes what a lane reports, in order. Events of messages that are not here change nothing.
    pub fn report(&mut self, events: impl IntoIterator<Item = LaneEvent>, ends: &mut Ends<'_>) {
        let mut lost = Vec::new();
        for event in events {
            match event {
                LaneEvent::Ended(row, outcome) => {
                    let unknown = matches!(outcome, Outcome::Unknown | Outcome::Unsent);
                    self.ended(row, outcome, ends);
                    if unknown {
                        lost.push(row);
                    }
                }
                LaneEvent::Up => self.link = Link::Up,
                LaneEvent::Down(reason) => {
                    self.link = Link::Down(reason);
                    self.blocked = None;
                }
                LaneEvent::Blocked(reason) => self.blocked = Some(reason),
                LaneEvent::Unblocked => self.blocked = None,
            }
        }
        self.join_suspects(&lost);
    }

    /// One hand-over has ended.
    pub fn ended(&mut self, row: RowId, outcome: Outcome, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        let event = match &outcome {
            Outcome::Confirmed => Event::Confirmed,
            Outcome::Returned(_) => Event::Returned,
            Outcome::Nacked => Event::Nacked,
            Outcome::Unknown | Outcome::Suspect(_) => Event::Unknown,
            Outcome::Unsent => Event::Unsent,
            Outcome::Refused { maybe_taken, .. } => Event::Refused {
                maybe_taken: *maybe_taken,
            },
        };
        let Ok(life) = entry.life.apply(event) else {
            return;
        };
        entry.life = life;
        self.in_flight -= 1;
        match outcome {
            Outcome::Confirmed => self.routed(row, None, ends),
            Outcome::Returned(reason) => self.routed(row, Some(*reason), ends),
            Outcome::Refused { reason, .. } => {
                self.known.remove(&entry.message.draft.exchange);
                self.settle(row, Some(*reason), ends);
            }
            Outcome::Nacked => self.nacked(row, ends),
            Outcome::Suspect(reason) => {
                entry.reason = Some(reason);
                self.known.remove(&entry.message.draft.exchange);
                self.suspect(row);
            }
            Outcome::Unknown => {
                let reason = Reason::own(
                    ReasonCode::ConnectionLost,
                    "a hand-over was cut off, and the message is sent again",
                );
                entry.reason = Some(Arc::new(reason));
                self.again(row);
            }
            Outcome::Unsent => self.again(row),
        }
    }

    /// The broker was asked whether `exchange` exists; `None` when it cannot be asked, and then the
    /// messages go out and the broker itself will say.
    pub fn answered(&mut self, exchange: &str, answer: Option<Presence>, at: Moment) {
        let waiting = self.holds.release_exchange(exchange);
        match answer {
            Some(Presence::Missing) => {
                for (_, row) in waiting {
                    self.suspect(row);
                }
            }
            Some(Presence::There) | None => {
                self.believe(exchange, at);
                self.again.extend(waiting);
            }
        }
    }

    fn believe(&mut self, exchange: &str, at: Moment) {
        if self.known.len() >= KNOWN_EXCHANGES_MAX {
            self.known.retain(|_, until| at.now < *until);
        }
        self.known
            .insert(exchange.into(), at.now + self.settings.exchange_known);
    }

    /// The broker has routed or returned it, so its exchange exists.
    fn routed(&mut self, row: RowId, reason: Option<Reason>, ends: &mut Ends<'_>) {
        if let Some(entry) = self.entries.get(&row)
            && entry.renews
            && let Some(until) = self.known.get_mut(&entry.message.draft.exchange)
        {
            *until = ends.at.now + self.settings.exchange_known;
        }
        self.settle(row, reason, ends);
    }

    fn settle(&mut self, row: RowId, reason: Option<Reason>, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.remove(&row) else {
            return;
        };
        let settlement = Settlement {
            id: entry.message.id,
            status: entry.life.status,
            reason,
            attempts: entry.life.attempts,
            duplicate_possible: entry.life.duplicate_possible,
            revision: entry.life.revision,
            settled_at: ends.at.wall,
        };
        ends.settled
            .push((settlement, entry.message.footprint_bytes()));
        self.let_go(row, &entry);
    }

    /// The message no longer holds its key, if it did.
    fn let_go(&mut self, row: RowId, entry: &Entry) {
        if self.holds.is_empty() {
            return;
        }
        let draft = &entry.message.draft;
        if let Some(hold) = self.holds.order(draft) {
            hold.suspects -= usize::from(entry.suspect);
            if hold.retrying == Some(row) {
                hold.retrying = None;
            }
        }
        self.again.extend(self.holds.release_order(draft));
    }

    /// Back to its place, to be sent before everything newer; a suspect stays one. Whoever waited for
    /// it behind an explicit key is let go too: they come after it by their places.
    fn again(&mut self, row: RowId) {
        let Some(entry) = self.entries.get(&row) else {
            return;
        };
        if entry.suspect {
            self.suspects.insert(entry.place, row);
            return;
        }
        self.again.insert(entry.place, row);
        if self.holds.is_empty() {
            return;
        }
        let message = Arc::clone(&entry.message);
        if let Some(hold) = self.holds.order(&message.draft)
            && hold.retrying == Some(row)
        {
            hold.retrying = None;
            self.again.extend(self.holds.release_order(&message.draft));
        }
    }

    /// To be tried alone, while its key is held.
    fn suspect(&mut self, row: RowId) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        self.suspects.insert(entry.place, row);
        if !entry.suspect {
            entry.suspect = true;
            let hold = self.holds.hold_order(&entry.message.draft);
            hold.suspects += 1;
            if hold.retrying == Some(row) {
                hold.retrying = None;
            }
        }
    }

    /// A lost message must not be overtaken by a newer suspect of its key: it goes with it.
    fn join_suspects(&mut self, lost: &[RowId]) {
        let Some((&newest, _)) = self.suspects.last_key_value() else {
            return;
        };
        for &row in lost {
            let Some(entry) = self.entries.get(&row) else {
                continue;
            };
            let place = entry.place;
            let held = self
                .holds
                .order(&entry.message.draft)
                .is_some_and(|hold| hold.suspects > 0);
            if place < newest && held && self.again.remove(&place).is_some() {
                self.suspect(row);
            }
        }
    }

    fn nacked(&mut self, row: RowId, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        let Some(pause) = self.settings.retry.pause(entry.life.nacks, (ends.dice)()) else {
            let tries = entry.life.nacks;
            if let Ok(life) = entry.life.apply(Event::GivenUp) {
                entry.life = life;
                let detail = format!("the broker refused the message {tries} times");
                self.settle(row, Some(Reason::own(ReasonCode::Nacked, detail)), ends);
            }
            return;
        };
        let reason = Reason::own(
            ReasonCode::Nacked,
            "the broker refused the message, and it is tried again after a pause",
        );
        entry.reason = Some(Arc::new(reason));
        let due = ends.at.now + pause;
        entry.due = Some(due);
        let was_suspect = std::mem::take(&mut entry.suspect);
        let (place, message) = (entry.place, Arc::clone(&entry.message));
        if message.draft.ordering_key.is_some() {
            self.hold_for_retry(row, place, due);
        } else {
            self.pauses.insert((due, row));
        }
        if was_suspect && let Some(hold) = self.holds.order(&message.draft) {
            hold.suspects -= 1;
        }
        self.again.extend(self.holds.release_order(&message.draft));
    }

    /// The oldest nacked message of an explicit key goes out again first, alone; the others wait.
    /// `due` is the end of the pause of the message that was nacked just now.
    fn hold_for_retry(&mut self, row: RowId, place: u64, due: Instant) {
        let Some(entry) = self.entries.get(&row) else {
            return;
        };
        let hold = self.holds.hold_order(&entry.message.draft);
        hold.waiting.insert(place, row);
        if let Some(other) = hold.retrying.filter(|other| *other != row) {
            let Some(paused) = self.entries.get_mut(&other) else {
                return;
            };
            let Some(others_due) = paused.due.filter(|_| place < paused.place) else {
                return;
            };
            self.pauses.remove(&(others_due, other));
            paused.due = None;
            hold.waiting.insert(paused.place, other);
        }
        if let Some((_, head)) = hold.waiting.pop_first() {
            hold.retrying = Some(head);
            if let Some(entry) = self.entries.get_mut(&head) {
                let due = *entry.due.get_or_insert(due);
                self.pauses.insert((due, head));
            }
        }
    }
}
