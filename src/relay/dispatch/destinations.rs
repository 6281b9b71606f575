//! Where messages go, by exchange and routing key: who answers there, and who is in quarantine.
//!
//! Names come from callers and may be many, so only their hashes are kept, under a random key. Two
//! names with the same hash (one chance in 2^64) share their fate, which costs time and nothing else.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::holds::Row;
use crate::domain::order::OrderKey;
use crate::domain::{Draft, RowId};

/// Destinations that are remembered, beyond those of messages in memory, before idle ones go.
const IDLE_MAX: usize = 4096;

/// A destination, or an order key, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(u64);

/// The names that a message goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// Exchange and routing key.
    pub(super) destination: Name,
    /// What it keeps its order by; mostly the same.
    pub(super) key: Name,
}

/// Who is tried when, and in what order those that are due.
type Turns = BTreeSet<(Instant, u64, Name)>;

/// Since when a destination is in quarantine, and how it was tried.
#[derive(Debug)]
struct Quarantine {
    /// Who waits to be tried: of each order key the first.
    waiting: Row,
    /// Tries that were not answered.
    tries: u32,
    /// When it is tried next, and who comes first among those that are due.
    due: Instant,
    rank: u64,
    /// A try is in flight.
    probing: bool,
}

#[derive(Debug, Default)]
struct Destination {
    /// Messages in memory that go by this name.
    users: usize,
    /// Of those that go there, so many are in flight on the lane.
    open: usize,
    /// Of those that keep their order by it, so many were handed over on the lane and go on there.
    under_way: usize,
    /// Since when the ones in flight wait for a word: the last answer, or the first hand-over since
    /// there was nobody.
    waiting_since: Option<Instant>,
    answered_at: Option<Instant>,
    quarantine: Option<Box<Quarantine>>,
    /// Messages that were nacked and have not ended.
    nacked: usize,
    /// The connection of the lane, by its number, on which the destination last took a message.
    accepted_on: u32,
}

/// All destinations of a lane.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    hasher: RandomState,
    all: FxHashMap<Name, Destination>,
    /// Idle ones are dropped when there are so many more than [`IDLE_MAX`].
    sweep_beyond: usize,
    /// Those in quarantine that have somebody to be tried, in the order of their turns.
    turns: Turns,
    last_rank: u64,
    quarantined: usize,
    probing: usize,
    /// In flight on the lane.
    open: usize,
    /// The number of the lane's connection, from 1.
    connection: u32,
}

impl Destinations {
    /// A message has come into memory.
    pub(super) fn enter(&mut self, draft: &Draft) -> Names {
        let Names { destination, key } = self.names(draft);
        if self.all.len() > self.sweep_beyond + IDLE_MAX {
            self.sweep();
        }
        self.all.entry(destination).or_default().users += 1;
        if key != destination {
            self.all.entry(key).or_default().users += 1;
        }
        Names { destination, key }
    }

    /// The names of a message that is not in memory.
    pub(super) fn names(&self, draft: &Draft) -> Names {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        let destination = self.name(exchange, &draft.routing_key);
        let key = match draft.ordering_key {
            Some(_) => self.name(exchange, key),
            None => destination,
        };
        Names { destination, key }
    }

    /// The name of an exchange with a routing key or ordering key.
    pub(super) fn name(&self, exchange: &str, key: &str) -> Name {
        Name(self.hasher.hash_one((exchange, key)))
    }

    /// A message that goes there was nacked for the first time.
    pub(super) fn nacked(&mut self, name: Name) {
        self.change(name, |one| one.nacked += 1);
    }

    /// It has ended.
    pub(super) fn nacked_left(&mut self, name: Name) {
        self.change(name, |one| one.nacked -= 1);
    }

    /// It has left it for good.
    pub(super) fn leave(&mut self, names: Names) {
        for name in [Some(names.destination), names.other_key()]
            .into_iter()
            .flatten()
        {
            let Some(one) = self.all.get_mut(&name) else {
                continue;
            };
            one.users -= 1;
            if one.users == 0 {
                drop(self.release(name));
            }
        }
    }

