//! A store that does not answer, or only some questions.

use crate::domain::{Caller, MessageId, RowId, Turn, WallTime};
use crate::store::memory::MemoryStore;
use crate::store::{
    BulkReplay, Facts, Filter, Lookup, Oldest, OutcomesPage, Page, PageSize, PayloadLookup,
    Pending, ReadStore, StoreError, Tally, UsedKey,
};

/// What is answered for an id.
type Get = Box<dyn Fn(MessageId) -> Lookup + Send + Sync>;

/// Answers nothing, but for keys and for messages when it is given some.
#[derive(Default)]
pub(super) struct Silent {
    keys: Option<MemoryStore>,
    get: Option<Get>,
    /// Whether it answers for many messages at once as for each.
    many: bool,
}

impl Silent {
    pub(super) fn with_keys(keys: Option<MemoryStore>) -> Self {
        Self {
            keys,
            ..Self::default()
        }
    }

    /// Answers for each message, and for many at once only if `many` is set.
    pub(super) fn with_get(get: Get, many: bool) -> Self {
        Self {
            get: Some(get),
            many,
            ..Self::default()
        }
    }
}

impl ReadStore for Silent {
    fn get(&self, id: MessageId) -> Result<Lookup, StoreError> {
        let gone = || StoreError::Unavailable("it does not answer".to_owned());
        self.get.as_ref().map(|get| get(id)).ok_or_else(gone)
    }

    fn get_many(&self, ids: &[MessageId]) -> Result<Vec<Lookup>, StoreError> {
        if !self.many {
            return Err(StoreError::Unavailable("gone".into()));
        }
        ids.iter().map(|id| self.get(*id)).collect()
    }

    fn used_keys(
        &self,
        keys: &[(Caller, Box<str>)],
        since: WallTime,
    ) -> Result<Vec<Option<UsedKey>>, StoreError> {
        let gone = || StoreError::Unavailable("gone".into());
        let store = self.keys.as_ref().ok_or_else(gone)?;
        store.used_keys(keys, since)
    }

    fn payload(&self, _: MessageId) -> Result<PayloadLookup, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn list(&self, _: &Filter, _: Option<RowId>, _: PageSize) -> Result<Page, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn tally(&self, _: Option<&Caller>) -> Result<Tally, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn unconfirmed(&self, _: &Filter, _: Option<RowId>, _: PageSize) -> Result<Page, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn group(&self, _: Option<&Caller>, _: &str) -> Result<Option<Tally>, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn bulk_replay(&self, _: MessageId) -> Result<Option<BulkReplay>, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn bulk_replays_under_way(&self) -> Result<Vec<BulkReplay>, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn oldest_pending(&self, _: Option<&Caller>, _: usize) -> Result<Oldest, StoreError> {
        Err(StoreError::Unavailable("gone".into()))
    }

    fn pending(
        &self,
        _: u8,
        _: Option<Turn>,
        _: usize,
        _: usize,
    ) -> Result<Vec<Pending>, StoreError> {
        Err(StoreError::Unavailable("it does not answer".to_owned()))
    }

    fn outcomes(&self, _: u64, _: usize) -> Result<OutcomesPage, StoreError> {
        Err(StoreError::Unavailable("it does not answer".to_owned()))
    }

    fn facts(&self) -> Result<Facts, StoreError> {
        Err(StoreError::Unavailable("it does not answer".to_owned()))
    }
}
