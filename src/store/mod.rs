//! What is kept, and what keeping means.
//!
//! **The contract of durability.** When [`WriteStore::commit`] returns `Ok`, everything in the batch
//! is kept as firmly as this store keeps things: it survives whatever the store says that it
//! survives ([`WriteStore::survives_restart`]). A batch is kept whole or not at all. Nothing is told
//! to a caller before its commit has returned: neither a 202 nor a final status.
//!
//! This room knows no broker and decides nothing: it is told what was accepted and what became of
//! it. Batches in, batches out; no type of any database shows.

mod accepted;
#[cfg(test)]
pub(crate) mod contract;
mod facts;
pub mod memory;
mod outbox;
mod outcomes;
mod questions;
mod records;
mod replays;
pub mod sqlite;

use std::sync::Arc;

pub use accepted::Accepted;
pub use facts::{Facts, PartitionFacts};
pub use outbox::{
    Delivery, DeliveryId, DeliveryStatus, DisabledFor, EndpointId, LoggedDelivery, OutboxChange,
    OutboxStore, OutboxWriter, Recipient, Tried, WantedEvents, Webhook, WebhookPatch, Writing,
    callback_endpoint,
};
pub use outcomes::{KeptSince, OutcomesPage, POSITIONS_END};
pub use questions::{
    Filter, KeyUse, Oldest, Page, PageSize, Payload, PayloadLookup, Tally, UsedKey,
};
pub use records::{Lookup, Record, Standing};
pub use replays::{BulkReplay, Replayable, Replayed};

use crate::domain::{Caller, Message, MessageId, Reason, RowId, Status, Turn, WallTime};

/// A scheduled message that goes now: it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BecomesDue {
    /// Which message.
    pub id: MessageId,
    /// Behind every row and turn that was given before.
    pub turn: Turn,
    /// As [`Accepted::partition`].
    pub partition: u8,
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
    /// Scheduled messages that get their turns; one that is not scheduled (any more) is left alone.
    /// The time that it is given to settle in begins when it was due.
    pub due: &'a [BecomesDue],
    /// What becomes of webhooks and their deliveries. Those of the outcomes below come of themselves.
    pub outbox: &'a [OutboxChange],
    /// Final statuses in the order in which they were learned, each of a message accepted before or
    /// in this batch, scheduled ones included. One of a message that is not pending, or that was
    /// replayed since ([`Settlement::revision`] is not the next one), changes nothing.
    pub settled: &'a [Settlement],
    /// Returned and failed messages that are pending again; one that is neither, or whose payload is
    /// not kept, is left alone.
    pub replayed: &'a [Replayed],
    /// Doubts about pending messages; everything above goes before it.
    pub noted: &'a [Note],
    /// How far a bulk replay has come, or a new one.
    pub bulk: Option<&'a BulkReplay>,
    /// From this commit on, every message with a turn up to this one may have been handed to a
    /// broker. What of it is still pending at the next opening counts as possibly duplicated, unless
    /// the store was closed. It only ever grows.
    pub handed_to: Option<Turn>,
    /// The wall clock has stepped forward by so much against the monotonic one (back when it is
    /// negative): every time that is the end of a duration ([`crate::domain::Due::moves`], [`Record::give_up_at`] of
    /// what is pending, [`Delivery::next_at`]) moves along. It goes before everything else, and what is
    /// new in the batch has it in its times already ([`Accepted::step_clock`]).
    pub clock_step_ms: i64,
    /// The wall clock, all steps included. The last one is told at the next opening ([`Facts::wall`]).
    pub wall: Option<WallTime>,
}

impl Batch<'_> {
    /// Whether there is nothing to keep; what the wall clock is only goes along.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accepted.is_empty()
            && self.due.is_empty()
            && self.outbox.is_empty()
            && self.settled.is_empty()
            && self.replayed.is_empty()
            && self.noted.is_empty()
            && self.bulk.is_none()
            && self.handed_to.is_none()
            && self.clock_step_ms == 0
    }

    /// Whether there is something that may be refused for want of room: nobody was promised it yet.
    #[must_use]
    pub fn has_new(&self) -> bool {
        !self.accepted.is_empty() || !self.replayed.is_empty() || self.bulk.is_some()
    }
}

/// What a slice of upkeep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// There is more to do at once.
    pub more: bool,
}

/// A pending message that has its turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// The message as it was accepted.
    pub message: Arc<Message>,
    /// When its turn comes.
    pub turn: Turn,
    /// Times it was replayed.
    pub replays: u32,
    /// Whether some hand-over left a doubt, in this life or in one before a replay.
    pub duplicate_possible: bool,
    /// Hand-overs since acceptance or the last replay as last noted; those that left no doubt may be
    /// missing.
    pub attempts: u32,
}

