//! What the ends of hand-overs lead to.

use std::sync::Arc;

use super::holds::Row;
use super::{Dispatch, Entry, KNOWN_EXCHANGES_MAX, Link, Moment, STRIKES_MAX, Way};
use crate::broker::{LaneEvent, Outcome, Presence};
use crate::domain::order::OrderKey;
use crate::domain::{Caller, Draft, Event, Reason, ReasonCode, RowId, WallTime};
use crate::observe::Traced;
use crate::store::Settlement;

/// When, by what chance, and where settlements go.
pub struct Ends<'a> {
    /// When this happens.
    pub at: Moment,
    /// A fraction from 0 to 1 for each call.
    pub dice: fn() -> f64,
    /// What was settled.
    pub settled: &'a mut Vec<Settled>,
}

/// The label of a caller's message.
pub type Group = (Caller, Box<str>);

/// What became of a message, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// To be kept.
    pub settlement: Settlement,
    /// The message's footprint.
    pub bytes: usize,
    /// Its label, which most have not.
    pub group: Option<Box<Group>>,
    /// When it was accepted or due, if this is the first outcome of one that was tried.
    pub began_at: Option<WallTime>,
    /// For its span.
    pub traced: Traced,
}

/// The label of a message.
pub(in crate::relay) fn group_of(draft: &Draft) -> Option<Box<Group>> {
    let name = draft.group()?;
    Some(Box::new((draft.caller.clone(), name.into())))
}

