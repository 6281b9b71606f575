//! The account after an outage: what was accepted, what was told, what is in the queue.

use std::collections::{HashMap, HashSet};

use amqpost::domain::{MessageId, Status};
use amqpost::store::Settlement;

use super::queues::Arrived;

/// A message that was accepted, as the `number`-th of its key.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its id.
    pub id: MessageId,
    /// What it is to be in order with.
    pub key: usize,
    /// Grows within a key.
    pub number: usize,
}

/// What of the order of a key must be seen in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first copies are in the order of acceptance.
    OfFirstCopies,
    /// Of two messages, some copy of the later one comes after the first of the earlier one. A quorum
    /// queue that loses its leader may lose the middle of what one connection has sent, and puts the
    /// rest in its place once that connection is gone, before anybody can send the middle again.
    OfSomeCopies,
}

/// Panics unless everything that was accepted was told as confirmed and is in the queue, the copies
/// of each key in their order, and whatever is there twice is flagged. Gives how many messages are
/// flagged.
pub fn assert_nothing_lost(
    accepted: &[(Accepted, Settlement)],
    arrived: &[Arrived],
    order: Order,
) -> usize {
    let mut copies: HashMap<String, Vec<&Arrived>> = HashMap::new();
    for one in arrived {
        let id = one.amqpost_id().expect("every message carries its id");
        copies.entry(id).or_default().push(one);
    }
    let mut known = HashSet::new();
    let mut flagged = 0;
    for (message, told) in accepted {
        assert_eq!(told.status, Status::Confirmed, "{told:?}");
        // Nothing was nacked, so a doubt and a further try are the same.
        assert_eq!(told.duplicate_possible, told.attempts > 1, "{told:?}");
        flagged += usize::from(told.duplicate_possible);
        let id = message.id.to_string();
        let there = copies.get(&id).map_or(&[][..], Vec::as_slice);
        assert!(!there.is_empty(), "confirmed and lost: {told:?}");
        assert_copies(there, told);
        known.insert(id);
    }
    for id in arrived.iter().filter_map(Arrived::amqpost_id) {
        assert!(
            known.contains(&id),
            "{id} is in the queue and was not accepted"
        );
    }
    assert_order(accepted, arrived, order);
    flagged
}

fn assert_order(accepted: &[(Accepted, Settlement)], arrived: &[Arrived], order: Order) {
    let (mut first, mut last) = (HashMap::new(), HashMap::new());
    for (place, id) in arrived.iter().filter_map(Arrived::amqpost_id).enumerate() {
        first.entry(id.clone()).or_insert(place);
        last.insert(id, place);
    }
    let mut by_number: Vec<&Accepted> = accepted.iter().map(|(message, _)| message).collect();
    by_number.sort_by_key(|message| message.number);
    let mut before: HashMap<usize, (usize, usize)> = HashMap::new();
    for message in by_number {
        let (id, key, number) = (message.id.to_string(), message.key, message.number);
        let place = match order {
            Order::OfFirstCopies => first[&id],
            Order::OfSomeCopies => last[&id],
        };
        let earlier = before.entry(key).or_insert((first[&id], number));
        assert!(
            earlier.0 <= place,
            "{number} of key {key} before {}",
            earlier.1
        );
        *earlier = (*earlier).max((first[&id], number));
    }
}

fn assert_copies(there: &[&Arrived], told: &Settlement) {
    let plain = there.iter().filter(|one| !one.duplicate_possible()).count();
    assert!(plain <= 1, "{plain} copies without a flag: {told:?}");
    let marked = there.len() - plain;
    assert!(marked == 0 || told.duplicate_possible, "{told:?}");
    assert!(there.len() <= told.attempts as usize, "{told:?}");
}
