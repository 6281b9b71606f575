//! What is kept, and what keeping means.
//!
//! **The contract of durability.** When [`WriteStore::commit`] returns `Ok`, everything in the batch
//! is kept as firmly as this store keeps things: it survives whatever the store says that it
//! survives ([`WriteStore::survives_restart`]). A batch is kept whole or not at all. Nothing is told
//! to a caller before its commit has returned: neither a 202 nor a final status.
//!
//! This room knows no broker and decides nothing: it is told what was accepted and what became of
//! it. Batches in, batches out; no type of any database shows.

#[cfg(test)]
mod contract;
pub mod memory;
mod questions;
pub mod sqlite;

use std::sync::Arc;

pub use questions::{
    Filter, KeyUse, Oldest, Page, PageSize, Payload, PayloadLookup, Tally, UsedKey,
};

use crate::domain::{Caller, Message, MessageId, Reason, RowId, Status, WallTime};

/// A message to be kept.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The message.
    pub message: Arc<Message>,
    /// What must be read back in order together (the relay's lane). The store keeps it and never
    /// computes it.
    pub partition: u8,
    /// The idempotency key that it was accepted with, which lives as long as keys do.
    pub key: Option<Box<KeyUse>>,
}

/// A pending message some hand-over of which left a doubt: from now on it counts as possibly
/// duplicated, whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which message.
    pub id: MessageId,
    /// Hand-overs so far.
    pub attempts: u32,
}

/// What is kept together or not at all.
///
/// A batch may be given again when nobody knows whether it was kept: what is kept already is not
/// kept twice, and what is no longer pending is not settled again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// New messages in the order of their ids.
    pub accepted: &'a [Accepted],
    /// Final statuses in the order in which they were learned, each of a message accepted before or
    /// in this batch. One of a message that is not pending changes nothing.
    pub settled: &'a [Settlement],
    /// Doubts about pending messages; `settled` goes before it.
    pub noted: &'a [Note],
    /// From this commit on, every message accepted up to this row may have been handed to a broker.
    /// What of it is still pending at the next opening counts as possibly duplicated, unless the
    /// store was closed. It only ever grows.
    pub handed_to: Option<RowId>,
}

impl Batch<'_> {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty()
            && self.settled.is_empty()
            && self.noted.is_empty()
            && self.handed_to.is_none()
    }
}

/// What a slice of upkeep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// There is more to do at once.
    pub more: bool,
}

/// A pending message, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The message as it was accepted.
    pub message: Arc<Message>,
    /// Whether some hand-over left a doubt.
    pub duplicate_possible: bool,
    /// Hand-overs as last noted; those that left no doubt may be missing.
    pub attempts: u32,
}

/// What is pending of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Messages.
    pub messages: u64,
    /// Their bytes, as [`Message::footprint_bytes`] accounts them.
    pub bytes: u64,
}

/// The state of a store at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// By partition, as many as the store was opened with; more when older ones are not empty.
    pub pending: Vec<PartitionFacts>,
    /// Messages kept as confirmed.
    pub confirmed: u64,
    /// Messages kept as returned.
    pub returned: u64,
    /// Messages kept as failed.
    pub failed: u64,
    /// Bytes of what is kept of settled messages, as this store accounts them.
    pub history_bytes: u64,
    /// Bytes on disk in use; 0 when there is no disk.
    pub file_bytes: u64,
    /// The oldest pending message.
    pub oldest_pending: Option<RowId>,
    /// The last message accepted, kept or not.
    pub last_row: Option<RowId>,
    /// Settled messages up to this row may have been forgotten.
    pub horizon: Option<RowId>,
    /// The number of the last settlement, from 1.
    pub last_position: u64,
}

impl Facts {
    /// Pending messages of all partitions.
    #[must_use]
    pub fn pending_messages(&self) -> u64 {
        self.pending
            .iter()
            .map(|partition| partition.messages)
            .sum()
    }
}

/// What became of a message, to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Which message.
    pub id: MessageId,
    /// A final status.
    pub status: Status,
    /// Why; `None` when confirmed.
    pub reason: Option<Reason>,
    /// Hand-overs that it took.
    pub attempts: u32,
    /// Whether some hand-over left a doubt.
    pub duplicate_possible: bool,
    /// The number of this change of status.
    pub revision: u32,
    /// When the gateway learned it.
    pub settled_at: WallTime,
}

/// What is known of a message, without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its one id.
    pub id: MessageId,
    /// Who handed it over.
    pub caller: Caller,
    /// `""` is the default exchange.
    pub exchange: Box<str>,
    /// As the caller gave it.
    pub routing_key: Box<str>,
    /// The caller's explicit key, if any.
    pub ordering_key: Option<Box<str>>,
    /// Whether the broker returns what it cannot route.
    pub mandatory: bool,
    /// The caller's `message_id`; without one, the id is sent.
    pub message_id: Option<Box<str>>,
    /// Bytes of the payload.
    pub size_bytes: u64,
    /// When it was accepted.
    pub accepted_at: WallTime,
    /// Times it was replayed.
    pub replays: u32,
    /// Hand-overs that left a doubt before a restart, for a pending message whose doubt the store
    /// knows.
    pub doubt: Option<u32>,
    /// Its final status, once it is kept.
    pub outcome: Option<Settlement>,
}

