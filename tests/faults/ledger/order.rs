//! Whether the first deliveries of each key are in the order of acceptance.
//!
//! What is compared was accepted for certain, one after the other: a writer sends the next request after
//! the answer to the one before. Scheduled and replayed messages have places of their own. Of messages
//! without an explicit ordering key, those that may have been nacked have lost their place: that is who
//! was tried again, and was under way when a queue may have lost its leader.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{Fate, Index, OrderKey, Sent, Tag, Violation};

/// How long after the loss of its leader a queue may nack.
const NACKS_AFTER_MS: u64 = 30_000;

pub(super) fn check(index: &Index<'_>, all: &mut Vec<Violation>) {
    let first = first_places(index);
    let mut by_key: BTreeMap<OrderKey, Vec<(&Sent, Uuid)>> = BTreeMap::new();
    let mut by_writer: BTreeMap<u16, Vec<(&Sent, Uuid)>> = BTreeMap::new();
    for sent in &index.books.sent {
        let Fate::Accepted(id) = sent.fate() else {
            continue;
        };
        by_writer
            .entry(sent.tag.writer)
            .or_default()
            .push((sent, id));
        if let Some(key) = sent.order {
            by_key.entry(key).or_default().push((sent, id));
        }
    }
    for sent in by_writer.values_mut() {
        sent.sort_by_key(|(sent, _)| sent.tag);
        ids_grow(sent, all);
    }
    for (key, mut sent) in by_key {
        sent.sort_by_key(|(sent, _)| sent.tag);
        sent.retain(|(sent, id)| has_its_place(index, sent, *id));
        firsts_grow(key, &sent, &first, all);
    }
}

/// Where each message came first, in each queue that it came to.
type Firsts = HashMap<Uuid, BTreeMap<u8, usize>>;

fn first_places(index: &Index<'_>) -> Firsts {
    let mut first = Firsts::new();
    for (place, copy) in index.books.copies.iter().enumerate() {
        let places = first.entry(copy.id).or_default();
        places.entry(copy.queue).or_insert(place);
    }
    first
}

fn has_its_place(index: &Index<'_>, sent: &Sent, id: Uuid) -> bool {
    let Some(told) = index.told.get(&id) else {
        return false;
    };
    let arrived = index.copies(id).first().map(|copy| copy.at_ms);
    let (Some(arrived), 0) = (arrived, told.replays) else {
        return false;
    };
    let explicit = sent.order.is_some_and(|key| key.explicit);
    let leader_lost =
        |(from, to): &(u64, u64)| sent.at_ms <= to + NACKS_AFTER_MS && arrived >= *from;
    explicit || told.attempts <= 1 || !index.books.leader_losses.iter().any(leader_lost)
}

fn firsts_grow(key: OrderKey, sent: &[(&Sent, Uuid)], first: &Firsts, all: &mut Vec<Violation>) {
    let mut queues: BTreeMap<u8, Vec<(&Sent, usize)>> = BTreeMap::new();
    for (sent, id) in sent {
        for (queue, place) in first.get(id).into_iter().flatten() {
            queues.entry(*queue).or_default().push((sent, *place));
        }
    }
    for places in queues.values() {
        for (earlier, later) in broken(places) {
            all.push(Violation::OutOfOrder {
                key,
                earlier,
                later,
            });
        }
    }
}

/// Ids are in the order of acceptance.
fn ids_grow(sent: &[(&Sent, Uuid)], all: &mut Vec<Violation>) {
    for (earlier, later) in broken(sent) {
        all.push(Violation::IdsOutOfOrder { earlier, later });
    }
}

/// Who is not behind all that was accepted before it. What is in one request was accepted in its order,
/// but for what was refused at first, or raced with a repeat: its place in there is not known.
fn broken<T: Copy + Ord>(all: &[(&Sent, T)]) -> Vec<(Tag, Tag)> {
    let mut wrong = Vec::new();
    let mut before: Option<(T, Tag)> = None;
    for request in all.chunk_by(|one, other| one.0.request == other.0.request) {
        let mut last = before;
        for (sent, place) in request {
            let floor = if sent.in_place { last } else { before };
            if let Some((_, earlier)) = floor.filter(|(floor, _)| floor > place) {
                wrong.push((earlier, sent.tag));
            }
            let this = Some((*place, sent.tag));
            if sent.in_place {
                last = last.max(this);
            }
        }
        let ends = request.iter().map(|(sent, place)| (*place, sent.tag));
        before = before.max(ends.max());
    }
    wrong
}
