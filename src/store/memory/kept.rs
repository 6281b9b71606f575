//! What is kept, and what a commit changes of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::HistoryBudget;
use super::groups::Groups;
use super::keys::Keys;
use super::outbox::Outbox;
use crate::domain::{Caller, Due, Message, MessageId, RowId, Status, Turn, WallTime};
use crate::store::{
    Accepted, Batch, BecomesDue, BulkReplay, Facts, Note, PartitionFacts, Replayable, Replayed,
    Settlement, Tally,
};

/// Bulk replays that are kept after they are done.
const BULK_DONE_MAX: usize = 1000;

pub(super) struct Kept {
    pub(super) rows: BTreeMap<RowId, Row>,
    pub(super) tallies: FxHashMap<Caller, Tally>,
    pub(super) groups: Groups,
    pub(super) keys: Keys,
    pub(super) outbox: Outbox,
    pub(super) scheduled: BTreeMap<(WallTime, RowId), Due>,
    scheduled_bytes: u64,
    /// By partition.
    pub(super) turns: Vec<BTreeMap<Turn, RowId>>,
    turn_bytes: Vec<u64>,
    pub(super) bulk: BTreeMap<MessageId, BulkReplay>,
    /// Settlements in their order; those of messages that were replayed since are still in it.
    pub(super) history: VecDeque<(u64, RowId)>,
    history_messages: usize,
    history_bytes: usize,
    pub(super) counts: Facts,
    pub(super) budget: HistoryBudget,
}

pub(super) struct Row {
    pub(super) message: Arc<Message>,
    pub(super) replays: u32,
    /// Hand-overs as last noted, of one that is doubtful.
    pub(super) doubt: Option<u32>,
    pub(super) give_up_at: Option<WallTime>,
    pub(super) place: Place,
}

pub(super) enum Place {
    Scheduled(Due),
    Turn {
        turn: Turn,
        partition: u8,
    },
    Ended {
        settlement: Box<Settlement>,
        position: u64,
    },
}

impl Kept {
    pub(super) fn new(budget: HistoryBudget) -> Self {
        Self {
            rows: BTreeMap::new(),
            tallies: FxHashMap::default(),
            groups: Groups::default(),
            keys: Keys::default(),
            outbox: Outbox::default(),
            scheduled: BTreeMap::new(),
            scheduled_bytes: 0,
            turns: Vec::new(),
            turn_bytes: Vec::new(),
            bulk: BTreeMap::new(),
            history: VecDeque::new(),
            history_messages: 0,
            history_bytes: 0,
            counts: Facts::default(),
            budget,
        }
    }

    pub(super) fn commit(&mut self, batch: &Batch<'_>) {
        self.counts.wall = batch.wall.or(self.counts.wall);
        if batch.clock_step_ms != 0 {
            self.step_clock(batch.clock_step_ms);
        }
        for accepted in batch.accepted {
            self.accept(accepted);
        }
        for one in batch.due {
            self.becomes_due(one);
        }
        self.outbox.has_added = false;
        for change in batch.outbox {
            self.outbox.change(change);
        }
        for settlement in batch.settled {
            self.settle(settlement);
        }
        for one in batch.replayed {
            self.replay(one);
        }
        for note in batch.noted {
            self.note(*note);
        }
        if let Some(bulk) = batch.bulk {
            self.keep_bulk(bulk);
        }
        self.forget();
    }

    fn step_clock(&mut self, by_ms: i64) {
        let step = |time: WallTime| time.moved_by_ms(by_ms);
        let before = std::mem::take(&mut self.scheduled);
        for ((_, row_id), mut due) in before {
            if due.moves {
                due.at = step(due.at);
            }
            self.scheduled.insert((due.at, row_id), due);
            if let Some(row) = self.rows.get_mut(&row_id) {
                row.place = Place::Scheduled(due);
            }
        }
        self.outbox.step_clock(by_ms);
        for row in self.rows.values_mut() {
            if matches!(row.place, Place::Turn { .. }) {
                row.give_up_at = row.give_up_at.map(step);
            }
        }
    }

