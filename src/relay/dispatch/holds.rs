//! Keys that are held, and the messages that wait behind them.

use std::collections::{BTreeMap, HashMap};

use crate::domain::order::OrderKey;
use crate::domain::{Draft, RowId};

/// Messages by their place in the order.
pub(super) type Row = BTreeMap<u64, RowId>;

/// Why an order key is held, and who waits.
#[derive(Debug, Default)]
pub(super) struct OrderHold {
    /// Who waits.
    pub(super) waiting: Row,
    /// Messages of this key that are to be tried alone.
    pub(super) suspects: usize,
    /// The one message of an explicit key that goes out again after a nack while the others wait.
    pub(super) retrying: Option<RowId>,
}

impl OrderHold {
    fn is_over(&self) -> bool {
        self.suspects == 0 && self.retrying.is_none()
    }
}

/// Everything that is held. Names come from callers, hence hash maps with a random seed.
#[derive(Debug, Default)]
pub(super) struct Holds {
    exchanges: HashMap<Box<str>, Row>,
    orders: HashMap<Box<str>, HashMap<Box<str>, OrderHold>>,
}

impl Holds {
    /// Keeps the message if its exchange or order key is held. The one that is being retried passes.
    pub(super) fn keep(&mut self, draft: &Draft, place: u64, row: RowId) -> bool {
        if self.exchanges.is_empty() && self.orders.is_empty() {
            return false;
        }
        if let Some(waiting) = self.exchanges.get_mut(&draft.exchange) {
            waiting.insert(place, row);
            return true;
        }
        match self.order(draft) {
            Some(hold) if hold.retrying != Some(row) => {
                hold.waiting.insert(place, row);
                true
            }
            _ => false,
        }
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

    /// The hold of a message's order key, made if there is none.
    pub(super) fn hold_order(&mut self, draft: &Draft) -> &mut OrderHold {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        self.orders
            .entry(exchange.into())
            .or_default()
            .entry(key.into())
            .or_default()
    }

    /// The hold of a message's order key, if it is held.
    pub(super) fn order(&mut self, draft: &Draft) -> Option<&mut OrderHold> {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        self.orders.get_mut(exchange)?.get_mut(key)
    }

    /// Ends the hold of a message's order key if nothing holds it any longer, and gives those who
    /// waited.
    pub(super) fn release_order(&mut self, draft: &Draft) -> Row {
        let OrderKey { exchange, key } = OrderKey::of(draft);
        let Some(keys) = self.orders.get_mut(exchange) else {
            return Row::new();
        };
        if !keys.get(key).is_some_and(OrderHold::is_over) {
            return Row::new();
        }
        let hold = keys.remove(key).unwrap_or_default();
        if keys.is_empty() {
            self.orders.remove(exchange);
        }
        hold.waiting
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.orders.is_empty()
    }
}
