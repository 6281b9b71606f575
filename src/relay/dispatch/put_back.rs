//! Messages that would only wait, and are left to the store so that others find room in memory.
//!
//! What waits in memory (for a silent destination, an exchange that is asked about, a pause, an earlier one of its
//! order key) may take a share of it, no more. Beyond that, a message that was never handed over and would
//! wait is *put back*: it is in the store anyway. From then on every later message of
//! its order key is put back too, so that order holds. When the waiting is over, the store is read
//! once more from where the putting back began, beside the ordinary reading, and what was put back
//! takes its place before everything newer.
//!
//! Exactly those messages are only in the store whose order key is noted here and whose turn is not
//! before the one noted for it. None of them was ever handed over by this process, so none can have
//! been settled unless it was withdrawn, and whatever else such a reading finds is left alone.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Dispatch;
use super::backlog::{READ_MESSAGES_MAX, Reading};
use super::destinations::{Name, Names};
use crate::broker::Room;
use crate::domain::Turn;
use crate::domain::order::OrderKey;
use crate::store::Pending;

/// In sixteenths of a lane's memory: so much may be taken by those who wait before others are put
/// back,
const PUT_BACK_FROM: usize = 4;
/// so much may be in flight, since what is lost waits in memory too, and cannot be put back,
const IN_FLIGHT_TO: usize = 3;
/// of what those who wait leave of so much, half: one destination after the other may lose what is in flight,
const LOST_TO: usize = 9;
/// and so much may be taken by all that were looked at before reading back pauses. It is less than what lets the
/// ordinary reading pause ([`super::backlog`]).
const READ_BACK_TO: usize = 10;
/// Order keys that are noted at most; messages of more keys wait in memory.
const KEYS_MAX: usize = 20_000;

/// A reading of what was put back.
#[derive(Debug)]
struct Pass {
    /// The last turn that was read.
    to: Turn,
    /// Keys that stay put back, from these turns on.
    still: FxHashMap<Name, Turn>,
}

/// What an order key waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    /// An earlier message of it that is in memory.
    Order,
    /// A destination in quarantine.
    Destination(Name),
}

/// What was put back.
#[derive(Debug, Default)]
pub(super) struct PutBack {
    /// By order key: the first turn that is only in the store.
    keys: FxHashMap<Name, Turn>,
    /// Where they wait to go: what else goes there is put back as well.
    destinations: FxHashSet<Name>,
    /// What order keys are known to wait for: to read them back would be in vain.
    waits: FxHashMap<Name, WaitsFor>,
    /// The last turn that was put back.
    last: Option<Turn>,
    /// Somebody has gone on, and so may they.
    stirred: bool,
    pass: Option<Pass>,
}

impl PutBack {
    /// Somebody has gone on.
    pub(super) fn stir(&mut self) {
        self.stirred = !self.keys.is_empty();
    }

    /// Whether nothing is put back.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A message of these names has ended.
    pub(super) fn somebody_left(&mut self, names: Names) {
        if !self.keys.is_empty()
            && (self.destinations.contains(&names.destination) || self.has_key(names.key))
        {
            self.stirred = true;
        }
    }

    /// Nobody in memory is waited for by this order key any more, or it is somebody else.
    pub(super) fn let_go(&mut self, key: Name) {
        if self.waits.get(&key) == Some(&WaitsFor::Order) {
            self.waits.remove(&key);
            self.stirred = true;
        }
    }

    /// Whether some are known to wait.
    pub(super) fn knows_who_waits(&self) -> bool {
        !self.waits.is_empty()
    }

    fn has_key(&self, key: Name) -> bool {
        let still = self.pass.as_ref();
        self.keys.contains_key(&key) || still.is_some_and(|pass| pass.still.contains_key(&key))
    }

    /// Whether a message of this key is only in the store, as long as it was not read back.
    fn has(&self, key: Name, turn: Turn) -> bool {
        let from = |keys: &FxHashMap<Name, Turn>| keys.get(&key).is_some_and(|from| *from <= turn);
        match &self.pass {
            Some(pass) => from(&pass.still) || (turn > pass.to && from(&self.keys)),
            None => from(&self.keys),
        }
    }

    fn note(&mut self, key: Name, turn: Turn) {
        if !self.has_key(key) {
            self.keys.insert(key, turn);
        }
        self.last = Some(turn);
    }
}

impl Dispatch {
    /// Messages and bytes of those who wait.
    fn waiting(&self) -> (usize, usize) {
        let messages = self.entries.len() - self.in_flight;
        (messages, self.entry_bytes - self.in_flight_bytes)
    }

