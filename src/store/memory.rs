//! A store in memory: it survives nothing, and it is the oracle that other stores are tested by.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Lookup, ReadStore, Record, Settlement, StoreError, WriteStore};
use crate::domain::{Message, MessageId, RowId};

/// How much settled history is kept. The oldest settlement goes first.
#[derive(Clone, Copy, Debug)]
pub struct HistoryBudget {
    /// Messages with a final status.
    pub messages_max: usize,
    /// Their bytes, as [`Message::footprint_bytes`] accounts them.
    pub bytes_max: usize,
}

/// A handle; all clones see the same messages.
#[derive(Clone)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
}

struct Kept {
    rows: FxHashMap<RowId, Row>,
    history: VecDeque<RowId>,
    history_bytes: usize,
    /// Everything settled up to here may have been forgotten.
    forgotten_to: Option<RowId>,
    budget: HistoryBudget,
}

struct Row {
    message: Arc<Message>,
    outcome: Option<Box<Settlement>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(budget: HistoryBudget) -> Self {
        let kept = Kept {
            rows: FxHashMap::default(),
            history: VecDeque::new(),
            history_bytes: 0,
            forgotten_to: None,
            budget,
        };
        Self {
            kept: Arc::new(Mutex::new(kept)),
        }
    }
}

impl WriteStore for MemoryStore {
    fn commit(
        &mut self,
        accepted: &[Arc<Message>],
        settled: &[Settlement],
    ) -> Result<(), StoreError> {
        let mut kept = self.kept.lock();
        for message in accepted {
            let row = Row {
                message: Arc::clone(message),
                outcome: None,
            };
            kept.rows.insert(message.id.row(), row);
        }
        for settlement in settled {
            kept.settle(settlement);
        }
        kept.forget();
        Ok(())
    }

    fn survives_restart(&self) -> bool {
        false
    }
}

impl ReadStore for MemoryStore {
    fn get(&self, id: MessageId) -> Result<Lookup, StoreError> {
        let kept = self.kept.lock();
        Ok(match kept.rows.get(&id.row()) {
            Some(row) if row.message.id == id => Lookup::Found(Box::new(row.record())),
            None if kept.forgotten_to.is_some_and(|row| id.row() <= row) => Lookup::Expired,
            _ => Lookup::NotFound,
        })
    }
}

impl Kept {
    fn settle(&mut self, settlement: &Settlement) {
        let row_id = settlement.id.row();
        // A settlement of an unknown message would be a fault of the relay, which counts them.
        let Some(row) = self.rows.get_mut(&row_id) else {
            return;
        };
        if row.outcome.replace(Box::new(settlement.clone())).is_none() {
            self.history.push_back(row_id);
            self.history_bytes += row.message.footprint_bytes();
        }
    }

    fn forget(&mut self) {
        while self.history.len() > self.budget.messages_max
            || self.history_bytes > self.budget.bytes_max
        {
            let Some(oldest) = self.history.pop_front() else {
                return;
            };
            if let Some(row) = self.rows.remove(&oldest) {
                self.history_bytes -= row.message.footprint_bytes();
            }
            self.forgotten_to = self.forgotten_to.max(Some(oldest));
        }
    }
}

impl Row {
    fn record(&self) -> Record {
        let draft = &self.message.draft;
        Record {
            id: self.message.id,
            exchange: draft.exchange.clone(),
            routing_key: draft.routing_key.clone(),
            ordering_key: draft.ordering_key.clone(),
            mandatory: draft.mandatory,
            message_id: draft.properties.message_id.clone(),
            size_bytes: draft.payload.len() as u64,
            accepted_at: self.message.accepted_at,
            replays: 0,
            outcome: self.outcome.as_deref().cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Draft, IdMinter, Properties, Status, WallTime};
    use bytes::Bytes;

    fn messages(count: u64) -> Vec<Arc<Message>> {
        let mut minter = IdMinter::default();
        let message = |at| Message {
            id: minter.mint(WallTime::from_unix_ms(at), at),
            accepted_at: WallTime::from_unix_ms(at),
            draft: Draft {
                exchange: "x".into(),
                routing_key: "k".into(),
                mandatory: true,
                ordering_key: None,
                properties: Properties::default(),
                payload: Bytes::from_static(b"12345"),
            },
        };
        (1..=count).map(message).map(Arc::new).collect()
    }

    fn confirmed(id: MessageId) -> Settlement {
        Settlement {
            id,
            status: Status::Confirmed,
            reason: None,
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: WallTime::from_unix_ms(9),
        }
    }

    fn store(messages_max: usize, bytes_max: usize) -> MemoryStore {
        MemoryStore::new(HistoryBudget {
            messages_max,
            bytes_max,
        })
    }

    #[test]
    fn an_accepted_message_is_pending_until_it_is_settled() {
        let mut store = store(10, usize::MAX);
        let one = messages(1).remove(0);
        store
            .commit(std::slice::from_ref(&one), &[])
            .expect("commit");
        let Ok(Lookup::Found(record)) = store.get(one.id) else {
            panic!("not found")
        };
        assert_eq!((record.outcome, record.size_bytes), (None, 5));
        store.commit(&[], &[confirmed(one.id)]).expect("commit");
        let Ok(Lookup::Found(record)) = store.get(one.id) else {
            panic!("not found")
        };
        assert_eq!(record.outcome, Some(confirmed(one.id)));
    }

    #[test]
    fn an_id_that_only_shares_its_place_is_not_found() {
        let mut store = store(10, usize::MAX);
        let one = messages(1).remove(0);
        store
            .commit(std::slice::from_ref(&one), &[])
            .expect("commit");
        let guessed = MessageId::from_parts(one.id.row(), one.id.random() ^ 1);
        assert_eq!(store.get(guessed), Ok(Lookup::NotFound));
    }

    #[test]
    fn history_is_bounded_and_pending_messages_are_never_forgotten() {
        let mut store = store(3, usize::MAX);
        let all = messages(10);
        store.commit(&all, &[]).expect("commit");
        let settled: Vec<_> = all[1..]
            .iter()
            .map(|message| confirmed(message.id))
            .collect();
        store.commit(&[], &settled).expect("commit");
        assert!(matches!(store.get(all[0].id), Ok(Lookup::Found(_))));
        assert_eq!(store.get(all[1].id), Ok(Lookup::Expired));
        assert_eq!(store.get(all[6].id), Ok(Lookup::Expired));
        assert!(matches!(store.get(all[7].id), Ok(Lookup::Found(_))));
        assert_eq!(store.kept.lock().rows.len(), 4);
    }

    #[test]
    fn history_is_bounded_in_bytes_too() {
        let all = messages(10);
        let mut store = store(usize::MAX, 4 * all[0].footprint_bytes());
        let settled: Vec<_> = all.iter().map(|message| confirmed(message.id)).collect();
        store.commit(&all, &settled).expect("commit");
        assert_eq!(store.kept.lock().rows.len(), 4);
    }
}
