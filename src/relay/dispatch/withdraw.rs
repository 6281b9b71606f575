//! Giving up and cancelling: a message ends although no broker has said so.
//!
//! One that is in flight cannot be withdrawn, since nobody knows what will be said of it. Everything
//! else can, wherever it waits, and is never handed over afterwards. What is only in the store is
//! settled from its record. A reading may still bring what was not looked at yet, hence such turns
//! are remembered until neither a commit nor a reading can be behind.

use rustc_hash::FxHashSet;

use super::outcomes::{Ends, Settled, group_of};
use super::{Dispatch, Moment, Way};
use crate::domain::order::OrderKey;
use crate::domain::{Event, Life, Message, MessageId, Reason, ReasonCode, RowId, Turn};
use crate::observe::Traced;
use crate::store::{Pending, Record, Settlement};

/// Why a message is withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The time that its caller gave it is over.
    Expired,
    /// Its caller does not want it sent any more.
    Cancelled,
}

/// What came of withdrawing a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// It is settled.
    Settled,
    /// It is in flight. When its time is over, it ends with this hand-over, whatever that comes to.
    InFlight,
    /// It has left here: it has ended, or is being settled.
    Ended,
}

/// Turns of messages that were withdrawn before they were looked at.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    /// The store does not know it yet.
    open: FxHashSet<Turn>,
    /// It knows, and a reading that began before is under way.
    read: FxHashSet<Turn>,
}

impl Withdrawn {
    pub(super) fn has(&self, turn: Turn) -> bool {
        self.open.contains(&turn) || self.read.contains(&turn)
    }

    /// A reading has ended.
    pub(super) fn reading_is_over(&mut self) {
        self.read.clear();
    }
}

impl Dispatch {
    /// Ends a pending message that is not in flight. The record must be what the store holds at this
    /// moment: only what is being settled may be missing in it.
    pub fn withdraw(&mut self, record: &Record, why: Why, ends: &mut Ends<'_>) -> Withdrawal {
        let Some(standing) = record.standing else {
            return Withdrawal::Ended;
        };
        let row = record.id.row();
        if let Some(entry) = self.entries.get_mut(&row) {
            if entry.life.in_flight {
                entry.expired |= why == Why::Expired;
                return Withdrawal::InFlight;
            }
            self.withdraw_entry(row, why, ends);
            return Withdrawal::Settled;
        }
        if let Some(fresh) = self.fresh.take(standing.turn) {
            // Later ones of its key may be put back before this is committed, and be read together.
            self.withdrawn.open.insert(standing.turn);
            let bytes = fresh.message.footprint_bytes();
            self.backlog.forget(bytes);
            let group = group_of(&fresh.message.draft);
            settle(fresh.message.id, life(&fresh), why, bytes, group, ends);
            return Withdrawal::Settled;
        }
        let key = OrderKey {
            exchange: &record.exchange,
            key: (record.ordering_key.as_deref()).unwrap_or(&record.routing_key),
        };
        if !self.is_left_to_store(key, standing.turn) {
            return Withdrawal::Ended;
        }
        self.withdrawn.open.insert(standing.turn);
        let life = Life {
            duplicate_possible: record.doubt.is_some(),
            attempts: record.doubt.unwrap_or(0),
            ..life_after(record.replays)
        };
        let bytes = usize::try_from(standing.footprint_bytes).unwrap_or(usize::MAX);
        let name = record.group.clone();
        let group = name.map(|name| Box::new((record.caller.clone(), name)));
        settle(record.id, life, why, bytes, group, ends);
        Withdrawal::Settled
    }

    /// Everything that was withdrawn is committed.
    pub fn withdrawals_are_kept(&mut self) {
        let open = self.withdrawn.open.drain();
        if self.backlog.is_reading() {
            self.withdrawn.read.extend(open);
        }
    }