    /// Whether those who wait take their share of the memory.
    fn crowded(&self) -> bool {
        let memory = self.settings.memory;
        let (messages, bytes) = self.waiting();
        messages >= share(memory.messages_max, PUT_BACK_FROM)
            || bytes >= share(memory.bytes_max, PUT_BACK_FROM)
    }

    /// Whether there is room for those who can go, whatever else waits: those who were read back and have not
    /// gone yet take no more than half of what is left.
    fn has_room_for_ready(&self) -> bool {
        let memory = self.settings.memory;
        let (messages, ready) = (self.entries.len(), self.again.len());
        // Their bytes, as if all had as many.
        let ready_bytes = self.entry_bytes / messages.max(1) * ready;
        let has_room = |max, all, ready| {
            let left = share(max, READ_BACK_TO).checked_sub(all);
            left.is_some_and(|left| left > 0 && ready <= left / 2)
        };
        has_room(memory.messages_max, messages, ready)
            && has_room(memory.bytes_max, self.entry_bytes, ready_bytes)
    }

    /// Leaves room in memory for others, should everything in flight be lost.
    pub(super) fn within_memory(&self, room: Room) -> Room {
        let memory = self.settings.memory;
        let (messages, bytes) = self.waiting();
        let at_most = |max, waiting| {
            let left = share(max, LOST_TO).saturating_sub(waiting);
            (left / 2).clamp(share(max, 1) / 4, share(max, IN_FLIGHT_TO))
        };
        let messages = at_most(memory.messages_max, messages).max(1);
        let bytes = at_most(memory.bytes_max, bytes);
        Room {
            messages: room.messages.min(messages.saturating_sub(self.in_flight)),
            bytes: room.bytes.min(bytes.saturating_sub(self.in_flight_bytes)),
            empty: room.empty,
        }
    }

    /// Leaves a message that was not looked at yet to the store, if it must or would better wait
    /// there.
    pub(super) fn put_back(&mut self, one: &Pending) -> bool {
        let message = &one.message;
        let crowded = self.crowded();
        if self.put_back.keys.is_empty() && !crowded {
            return false;
        }
        let names = self.destinations.names(&message.draft);
        let must = self.put_back.has_key(names.key);
        let full = self.put_back.keys.len() >= KEYS_MAX;
        let destination = names.destination;
        let quarantined = self.destinations.is_quarantined(destination);
        // Whoever was nacked and is not in a pause waits for somebody else.
        let paused = self.destinations.has_nacked(destination) && !self.pauses.is_empty();
        let waits_there = self.put_back.destinations.contains(&destination)
            || (crowded && (quarantined || paused));
        // Somebody must be in memory to be tried for it.
        let silent = waits_there && (!quarantined || self.is_tried(destination));
        let held = crowded && self.holds.holds_order(&message.draft);
        let asked = crowded && self.holds.holds_exchange(&message.draft.exchange);
        if !must && (full || !(silent || held || asked)) {
            return false;
        }
        if silent {
            self.put_back.destinations.insert(destination);
        }
        if !must && let Some(waits_for) = self.waits_for(one, names) {
            self.put_back.waits.insert(names.key, waits_for);
        }
        let put_back = &mut self.put_back;
        put_back.note(names.key, one.turn);
        self.backlog.forget(message.footprint_bytes());
        true
    }

    /// What it would wait for behind its order key or destination.
    fn waits_for(&self, one: &Pending, names: Names) -> Option<WaitsFor> {
        if self.holds.holds_order(&one.message.draft) {
            return Some(WaitsFor::Order);
        }
        let destination = names.destination;
        let silent = self.is_tried(destination);
        silent.then_some(WaitsFor::Destination(destination))
    }

    /// Whether the destination is in quarantine with somebody in memory who is tried for it: all others may wait
    /// for that one.
    fn is_tried(&self, destination: Name) -> bool {
        let waiting = self.destinations.candidates(destination);
        waiting.is_some_and(|(_, waiting)| {
            let mut waiting = waiting.iter();
            waiting.any(|(place, row)| {
                let entry = self.entries.get(row);
                entry.is_some_and(|entry| self.holds.is_first(&entry.message.draft, *place))
            })
        })
    }

    /// Whether a message of this key was put back and not read again.
    pub(super) fn is_put_back(&self, key: OrderKey<'_>, turn: Turn) -> bool {
        let name = self.destinations.name(key.exchange, key.key);
        self.put_back.last >= Some(turn) && self.put_back.has(name, turn)
    }