impl Record {
    /// What is known of `message` once it was replayed `replays` times, doubts apart.
    #[must_use]
    pub fn of(message: &Message, replays: u32, outcome: Option<Settlement>) -> Self {
        let draft = &message.draft;
        Self {
            id: message.id,
            caller: draft.caller.clone(),
            exchange: draft.exchange.clone(),
            routing_key: draft.routing_key.clone(),
            ordering_key: draft.ordering_key.clone(),
            mandatory: draft.mandatory,
            message_id: draft.properties.message_id.clone(),
            size_bytes: draft.payload.len() as u64,
            accepted_at: message.accepted_at,
            replays,
            doubt: None,
            outcome,
        }
    }
}

/// What a store answers when asked for an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// It is kept.
    Found(Box<Record>),
    /// It was never accepted, as far as anybody can tell.
    NotFound,
    /// It is older than the history that is kept.
    Expired,
}

/// Why a store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room; nothing of the batch was kept.
    #[error("the store is full")]
    Full,
    /// Whether the batch was kept is not known.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// The store can no longer be trusted; the process must end.
    #[error("the store has failed: {0}")]
    Fatal(String),
}

/// For the one writer, the relay.
pub trait WriteStore: Send + 'static {
    /// Keeps a batch.
    ///
    /// # Errors
    /// As [`StoreError`] says. `Full` is about the accepted messages: settlements without any still
    /// fit into the room that is held back for them. After `Fatal` every call answers `Fatal`.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// A bounded slice (a few milliseconds) of what else is to be done, for the writer to call
    /// between commits, and at least every second when there are none.
    ///
    /// # Errors
    /// As [`StoreError`] says; only `Fatal` is of interest.
    fn upkeep(&mut self, now: WallTime) -> Result<Upkeep, StoreError>;

    /// Ends the writing: nothing is in flight any more, and the next opening may rely on it. Doubts
    /// that were noted stay.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn close(&mut self) -> Result<(), StoreError>;

    /// Whether what is kept is there again after the process has ended.
    fn survives_restart(&self) -> bool;
}

/// For everybody who asks.
pub trait ReadStore: Send + Sync + 'static {
    /// What is kept of `id`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn get(&self, id: MessageId) -> Result<Lookup, StoreError>;

    /// What is kept of each of `ids`, in their order and at one moment.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn get_many(&self, ids: &[MessageId]) -> Result<Vec<Lookup>, StoreError>;

    /// What each of `keys` (a caller's key each) was used for since `since`, in their order and at one
    /// moment.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn used_keys(
        &self,
        keys: &[(Caller, Box<str>)],
        since: WallTime,
    ) -> Result<Vec<Option<UsedKey>>, StoreError>;

    /// The payload of `id`.
    ///
    /// # Errors
    /// As [`StoreError`] says; `Fatal` too when it was damaged.
    fn payload(&self, id: MessageId) -> Result<PayloadLookup, StoreError>;

    /// What matches `filter` of the messages accepted before the row `before` (or of all), newest
    /// first by acceptance: one page. What it costs is bounded by `size`, whatever the filter.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn list(
        &self,
        filter: &Filter,
        before: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError>;

    /// How many messages `caller` (or everybody) has had accepted, by status.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn tally(&self, caller: Option<&Caller>) -> Result<Tally, StoreError>;

    /// The oldest pending message of `caller` (or of everybody), looking at `examined_max` messages
    /// at most (roughly, and at least one).
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn oldest_pending(
        &self,
        caller: Option<&Caller>,
        examined_max: usize,
    ) -> Result<Oldest, StoreError>;

    /// The pending messages of a partition in the order of their ids, from behind `after`: at most
    /// `messages_max`, and no more once they come to `bytes_max` (as
    /// [`Message::footprint_bytes`] accounts them), but at least one if there is one.
    ///
    /// # Errors
    /// As [`StoreError`] says; `Fatal` too when a message was damaged.
    fn pending(
        &self,
        partition: u8,
        after: Option<RowId>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Recovered>, StoreError>;

    /// The state at this moment.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn facts(&self) -> Result<Facts, StoreError>;
}

/// Is told of every final status right after its commit, on the writer's thread: it must be quick
/// and never wait.
pub trait Audience: Send + Sync + 'static {
    /// What was just kept.
    fn settled(&self, settled: &[Settlement]);

    /// Whether somebody waits for one of these, so that their commit should not.
    fn awaits(&self, ids: &mut dyn Iterator<Item = MessageId>) -> bool;
}