    /// Whether the message of this key and turn is only in the store, and pending as far as is known
    /// here.
    pub(super) fn is_left_to_store(&self, key: OrderKey<'_>, turn: Turn) -> bool {
        (self.backlog.is_stored(turn) || self.is_put_back(key, turn)) && !self.withdrawn.has(turn)
    }

    /// The hand-over of a message has ended, and it is pending still: if its time is over it is not
    /// tried any more.
    pub(super) fn end_expired(&mut self, row: RowId, ends: &mut Ends<'_>) {
        let entry = self.entries.get(&row);
        if entry.is_some_and(|entry| entry.expired && !entry.life.in_flight) {
            self.withdraw_entry(row, Why::Expired, ends);
        }
    }

    /// Takes a message that is not in flight from wherever it waits, and settles it.
    fn withdraw_entry(&mut self, row: RowId, why: Why, ends: &mut Ends<'_>) {
        let Some(entry) = self.entries.get(&row) else {
            return;
        };
        let place = entry.place;
        self.again.remove(&place);
        self.suspects.remove(&place);
        if let Some(due) = entry.due {
            self.pauses.remove(&(due, row));
            if self.pauses.is_empty() {
                self.put_back.stir();
            }
        }
        self.holds.wait_no_more(&entry.message.draft, place);
        if entry.way == Way::Quarantine {
            let name = entry.names.destination;
            self.destinations.wait_no_more(name, place);
        }
        let reason = reason(why, entry.life);
        self.give_up(row, reason, ends);
    }
}

/// The life of a message that was replayed so often and not handed over since.
fn life_after(replays: u32) -> Life {
    Life {
        revision: 2 * replays + 1,
        replays,
        ..Life::default()
    }
}

/// The life of a message that was not looked at yet.
pub(super) fn life(pending: &Pending) -> Life {
    Life {
        attempts: pending.attempts,
        duplicate_possible: pending.duplicate_possible,
        ..life_after(pending.replays)
    }
}

/// Settles a message that is not in flight and has no entry.
fn settle(
    id: MessageId,
    life: Life,
    why: Why,
    bytes: usize,
    group: Option<Box<super::Group>>,
    ends: &mut Ends<'_>,
) {
    let Ok(ended) = life.apply(Event::GivenUp) else {
        return;
    };
    ends.settled.push(Settled {
        settlement: Settlement {
            id,
            status: ended.status,
            reason: Some(reason(why, life)),
            attempts: ended.attempts,
            duplicate_possible: ended.duplicate_possible,
            revision: ended.revision,
            settled_at: ends.at.wall,
        },
        bytes,
        group,
        began_at: None,
        traced: Traced::default(),
    });
}

/// What becomes of a message that is cancelled before it was due.
pub(in crate::relay) fn never_due(message: &Message, at: Moment) -> Vec<Settled> {
    let mut settled = Vec::new();
    let mut ends = Ends {
        at,
        dice: || 0.0,
        settled: &mut settled,
    };
    let group = group_of(&message.draft);
    let bytes = message.footprint_bytes();
    settle(
        message.id,
        Life::default(),
        Why::Cancelled,
        bytes,
        group,
        &mut ends,
    );
    settled
}

/// In one sentence why it ended, and how often it was tried.
fn reason(why: Why, life: Life) -> Reason {
    let tried = match (life.attempts, life.replays) {
        (0, 0) => "it was never handed over to the broker".to_owned(),
        (0, _) => "it was not handed over to the broker since it was replayed".to_owned(),
        (1, _) => "it was handed over to the broker once".to_owned(),
        (times, _) => format!("it was handed over to the broker {times} times"),
    };
    match why {
        Why::Expired => Reason::own(
            ReasonCode::Expired,
            format!("the message was not settled in the time that its caller gave it; {tried}"),
        ),
        Why::Cancelled => Reason::own(
            ReasonCode::Cancelled,
            format!("the caller cancelled the message; {tried}"),
        ),
    }
}