    fn sweep(&mut self) {
        self.all.retain(|_, one| one.users > 0);
        self.sweep_beyond = self.all.len() * 2;
    }

    /// A message was handed over on the lane; `again` when it was counted as under way before.
    pub(super) fn handed_over(&mut self, names: Names, again: bool, now: Instant) {
        if let Some(one) = self.all.get_mut(&names.destination) {
            if one.open == 0 {
                one.waiting_since = Some(now);
            }
            one.open += 1;
            self.open += 1;
            if !again && names.key == names.destination {
                one.under_way += 1;
            }
        }
        if !again && let Some(key) = names.other_key() {
            self.change(key, |key| key.under_way += 1);
        }
    }

    /// A hand-over on the lane has ended.
    pub(super) fn landed(&mut self, names: Names) {
        if let Some(one) = self.all.get_mut(&names.destination) {
            one.open -= 1;
            self.open -= 1;
        }
    }

    /// How many are in flight on the lane.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// The lane has a new connection.
    pub(super) fn connected(&mut self) {
        self.connection = self.connection.wrapping_add(1);
    }

    /// The destination has taken a message on the lane's connection, or the exchange has returned it.
    pub(super) fn accepted(&mut self, name: Name) {
        let connection = self.connection;
        self.change(name, |one| one.accepted_on = connection);
    }

    /// Whether it ever has on this connection.
    pub(super) fn accepts(&self, name: Name) -> bool {
        let one = self.all.get(&name);
        one.is_some_and(|one| one.accepted_on == self.connection)
    }

    /// Whether messages that go there were nacked and have not ended.
    pub(super) fn has_nacked(&self, name: Name) -> bool {
        self.all.get(&name).is_some_and(|one| one.nacked > 0)
    }

    /// The broker has spoken of a message that went there.
    pub(super) fn answered(&mut self, name: Name, now: Instant) {
        self.change(name, |one| {
            one.waiting_since = Some(now);
            one.answered_at = Some(now);
        });
    }

    /// A message that was handed over on the lane is no longer to go before later ones of its key.
    pub(super) fn not_under_way(&mut self, names: Names) {
        self.change(names.key, |one| one.under_way -= 1);
    }

    /// Whether messages of this order key are on their way over the lane.
    pub(super) fn is_under_way(&self, key: Name) -> bool {
        self.all.get(&key).is_some_and(|one| one.under_way > 0)
    }

    /// Since when the destination that has waited longest waits for a word.
    pub(super) fn longest_wait(&self) -> Option<Instant> {
        let waiting = self.all.values().filter(|one| one.open > 0);
        waiting.filter_map(|one| one.waiting_since).min()
    }

    /// Those that have something in flight and were silent since `since`: whoever has waited longest
    /// comes last, and who was heard of lately first.
    pub(super) fn silent_since(&self, since: Instant) -> Vec<Name> {
        let mut silent: Vec<_> = self
            .all
            .iter()
            .filter(|(_, one)| one.open > 0 && one.answered_at.is_none_or(|at| at <= since))
            .map(|(name, one)| {
                let first = one.waiting_since <= Some(since);
                (first, std::cmp::Reverse(one.answered_at), *name)
            })
            .collect();
        silent.sort_unstable();
        silent.into_iter().map(|(.., name)| name).collect()
    }

    /// Whether the one with this name is among those that began to wait at `since` or before.
    pub(super) fn waits_since(&self, name: Name, since: Instant) -> bool {
        let one = self.all.get(&name);
        one.is_some_and(|one| one.open > 0 && one.waiting_since <= Some(since))
    }

    /// Puts a destination into quarantine, to be tried at `due`, after so many tries.
    pub(super) fn quarantine(&mut self, name: Name, due: Instant, tries: u32) {
        self.last_rank += 1;
        let rank = self.last_rank;
        let Some(one) = self.all.get_mut(&name) else {
            return;
        };
        if one.quarantine.is_none() {
            self.quarantined += 1;
            one.quarantine = Some(Box::new(Quarantine {
                waiting: Row::new(),
                tries,
                due,
                rank,
                probing: false,
            }));
        }
    }