    fn accept(&mut self, accepted: &Accepted) {
        let message = &accepted.message;
        let row_id = message.id.row();
        if self.rows.contains_key(&row_id) {
            return;
        }
        let place = match accepted.due {
            Some(due) => Place::Scheduled(due),
            None => Place::Turn {
                turn: row_id.into(),
                partition: accepted.partition,
            },
        };
        let row = Row {
            message: Arc::clone(message),
            replays: 0,
            doubt: None,
            give_up_at: accepted.give_up_at(),
            place,
        };
        self.put(row_id, &row);
        self.rows.insert(row_id, row);
        if let Some(used) = &accepted.key {
            (self.keys).keep(message, used, self.budget.keys_kept);
        }
        let draft = &message.draft;
        self.tallies
            .entry(draft.caller.clone())
            .or_default()
            .pending += 1;
        self.groups.accepted(draft);
        self.counts.last_row = self.counts.last_row.max(Some(row_id));
    }

    fn becomes_due(&mut self, one: &BecomesDue) {
        let row_id = one.id.row();
        let Some(mut row) = self.take(one.id, |place| matches!(place, Place::Scheduled(_))) else {
            return;
        };
        if let Place::Scheduled(due) = row.place {
            row.give_up_at = row.message.give_up_at(due.at);
        }
        row.place = Place::Turn {
            turn: one.turn,
            partition: one.partition,
        };
        self.put(row_id, &row);
        self.rows.insert(row_id, row);
        self.counts.last_row = self.counts.last_row.max(Some(one.turn.row()));
    }

    fn settle(&mut self, settlement: &Settlement) {
        let row_id = settlement.id.row();
        let is_next = self
            .rows
            .get(&row_id)
            .is_some_and(|row| settlement.revision == 2 * row.replays + 2);
        let is_pending = |place: &Place| is_next && !matches!(place, Place::Ended { .. });
        let Some(mut row) = self.take(settlement.id, is_pending) else {
            return;
        };
        if let Place::Scheduled(due) = row.place {
            row.give_up_at = row.message.give_up_at(due.at);
        }
        self.counts.last_position += 1;
        let position = self.counts.last_position;
        row.doubt = None;
        row.place = Place::Ended {
            settlement: Box::new(settlement.clone()),
            position,
        };
        self.history.push_back((position, row_id));
        self.history_messages += 1;
        self.history_bytes += row.message.footprint_bytes();
        *self.counts.of(settlement.status) += 1;
        self.moved(&row.message, Status::Pending, settlement.status);
        let terms = row.message.draft.terms.as_ref();
        let callback_url = terms.and_then(|terms| terms.callback_url.as_deref());
        (self.outbox).settled(&row.record(), callback_url, settlement.settled_at);
        self.rows.insert(row_id, row);
    }

    fn replay(&mut self, one: &Replayed) {
        if !matches!(self.replayable(one.id), Replayable::Yes { .. }) {
            return;
        }
        let Some(mut row) = self.take(one.id, |_| true) else {
            return;
        };
        if let Place::Ended { settlement, .. } = &row.place {
            row.doubt = settlement.duplicate_possible.then_some(0);
            let status = settlement.status;
            self.left_history(&row.message, status);
            self.moved(&row.message, status, Status::Pending);
        }
        row.replays += 1;
        row.give_up_at = row.message.give_up_at(one.at);
        row.place = Place::Turn {
            turn: one.turn,
            partition: one.partition,
        };
        self.put(one.id.row(), &row);
        self.rows.insert(one.id.row(), row);
        self.counts.last_row = self.counts.last_row.max(Some(one.turn.row()));
    }

    fn note(&mut self, note: Note) {
        if let Some(row) = self.rows.get_mut(&note.id.row())
            && row.message.id == note.id
            && matches!(row.place, Place::Turn { .. })
        {
            row.doubt = Some(note.attempts);
        }
    }

