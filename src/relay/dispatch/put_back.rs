//! Messages that would only wait, and are left to the store so that others find room in memory.
//!
//! What waits in memory may take a share of it, no more. Beyond that, a message that was never handed
//! over and would wait is *put back*: it is in the store anyway. From then on every later message of
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
/// with less than so much reading what was put back begins,
const READ_BACK_BELOW: usize = 5;
/// and with so much it pauses. It is more, so that those who go on find room beside those who wait.
const READ_BACK_TO: usize = 6;
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

/// What was put back.
#[derive(Debug, Default)]
pub(super) struct PutBack {
    /// By order key: the first turn that is only in the store.
    keys: FxHashMap<Name, Turn>,
    /// Where they wait to go: what else goes there is put back as well.
    destinations: FxHashSet<Name>,
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

    /// A message of these names has ended.
    pub(super) fn somebody_left(&mut self, names: Names) {
        if !self.keys.is_empty()
            && (self.destinations.contains(&names.destination) || self.has_key(names.key))
        {
            self.stirred = true;
        }
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
    /// Whether those who wait take so many sixteenths of the memory.
    fn crowded(&self, sixteenths: usize) -> bool {
        let memory = self.settings.memory;
        let messages = self.entries.len() - self.in_flight;
        let bytes = self.entry_bytes - self.in_flight_bytes;
        messages >= (memory.messages_max / 16).saturating_mul(sixteenths)
            || bytes >= (memory.bytes_max / 16).saturating_mul(sixteenths)
    }

    /// Leaves room in memory for others, should everything in flight be lost.
    pub(super) fn within_memory(&self, room: Room) -> Room {
        let memory = self.settings.memory;
        let messages = (memory.messages_max / 16)
            .saturating_mul(IN_FLIGHT_TO)
            .max(1);
        let bytes = (memory.bytes_max / 16).saturating_mul(IN_FLIGHT_TO);
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
        let crowded = self.crowded(PUT_BACK_FROM);
        if self.put_back.keys.is_empty() && !crowded {
            return false;
        }
        let names = self.destinations.names(&message.draft);
        let put_back = &mut self.put_back;
        let must = put_back.has_key(names.key);
        let full = put_back.keys.len() >= KEYS_MAX;
        let silent = put_back.destinations.contains(&names.destination)
            || (crowded && self.destinations.makes_wait(names.destination));
        let held = crowded && self.holds.holds_order(&message.draft);
        if !must && (full || !(silent || held)) {
            return false;
        }
        if silent {
            put_back.destinations.insert(names.destination);
        }
        put_back.note(names.key, one.turn);
        self.backlog.forget(message.footprint_bytes());
        true
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
            && (put_back.pass.is_some() || (put_back.stirred && !self.crowded(READ_BACK_BELOW)))
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

    /// What waits for silent destinations is left out; false when that is everything.
    fn begin_pass(&mut self) -> bool {
        let put_back = &mut self.put_back;
        put_back.stirred = false;
        let destinations = &self.destinations;
        put_back
            .destinations
            .retain(|name| destinations.is_quarantined(*name));
        let silent = |key: &Name| destinations.is_quarantined(*key);
        let first = put_back.keys.iter().filter(|(key, _)| !silent(key));
        let Some(first) = first.map(|(_, turn)| *turn).min() else {
            return false;
        };
        let still = put_back.keys.extract_if(|key, _| silent(key)).collect();
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
            let full = self.crowded(READ_BACK_TO) || self.backlog.is_full(self.settings.memory);
            if is_it && full {
                self.end_pass(Some(turn));
                return;
            }
            let waits = self.destinations.is_quarantined(names.destination);
            let put_back = &mut self.put_back;
            let Some(pass) = put_back.pass.as_mut() else {
                return;
            };
            pass.to = turn;
            if !is_it || pass.still.contains_key(&names.key) {
                continue;
            }
            if waits {
                put_back.destinations.insert(names.destination);
                pass.still.insert(names.key, turn);
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
            put_back.last = None;
        }
    }
}
