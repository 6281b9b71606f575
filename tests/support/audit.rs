//! The account after an outage: what was accepted, what was told, what is in the queue.

use std::collections::HashMap;

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

/// Panics unless everything that was accepted was told as confirmed and is in the queue, the first
/// copies of each key in the order of acceptance, and whatever is there twice is flagged. Gives how
/// many messages are flagged.
pub fn assert_nothing_lost(accepted: &[(Accepted, Settlement)], arrived: &[Arrived]) -> usize {
    let mut copies: HashMap<String, Vec<&Arrived>> = HashMap::new();
    let mut firsts = Vec::new();
    for one in arrived {
        let id = one.amqpost_id().expect("every message carries its id");
        let copies = copies.entry(id.clone()).or_default();
        if copies.is_empty() {
            firsts.push(id);
        }
        copies.push(one);
    }
    let mut known = HashMap::new();
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
        known.insert(id, message);
    }
    let mut last: HashMap<usize, usize> = HashMap::new();
    for id in firsts {
        let message = known
            .get(&id)
            .unwrap_or_else(|| panic!("{id} is in the queue and was not accepted"));
        if let Some(before) = last.insert(message.key, message.number) {
            let (key, number) = (message.key, message.number);
            assert!(before < number, "{before} of key {key} before {number}");
        }
    }
    flagged
}

fn assert_copies(there: &[&Arrived], told: &Settlement) {
    let plain = there.iter().filter(|one| !one.duplicate_possible()).count();
    assert!(plain <= 1, "{plain} copies without a flag: {told:?}");
    let marked = there.len() - plain;
    assert!(marked == 0 || told.duplicate_possible, "{told:?}");
    assert!(there.len() <= told.attempts as usize, "{told:?}");
}
