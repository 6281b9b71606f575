//! Messages that were never looked at, in the order of their turns.
//!
//! One that is taken out of the middle leaves a gap. Gaps never outnumber what is left, so that
//! taking out costs little and what has gone takes no memory.

use std::collections::VecDeque;

use crate::domain::Turn;
use crate::store::Pending;

/// So few gaps are not worth closing.
const GAPS_MIN: usize = 32;

/// See the module. The first slot is never a gap.
#[derive(Default)]
pub(super) struct Fresh {
    slots: VecDeque<Slot>,
    gaps: usize,
}

struct Slot {
    turn: Turn,
    pending: Option<Pending>,
}

impl Fresh {
    /// Adds a message whose turn comes after all others.
    pub(super) fn push(&mut self, pending: Pending) {
        self.slots.push_back(Slot {
            turn: pending.turn,
            pending: Some(pending),
        });
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<&Pending> {
        self.slots.front()?.pending.as_ref()
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<Pending> {
        let pending = self.slots.pop_front()?.pending;
        self.trim();
        pending
    }

    /// The message with this turn.
    pub(super) fn get(&self, turn: Turn) -> Option<&Pending> {
        self.slots[self.find(turn)?].pending.as_ref()
    }

    /// Takes out the message with this turn.
    pub(super) fn take(&mut self, turn: Turn) -> Option<Pending> {
        let place = self.find(turn)?;
        let pending = self.slots[place].pending.take()?;
        self.gaps += 1;
        self.trim();
        if self.gaps >= GAPS_MIN && self.gaps > self.slots.len() / 2 {
            self.slots.retain(|slot| slot.pending.is_some());
            self.gaps = 0;
        }
        Some(pending)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.gaps
    }

    fn find(&self, turn: Turn) -> Option<usize> {
        self.slots
            .binary_search_by_key(&turn, |slot| slot.turn)
            .ok()
    }

    fn trim(&mut self) {
        while self
            .slots
            .front()
            .is_some_and(|slot| slot.pending.is_none())
        {
            self.slots.pop_front();
            self.gaps -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Caller, Draft, Message, MessageId, Properties, RowId, WallTime};

    fn pending(turn: u64) -> Pending {
        Pending {
            message: Arc::new(Message {
                id: MessageId::from_parts(RowId::from_stored(turn), 0),
                accepted_at: WallTime::default(),
                draft: Draft {
                    caller: Caller::default(),
                    exchange: "".into(),
                    routing_key: "a".into(),
                    mandatory: true,
                    ordering_key: None,
                    properties: Properties::default(),
                    payload: "p".into(),
                    terms: None,
                },
            }),
            turn: Turn::from_stored(turn),
            replays: 0,
            duplicate_possible: false,
            attempts: 0,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_is_taken_out_the_rest_stays_in_order_and_little_memory_is_left_behind(
            deeds in prop::collection::vec((0..3_u8, any::<prop::sample::Index>()), 0..400),
        ) {
            let (mut fresh, mut model, mut last) = (Fresh::default(), BTreeSet::new(), 0);
            for (deed, which) in deeds {
                match deed {
                    0 => for _ in 0..3 {
                        last += 1;
                        fresh.push(pending(last));
                        model.insert(last);
                    },
                    1 => {
                        let first = fresh.pop().map(|one| one.turn.get());
                        prop_assert_eq!(first, model.pop_first());
                    }
                    _ => {
                        let turn = which.index(usize::try_from(last).expect("few") + 1) as u64;
                        let there = model.remove(&turn);
                        let turn = Turn::from_stored(turn);
                        prop_assert_eq!(fresh.get(turn).is_some(), there);
                        prop_assert_eq!(fresh.take(turn).map(|one| one.turn), there.then_some(turn));
                        prop_assert!(fresh.take(turn).is_none());
                    }
                }
                prop_assert_eq!(fresh.len(), model.len());
                prop_assert_eq!(fresh.first().map(|one| one.turn.get()), model.first().copied());
                prop_assert_eq!(fresh.is_empty(), model.is_empty());
                prop_assert!(fresh.slots.len() <= 2 * model.len() + GAPS_MIN);
            }
        }
    }
}