    fn keep_bulk(&mut self, bulk: &BulkReplay) {
        self.bulk.insert(bulk.id, bulk.clone());
        self.counts.last_row = self.counts.last_row.max(Some(bulk.id.row()));
        let done = self.bulk.values().filter(|bulk| bulk.done);
        let too_many = done.clone().count().saturating_sub(BULK_DONE_MAX);
        let old: Vec<_> = done.take(too_many).map(|bulk| bulk.id).collect();
        for id in old {
            self.bulk.remove(&id);
        }
    }

    fn moved(&mut self, message: &Message, from: Status, to: Status) {
        let draft = &message.draft;
        let tally = self.tallies.entry(draft.caller.clone()).or_default();
        tally.moved(from, to);
        self.groups.moved(draft, from, to);
    }

    /// Counts the pending message in at its place.
    fn put(&mut self, row_id: RowId, row: &Row) {
        let bytes = row.message.footprint_bytes() as u64;
        match row.place {
            Place::Scheduled(due) => {
                self.scheduled.insert((due.at, row_id), due);
                self.scheduled_bytes += bytes;
            }
            Place::Turn { turn, partition } => {
                let partition = usize::from(partition);
                if self.turns.len() <= partition {
                    self.turns.resize_with(partition + 1, BTreeMap::new);
                    self.turn_bytes.resize(partition + 1, 0);
                }
                self.turns[partition].insert(turn, row_id);
                self.turn_bytes[partition] += bytes;
            }
            Place::Ended { .. } => {}
        }
    }

    /// Takes out the message, if it is at such a place, and counts it out there if it is pending.
    fn take(&mut self, id: MessageId, is_there: impl Fn(&Place) -> bool) -> Option<Row> {
        let row = self.rows.get(&id.row())?;
        if row.message.id != id || !is_there(&row.place) {
            return None;
        }
        let row = self.rows.remove(&id.row())?;
        let bytes = row.message.footprint_bytes() as u64;
        match row.place {
            Place::Scheduled(due) => {
                self.scheduled.remove(&(due.at, id.row()));
                self.scheduled_bytes -= bytes;
            }
            Place::Turn { turn, partition } => {
                self.turns[usize::from(partition)].remove(&turn);
                self.turn_bytes[usize::from(partition)] -= bytes;
            }
            Place::Ended { .. } => {}
        }
        Some(row)
    }

    fn left_history(&mut self, message: &Message, status: Status) {
        self.history_messages -= 1;
        self.history_bytes -= message.footprint_bytes();
        *self.counts.of(status) -= 1;
    }

    fn forget(&mut self) {
        while self.history_messages > self.budget.messages_max
            || self.history_bytes > self.budget.bytes_max
        {
            let Some((position, row_id)) = self.history.pop_front() else {
                return;
            };
            let is_last_word = |row: &Row| matches!(row.place, Place::Ended { position: at, .. } if at == position);
            if !self.rows.get(&row_id).is_some_and(is_last_word) {
                continue;
            }
            if let Some(row) = self.rows.remove(&row_id)
                && let Place::Ended { settlement, .. } = &row.place
            {
                self.left_history(&row.message, settlement.status);
                self.groups.forgotten(&row.message.draft);
                self.counts.horizon = self.counts.horizon.max(Some(row_id));
            }
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let partition = |(rows, &bytes): (&BTreeMap<_, _>, &u64)| PartitionFacts {
            messages: rows.len() as u64,
            bytes,
        };
        let all = self.turns.iter().zip(&self.turn_bytes);
        Facts {
            pending: all.map(partition).collect(),
            scheduled: PartitionFacts {
                messages: self.scheduled.len() as u64,
                bytes: self.scheduled_bytes,
            },
            oldest_pending: self.turns.iter().flat_map(BTreeMap::values).min().copied(),
            history_bytes: self.history_bytes as u64,
            ..self.counts.clone()
        }
    }
}

impl Facts {
    /// The count of a final status; settlements have no other.
    fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Confirmed => &mut self.confirmed,
            Status::Returned => &mut self.returned,
            Status::Failed | Status::Pending => &mut self.failed,
        }
    }
}