impl Dispatch {
    /// Takes what a lane reports, in order. Events of messages that are not here change nothing.
    pub fn report(&mut self, events: impl IntoIterator<Item = LaneEvent>, ends: &mut Ends<'_>) {
        let mut lost = false;
        for event in events {
            match event {
                LaneEvent::Ended(row, outcome) => {
                    lost |= matches!(
                        outcome,
                        Outcome::Unknown | Outcome::Unsent | Outcome::Suspect(_)
                    );
                    self.ended(row, outcome, ends);
                }
                LaneEvent::Up => {
                    self.link = Link::Up;
                    self.connected();
                }
                LaneEvent::Down(reason) => {
                    self.count_loss();
                    self.link = Link::Down(reason);
                    self.blocked = None;
                    self.renewal.lost();
                }
                LaneEvent::Blocked(reason) => self.blocked = Some(reason),
                LaneEvent::Unblocked => {
                    self.blocked = None;
                    self.unblocked_at = Some(ends.at.now);
                }
            }
        }
        if lost {
            self.take_along_again();
        }
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
            Outcome::Unknown | Outcome::Unanswered | Outcome::Suspect(_) => Event::Unknown,
            Outcome::Unsent => Event::Unsent,
            Outcome::Refused { maybe_taken, .. } => Event::Refused {
                maybe_taken: *maybe_taken,
            },
        };
        let Ok(life) = entry.life.apply(event) else {
            return;
        };
        let way = entry.way;
        entry.life = life;
        self.handovers.add(&outcome);
        self.in_flight -= 1;
        self.in_flight_bytes -= entry.message.footprint_bytes();
        let name = entry.names.destination;
        if way == Way::Lane {
            self.destinations.landed(entry.names);
            match &outcome {
                Outcome::Confirmed | Outcome::Returned(_) => self.accepted(name),
                Outcome::Nacked => self.refused(name, ends),
                _ => {}
            }
        }
        let answered = match &outcome {
            Outcome::Unknown | Outcome::Unanswered | Outcome::Unsent => false,
            // Among others it may be nobody's word.
            Outcome::Suspect(_) => way == Way::Quarantine,
            _ => true,
        };
        if answered {
            self.destinations.answered(name, ends.at.now);
            self.leave_quarantine(row);
        }
        self.lead_on(row, outcome, way, ends);
        if answered {
            self.end_quarantine(name);
        }
        self.end_expired(row, ends);
    }

    /// What the outcome means for the message itself, which took this `way`.
    fn lead_on(&mut self, row: RowId, outcome: Outcome, way: Way, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        match outcome {
            Outcome::Confirmed => self.routed(row, None, ends),
            Outcome::Returned(reason) => self.routed(row, Some(*reason), ends),
            Outcome::Refused { reason, .. } => {
                self.known.remove(&entry.message.draft.exchange);
                self.settle(row, Some(*reason), ends);
            }
            Outcome::Nacked => self.nacked(row, way, ends),
            Outcome::Suspect(reason) => {
                self.known.remove(&entry.message.draft.exchange);
                entry.strikes += u8::from(entry.is_suspect());
                if entry.strikes >= STRIKES_MAX {
                    self.give_up(row, Reason::clone(&reason), ends);
                } else {
                    entry.reason = Some(reason);
                    self.suspect(row);
                }
            }
            Outcome::Unknown => {
                let reason = Reason::own(
                    ReasonCode::ConnectionLost,
                    "a hand-over was cut off, and the message is sent again",
                );
                entry.reason = Some(Arc::new(reason));
                self.again(row, ends);
            }
            Outcome::Unsent => self.again(row, ends),
            Outcome::Unanswered => {
                let reason = Reason::own(
                    ReasonCode::ConnectionLost,
                    "the broker did not confirm the message, and it is sent again",
                );
                entry.reason = Some(Arc::new(reason));
                if way == Way::Quarantine {
                    self.probed(row, true, ends);
                } else {
                    // Whatever the broker closes for, it closes for at once: this one is no suspect.
                    self.was_silent_alone(row, ends);
                }
            }
        }
    }

    /// The broker was asked whether `exchange` exists; `None` when it cannot be asked, and then the
    /// messages go out and the broker itself will say.
    pub fn answered(&mut self, exchange: &str, answer: Option<Presence>, at: Moment) {
        let waiting = self.holds.release_exchange(exchange);
        self.put_back.stir();
        match answer {
            Some(Presence::Missing) => {
                self.known.remove(exchange);
                for (_, row) in waiting {
                    if let Some(entry) = self.entries.get_mut(&row) {
                        // Later ones of its key wait for the same answer.
                        let key = entry.names.key;
                        entry.after = self.destinations.is_under_way(key).then_some(key);
                    }
                    self.suspect(row);
                }
                self.take_along_again();
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
        let bytes = entry.message.footprint_bytes();
        self.backlog.forget(bytes);
        self.entry_bytes -= bytes;
        self.put_back.somebody_left(entry.names);
        if entry.life.nacks > 0 {
            self.destinations.nacked_left(entry.names.destination);
        }
        if entry.under_way {
            self.destinations.not_under_way(entry.names);
        }
        self.destinations.leave(entry.names);
        ends.settled.push(Settled {
            settlement,
            bytes,
            group: group_of(&entry.message.draft),
            began_at: (entry.life.replays == 0).then(|| entry.message.starts_at()),
            traced: Traced::of(&entry.message.draft),
        });
        self.let_go(&entry.message.draft, entry.place);
    }

    /// It is not tried any more.
    pub(super) fn give_up(&mut self, row: RowId, reason: Reason, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        if let Ok(life) = entry.life.apply(Event::GivenUp) {
            entry.life = life;
            self.settle(row, Some(reason), ends);
        }
    }

    /// The message at this place no longer holds its key, if it did. Gives those who go out again
    /// for that.
    pub(super) fn let_go(&mut self, draft: &Draft, place: u64) -> Row {
        if self.holds.is_empty() {
            return Row::new();
        }
        let (free, first) = self.holds.let_order_go(draft, place);
        if self.put_back.knows_who_waits() {
            let OrderKey { exchange, key } = OrderKey::of(draft);
            self.put_back.let_go(self.destinations.name(exchange, key));
        }
        self.again.extend(&free);
        if let Some((place, row)) = first
            && let Some(entry) = self.entries.get(&row)
            && entry.is_suspect()
            && !entry.life.in_flight
        {
            self.suspects.insert(place, row);
        }
        free
    }

    /// Back to its place, to be sent before everything newer. A suspect stays one, what is in
    /// quarantine stays there, and a message that others wait for is waited for on.
    fn again(&mut self, row: RowId, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get(&row) else {
            return;
        };
        match entry.way {
            Way::Lane => drop(self.again.insert(entry.place, row)),
            Way::Quarantine => self.probed(row, false, ends),
            Way::Probation => {
                if self.holds.is_first(&entry.message.draft, entry.place) {
                    self.suspects.insert(entry.place, row);
                }
            }
        }
    }

    /// To be tried alone, while later ones of its key wait. Earlier ones that wait already go with it.
    fn suspect(&mut self, row: RowId) {
        let Some(entry) = self.entries.get(&row) else {
            return;
        };
        let earlier = self.holds.take_earlier(&entry.message.draft, entry.place);
        for row in earlier.into_values().chain([row]) {
            if let Some(entry) = self.entries.get_mut(&row) {
                entry.way = Way::Probation;
                self.not_under_way(row);
                self.hold_key(row);
            }
        }
    }

    /// Later ones of its key wait for the message. A suspect that is the first to be waited for can be
    /// tried, and one that is the first no longer has to wait.
    pub(super) fn hold_key(&mut self, row: RowId) {
        let Some(entry) = self.entries.get(&row) else {
            return;
        };
        let (draft, place) = (&entry.message.draft, entry.place);
        if let Some(second) = self.holds.hold_order(draft, place, row) {
            self.suspects.remove(&second);
        }
        if entry.is_suspect() && self.holds.is_first(draft, place) {
            self.suspects.insert(place, row);
        }
    }

    /// As [`Dispatch::take_along`], for everything that is to go out again.
    fn take_along_again(&mut self) {
        if !self.holds.is_empty() {
            let again = std::mem::take(&mut self.again);
            self.take_along(&again);
            self.again.extend(again.into_iter().filter(|(_, row)| {
                let entry = self.entries.get(row);
                entry.is_none_or(|entry| entry.way == Way::Lane)
            }));
        }
    }

    /// Those of `going` that are to go out again must not be overtaken by a later suspect of their
    /// key, which takes another connection: they go with it.
    pub(super) fn take_along(&mut self, going: &Row) {
        if self.holds.is_empty() {
            return;
        }
        let is_suspect = |row| self.entries.get(&row).is_some_and(Entry::is_suspect);
        let along = |(&place, row): (&u64, &RowId)| {
            let draft = &self.entries.get(row)?.message.draft;
            let mut later = self.holds.later_heads(draft, place);
            later.any(is_suspect).then_some((place, *row))
        };
        let along: Vec<_> = going.iter().filter_map(along).collect();
        for (place, row) in along {
            self.again.remove(&place);
            self.suspect(row);
        }
    }

    fn nacked(&mut self, row: RowId, way: Way, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get_mut(&row) else {
            return;
        };
        if entry.life.nacks == 1 {
            self.destinations.nacked(entry.names.destination);
        }
        let Some(pause) = self.settings.retry.pause(entry.life.nacks, (ends.dice)()) else {
            let detail = format!("the broker refused the message {} times", entry.life.nacks);
            self.give_up(row, Reason::own(ReasonCode::Nacked, detail), ends);
            return;
        };
        let reason = Reason::own(
            ReasonCode::Nacked,
            "the broker refused the message, and it is tried again after a pause",
        );
        entry.reason = Some(Arc::new(reason));
        let due = ends.at.now + pause;
        entry.due = Some(due);
        self.pauses.insert((due, row));
        // The broker took it and spoke of it, so it closes nothing.
        entry.way = Way::Lane;
        let (place, message) = (entry.place, Arc::clone(&entry.message));
        self.not_under_way(row);
        if message.draft.ordering_key.is_some() {
            self.hold_key(row);
        } else if way != Way::Lane {
            self.let_go(&message.draft, place);
        }
    }
}