    pub(super) fn is_quarantined(&self, name: Name) -> bool {
        self.quarantined > 0
            && self
                .all
                .get(&name)
                .is_some_and(|one| one.quarantine.is_some())
    }

    /// A message waits to be tried.
    pub(super) fn wait(&mut self, name: Name, place: u64, row: RowId) {
        let Some((quarantine, turns)) = self.quarantine_of(name) else {
            return;
        };
        quarantine.waiting.insert(place, row);
        if !quarantine.probing {
            turns.insert((quarantine.due, quarantine.rank, name));
        }
    }

    /// It no longer does.
    pub(super) fn wait_no_more(&mut self, name: Name, place: u64) {
        let Some((quarantine, turns)) = self.quarantine_of(name) else {
            return;
        };
        quarantine.waiting.remove(&place);
        if quarantine.waiting.is_empty() {
            turns.remove(&(quarantine.due, quarantine.rank, name));
        }
    }

    /// Ends the quarantine and gives those who waited.
    pub(super) fn release(&mut self, name: Name) -> Row {
        let Some(quarantine) = self
            .all
            .get_mut(&name)
            .and_then(|one| one.quarantine.take())
        else {
            return BTreeMap::new();
        };
        self.turns.remove(&(quarantine.due, quarantine.rank, name));
        self.quarantined -= 1;
        self.probing -= usize::from(quarantine.probing);
        quarantine.waiting
    }

    /// Whose turn it is, if it has come.
    pub(super) fn first_due(&self, now: Instant) -> Option<Name> {
        let (due, _, name) = self.turns.first()?;
        (*due <= now).then_some(*name)
    }

    /// Those who can be tried for a destination, and how often it was tried in vain.
    pub(super) fn candidates(&self, name: Name) -> Option<(u32, &Row)> {
        let quarantine = self.all.get(&name)?.quarantine.as_deref()?;
        Some((quarantine.tries, &quarantine.waiting))
    }

    /// A try is in flight.
    pub(super) fn probing(&mut self, name: Name) {
        if let Some((quarantine, turns)) = self.quarantine_of(name) {
            turns.remove(&(quarantine.due, quarantine.rank, name));
            quarantine.probing = true;
            self.probing += 1;
        }
    }

    /// It has ended without an answer, and the next is at `due`.
    pub(super) fn probed(&mut self, name: Name) {
        if let Some((quarantine, _)) = self.quarantine_of(name)
            && std::mem::take(&mut quarantine.probing)
        {
            self.probing -= 1;
        }
    }

    /// Another turn, behind all others that are due then; `tries` were in vain by now.
    pub(super) fn turn_at(&mut self, name: Name, due: Instant, tries: u32) {
        self.last_rank += 1;
        let rank = self.last_rank;
        if let Some((quarantine, turns)) = self.quarantine_of(name) {
            turns.remove(&(quarantine.due, quarantine.rank, name));
            (quarantine.due, quarantine.rank, quarantine.tries) = (due, rank, tries);
            if !quarantine.probing && !quarantine.waiting.is_empty() {
                turns.insert((due, rank, name));
            }
        }
    }

    /// How many are in quarantine.
    pub(super) fn quarantined(&self) -> usize {
        self.quarantined
    }

    /// Tries in flight, and destinations whose turn has come, counted up to `count_max`.
    pub(super) fn wanted(&self, now: Instant, count_max: usize) -> usize {
        let due = self.turns.iter().take_while(|(due, ..)| *due <= now);
        self.probing + due.take(count_max).count()
    }

    /// When the next turn comes.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.turns.first().map(|(due, ..)| *due)
    }

    fn quarantine_of(&mut self, name: Name) -> Option<(&mut Quarantine, &mut Turns)> {
        let quarantine = self.all.get_mut(&name)?.quarantine.as_deref_mut()?;
        Some((quarantine, &mut self.turns))
    }

    fn change(&mut self, name: Name, change: impl FnOnce(&mut Destination)) {
        if let Some(one) = self.all.get_mut(&name) {
            change(one);
        }
    }
}

impl Names {
    /// The order key, where it is not the destination.
    fn other_key(self) -> Option<Name> {
        (self.key != self.destination).then_some(self.key)
    }
}
