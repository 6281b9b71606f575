//! A store that counts how often it is asked for outcomes, and is asked for nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::domain::{Caller, MessageId, RowId, Turn, WallTime};
use crate::store::memory::MemoryStore;
use crate::store::{
    BulkReplay, Facts, Filter, Lookup, Oldest, OutcomesPage, Page, PageSize, PayloadLookup,
    Pending, ReadStore, StoreError, Tally, UsedKey,
};

/// See the module.
pub(super) struct Counted {
    store: MemoryStore,
    pub(super) pages: AtomicUsize,
}

impl Counted {
    pub(super) fn new(store: MemoryStore) -> Self {
        Self {
            store,
            pages: AtomicUsize::new(0),
        }
    }
}

impl ReadStore for Counted {
    fn outcomes(&self, after: u64, entries_max: usize) -> Result<OutcomesPage, StoreError> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        self.store.outcomes(after, entries_max)
    }

    fn used_keys(
        &self,
        keys: &[(Caller, Box<str>)],
        since: WallTime,
    ) -> Result<Vec<Option<UsedKey>>, StoreError> {
        self.store.used_keys(keys, since)
    }

    fn get(&self, _: MessageId) -> Result<Lookup, StoreError> {
        unreachable!()
    }

    fn get_many(&self, _: &[MessageId]) -> Result<Vec<Lookup>, StoreError> {
        unreachable!()
    }

    fn payload(&self, _: MessageId) -> Result<PayloadLookup, StoreError> {
        unreachable!()
    }

    fn list(&self, _: &Filter, _: Option<RowId>, _: PageSize) -> Result<Page, StoreError> {
        unreachable!()
    }

    fn tally(&self, _: Option<&Caller>) -> Result<Tally, StoreError> {
        unreachable!()
    }

    fn oldest_pending(&self, _: Option<&Caller>, _: usize) -> Result<Oldest, StoreError> {
        unreachable!()
    }

    fn pending(
        &self,
        _: u8,
        _: Option<Turn>,
        _: usize,
        _: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        unreachable!()
    }

    fn unconfirmed(&self, _: &Filter, _: Option<RowId>, _: PageSize) -> Result<Page, StoreError> {
        unreachable!()
    }

    fn group(&self, _: Option<&Caller>, _: &str) -> Result<Option<Tally>, StoreError> {
        unreachable!()
    }

    fn bulk_replay(&self, _: MessageId) -> Result<Option<BulkReplay>, StoreError> {
        unreachable!()
    }

    fn bulk_replays_under_way(&self) -> Result<Vec<BulkReplay>, StoreError> {
        unreachable!()
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        unreachable!()
    }
}
