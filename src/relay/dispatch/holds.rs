//! Keys that are held, and the messages that wait behind them.

use std::collections::{BTreeMap, HashMap};

use crate::domain::order::OrderKey;
use crate::domain::{Draft, RowId};

/// Messages by their place in the order.
pub(super) type Row = BTreeMap<u64, RowId>;

/// Who waits for whom within an order key.
#[derive(Debug, Default)]
struct OrderHold {
    /// Who is waited for: suspects, and messages of an explicit key that were nacked. Each stays
    /// until it is settled or no longer holds the key; later ones of the key wait for the first.
    heads: Row,
    /// Who waits, heads whose turn has not come included. All are later than the first head.
    waiting: Row,
}

impl OrderHold {
    fn first(&self) -> Option<(u64, RowId)> {
        self.heads
            .first_key_value()
            .map(|(place, row)| (*place, *row))
    }
}

/// What a message waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeptBy {
    /// Word of its exchange.
    Exchange,
    /// Earlier ones of its order key.
    Order,
}

/// Everything that is held. Names come from callers, hence hash maps with a random seed.
#[derive(Debug, Default)]
pub(super) struct Holds {
    exchanges: HashMap<Box<str>, Row>,
    orders: HashMap<Box<str>, HashMap<Box<str>, OrderHold>>,
}

impl Holds {
    /// Keeps the message if its exchange is held, or if an earlier one of its order key holds that.
    pub(super) fn keep(&mut self, draft: &Draft, place: u64, row: RowId) -> Option<KeptBy> {
        if self.is_empty() {
            return None;
        }
        if let Some(waiting) = self.exchanges.get_mut(&draft.exchange) {
            waiting.insert(place, row);
            return Some(KeptBy::Exchange);
        }
        let hold = self.order_mut(draft)?;
        let waits = hold.first().is_some_and(|(first, _)| first < place);
        waits.then(|| {
            hold.waiting.insert(place, row);
            KeptBy::Order
        })
    }

    /// Holds an exchange, with its first message.
    pub(super) fn hold_exchange(&mut self, exchange: &str, place: u64, row: RowId) {
        self.exchanges
            .entry(exchange.into())
            .or_default()
            .insert(place, row);
    }

    /// Ends the hold of an exchange and gives those who waited.
    pub(super) fn release_exchange(&mut self, exchange: &str) -> Row {
        self.exchanges.remove(exchange).unwrap_or_default()
    }

    /// The message holds its order key from now on. Gives the place of the one that was the first to
    /// do so and is no longer.
    pub(super) fn hold_order(&mut self, draft: &Draft, place: u64, row: RowId) -> Option<u64> {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        let hold = self
            .orders
            .entry(exchange.into())
            .or_default()
            .entry(key.into())
            .or_default();
        let was_first = hold.first();
        hold.heads.insert(place, row);
        was_first
            .map(|(first, _)| first)
            .filter(|first| place < *first)
    }

    /// The message no longer holds its order key, if it did. Gives those who waited for it alone, and
    /// the one that is the first to hold the key now.
    pub(super) fn let_order_go(
        &mut self,
        draft: &Draft,
        place: u64,
    ) -> (Row, Option<(u64, RowId)>) {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        let nobody = (Row::new(), None);
        let Some(keys) = self.orders.get_mut(exchange) else {
            return nobody;
        };
        let Some(hold) = keys.get_mut(key) else {
            return nobody;
        };
        if hold.heads.remove(&place).is_none() {
            return nobody;
        }
        let first = hold.first();
        let later = first.map_or_else(Row::new, |(first, _)| hold.waiting.split_off(&(first + 1)));
        let free = std::mem::replace(&mut hold.waiting, later);
        if first.is_none() {
            keys.remove(key);
            if keys.is_empty() {
                self.orders.remove(exchange);
            }
        }
        (free, first)
    }

    /// The message does not wait any more, if it did.
    pub(super) fn wait_no_more(&mut self, draft: &Draft, place: u64) {
        if let Some(waiting) = self.exchanges.get_mut(&draft.exchange) {
            waiting.remove(&place);
        }
        if let Some(hold) = self.order_mut(draft) {
            hold.waiting.remove(&place);
        }
    }

    /// Whether the exchange is held.
    pub(super) fn holds_exchange(&self, exchange: &str) -> bool {
        self.exchanges.contains_key(exchange)
    }

    /// Whether somebody holds the order key.
    pub(super) fn holds_order(&self, draft: &Draft) -> bool {
        self.order(draft).is_some()
    }

    /// Whether the message is the first to hold its order key.
    pub(super) fn is_first(&self, draft: &Draft, place: u64) -> bool {
        let first = self.order(draft).and_then(OrderHold::first);
        first.is_some_and(|(first, _)| first == place)
    }

    /// Takes out those of an order key that wait and come before `place`.
    pub(super) fn take_earlier(&mut self, draft: &Draft, place: u64) -> Row {
        let Some(hold) = self.order_mut(draft) else {
            return Row::new();
        };
        let later = hold.waiting.split_off(&place);
        std::mem::replace(&mut hold.waiting, later)
    }

    /// Those that hold the order key and come after `place`, the last one first.
    pub(super) fn later_heads(&self, draft: &Draft, place: u64) -> impl Iterator<Item = RowId> {
        let heads = self.order(draft).map(|hold| hold.heads.range(place + 1..));
        heads.into_iter().flatten().rev().map(|(_, row)| *row)
    }

    fn order(&self, draft: &Draft) -> Option<&OrderHold> {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        self.orders.get(exchange)?.get(key)
    }

    fn order_mut(&mut self, draft: &Draft) -> Option<&mut OrderHold> {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        self.orders.get_mut(exchange)?.get_mut(key)
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.orders.is_empty()
    }
}