    /// Whether it is worth to read what was put back.
    pub(super) fn wants_back(&self) -> bool {
        let put_back = &self.put_back;
        !self.halted
            && !put_back.keys.is_empty()
            && !self.backlog.is_full(self.settings.memory)
            && (put_back.pass.is_some() || (put_back.stirred && self.has_room_for_ready()))
    }

    /// Begins or goes on with reading what was put back.
    pub(super) fn read_back(&mut self) -> Option<Reading> {
        if self.put_back.pass.is_none() && !self.begin_pass() {
            self.backlog.reading_is_over();
            return None;
        }
        let (pass, last) = (self.put_back.pass.as_ref()?, self.put_back.last?);
        Some(Reading {
            after: Some(pass.to),
            messages_max: READ_MESSAGES_MAX,
            bytes_max: self.settings.memory.bytes_max / 16,
            tip: last,
            again: true,
        })
    }

    /// What waits for silent destinations, or for others, is left out; false when that is everything.
    fn begin_pass(&mut self) -> bool {
        let mut known = std::mem::take(&mut self.put_back.waits);
        known.retain(|_, waits_for| match waits_for {
            WaitsFor::Order => true,
            WaitsFor::Destination(name) => self.is_tried(*name),
        });
        let destinations = &self.destinations;
        let put_back = &mut self.put_back;
        put_back.waits = known;
        put_back.stirred = false;
        put_back
            .destinations
            .retain(|name| destinations.is_quarantined(*name));
        let waits = |key: &Name| put_back.waits.contains_key(key);
        let first = put_back.keys.iter().filter(|(key, _)| !waits(key));
        let Some(first) = first.map(|(_, turn)| *turn).min() else {
            return false;
        };
        let still = put_back.keys.extract_if(|key, _| waits(key)).collect();
        put_back.pass = Some(Pass {
            to: Turn::from_stored(first.get() - 1),
            still,
        });
        true
    }

    /// The answer to such a reading.
    pub(super) fn taken_back(&mut self, asked: Reading, read: Vec<Pending>) {
        let last = self.put_back.last;
        // What was put back since the question may have been committed since the reading.
        let over = match read.last() {
            Some(one) => Some(one.turn) >= last,
            None => last <= Some(asked.tip),
        };
        for one in read {
            let turn = one.turn;
            if Some(turn) > last {
                break;
            }
            if self
                .put_back
                .pass
                .as_ref()
                .is_none_or(|pass| turn <= pass.to)
            {
                continue;
            }
            let names = self.destinations.names(&one.message.draft);
            let noted = self.put_back.keys.get(&names.key);
            let is_it = noted.is_some_and(|from| *from <= turn) && !self.withdrawn.has(turn);
            let full = !self.has_room_for_ready() || self.backlog.is_full(self.settings.memory);
            let waits_for = self.waits_for(&one, names);
            let asked = self.holds.holds_exchange(&one.message.draft.exchange);
            let waits = asked || waits_for.is_some();
            if is_it && full && !waits {
                self.end_pass(Some(turn));
                return;
            }
            let put_back = &mut self.put_back;
            let Some(pass) = put_back.pass.as_mut() else {
                return;
            };
            pass.to = turn;
            if !is_it || pass.still.contains_key(&names.key) {
                continue;
            }
            if waits {
                pass.still.insert(names.key, turn);
                if let Some(WaitsFor::Destination(name)) = waits_for {
                    put_back.destinations.insert(name);
                }
                let known = waits_for.map(|waits_for| (names.key, waits_for));
                put_back.waits.extend(known);
                continue;
            }
            self.backlog.take_back(one.message.footprint_bytes());
            let row = one.message.id.row();
            let place = self.enter(one);
            self.again.insert(place, row);
        }
        if over {
            self.end_pass(None);
        }
    }

    /// Everything was read up to `before`, or all of it.
    fn end_pass(&mut self, before: Option<Turn>) {
        let put_back = &mut self.put_back;
        let Some(pass) = put_back.pass.take() else {
            return;
        };
        let rest = std::mem::replace(&mut put_back.keys, pass.still);
        if let Some(before) = before {
            for (key, from) in rest {
                put_back.keys.entry(key).or_insert(from.max(before));
            }
            put_back.stirred = true;
        }
        if put_back.keys.is_empty() {
            put_back.destinations.clear();
            put_back.waits.clear();
            put_back.last = None;
        }
    }
}

/// So many sixteenths of `max`.
pub(super) fn share(max: usize, sixteenths: usize) -> usize {
    match max.checked_mul(sixteenths) {
        Some(all) => all.div_ceil(16),
        None => max / 16 * sixteenths,
    }
}