/// Scheduled messages that are due.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DueMessages {
    /// In the order of their times, and of acceptance where those are the same.
    pub messages: Vec<Arc<Message>>,
    /// When the first that is not among them is due.
    pub next: Option<WallTime>,
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
    /// The number of this change of status: 2 for the first outcome, and each replay adds two.
    pub revision: u32,
    /// When the gateway learned it.
    pub settled_at: WallTime,
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

    /// Whether the last commit kept deliveries of webhooks with what it settled.
    fn has_kept_deliveries(&self) -> bool;

    /// The scheduled messages that are due at `now`: at most `messages_max`, and no more once they come
    /// to `bytes_max` (as [`Message::footprint_bytes`] accounts them), but at least one if there is
    /// one. They stay scheduled until [`Batch::due`] says otherwise.
    ///
    /// # Errors
    /// As [`StoreError`] says; `Fatal` too when a message was damaged.
    fn due(
        &mut self,
        now: WallTime,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<DueMessages, StoreError>;

    /// The message, if it is scheduled.
    ///
    /// # Errors
    /// As [`StoreError`] says; `Fatal` too when it was damaged.
    fn scheduled(&mut self, id: MessageId) -> Result<Option<Arc<Message>>, StoreError>;

    /// Pending messages with a turn whose [`Record::give_up_at`] is `now` or earlier, in the order of
    /// that time and of turns, from behind `after`: at most `max`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn overdue(
        &mut self,
        now: WallTime,
        after: Option<(WallTime, Turn)>,
        max: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Whether `id` can be sent again.
    ///
    /// # Errors
    /// As [`StoreError`] says; `Fatal` too when it was damaged.
    fn replayable(&mut self, id: MessageId) -> Result<Replayable, StoreError>;

    /// A bounded slice (a few milliseconds) of what else is to be done, for the writer to call
    /// between commits, and at least every second when there are none. `now` is the wall clock, and the
    /// store was told of all its steps: while messages wait, it may be kept as [`Facts::wall`].
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

    /// What matches `filter` of the returned and failed messages accepted after the row `after` (or of
    /// all), oldest first by acceptance: one page, whose `next` is the row after which the next one
    /// starts. What it costs is bounded by `size`, whatever the filter.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn unconfirmed(
        &self,
        filter: &Filter,
        after: Option<RowId>,
        size: PageSize,
    ) -> Result<Page, StoreError>;

    /// How many messages of the `group` of `caller` (or of all groups of this name) there are, by status;
    /// `None` when nothing of it is kept any more, or never was. It counts all that were ever accepted with it as long as one of
    /// them is kept.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn group(&self, caller: Option<&Caller>, group: &str) -> Result<Option<Tally>, StoreError>;

    /// The bulk replay of this id. The last thousand that are done are kept, at least.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn bulk_replay(&self, id: MessageId) -> Result<Option<BulkReplay>, StoreError>;

    /// The bulk replays that are not done, oldest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn bulk_replays_under_way(&self) -> Result<Vec<BulkReplay>, StoreError>;

    /// The oldest pending message of `caller` (or of everybody) that has a turn, looking at `examined_max` messages
    /// at most (roughly, and at least one).
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn oldest_pending(
        &self,
        caller: Option<&Caller>,
        examined_max: usize,
    ) -> Result<Oldest, StoreError>;

    /// The pending messages of a partition in the order of their turns, from behind `after`: at most
    /// `messages_max`, and no more once they come to `bytes_max` (as
    /// [`Message::footprint_bytes`] accounts them), but at least one if there is one.
    ///
    /// # Errors
    /// As [`StoreError`] says; `Fatal` too when a message was damaged.
    fn pending(
        &self,
        partition: u8,
        after: Option<Turn>,
        messages_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Pending>, StoreError>;

    /// What was settled behind the position `after`, in the order of settlement: one page, for which at
    /// most `entries_max` settlements are looked at (and at least one).
    ///
    /// # Errors
    /// As [`StoreError`] says.
    fn outcomes(&self, after: u64, entries_max: usize) -> Result<OutcomesPage, StoreError>;

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

    /// Deliveries of webhooks were kept with it.
    fn deliveries_kept(&self);

    /// Whether somebody waits for one of these, so that their commit should not.
    fn awaits(&self, ids: &mut dyn Iterator<Item = MessageId>) -> bool;

    /// The counts of these groups have changed with the commit: by acceptance, settlement or replay.
    fn groups_changed(&self, groups: &mut dyn Iterator<Item = (&Caller, &str)>);
}
