//! What is kept, and what keeping means.
//!
//! **The contract of durability.** When [`WriteStore::commit`] returns `Ok`, everything in the batch
//! is kept as firmly as this store keeps things: it survives whatever the store says that it
//! survives ([`WriteStore::survives_restart`]). A batch is kept whole or not at all. Nothing is told
//! to a caller before its commit has returned: neither a 202 nor a final status.
//!
//! This room knows no broker and decides nothing: it is told what was accepted and what became of
//! it. Batches in, batches out; no type of any database shows.

pub mod memory;

use std::sync::Arc;

use crate::domain::{Message, MessageId, Reason, Status, WallTime};

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
    /// Its final status, once it is kept.
    pub outcome: Option<Settlement>,
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
    /// Keeps a batch: `accepted` in the order of their ids, each one new; `settled` in the order in
    /// which they were learned, each of a message accepted before or in this batch.
    ///
    /// # Errors
    /// As [`StoreError`] says; after `Fatal` the store must not be used again.
    fn commit(
        &mut self,
        accepted: &[Arc<Message>],
        settled: &[Settlement],
    ) -> Result<(), StoreError>;

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
}

/// Is told of every final status right after its commit, on the writer's thread: it must be quick
/// and never wait.
pub trait Audience: Send + Sync + 'static {
    /// What was just kept.
    fn settled(&self, settled: &[Settlement]);
}
