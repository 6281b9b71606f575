//! The state of a store, in numbers.

use crate::domain::{RowId, WallTime};

/// What is pending of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Messages.
    pub messages: u64,
    /// Their bytes, as [`crate::domain::Message::footprint_bytes`] accounts them.
    pub bytes: u64,
}

/// The state of a store at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What has a turn, by partition, as many as the store was opened with; more when older ones are
    /// not empty.
    pub pending: Vec<PartitionFacts>,
    /// What is pending without a turn.
    pub scheduled: PartitionFacts,
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
    /// The oldest pending message that has a turn.
    pub oldest_pending: Option<RowId>,
    /// The last row or turn that was given, kept or not.
    pub last_row: Option<RowId>,
    /// Settled messages up to this row may have been forgotten.
    pub horizon: Option<RowId>,
    /// The number of the last settlement, from 1.
    pub last_position: u64,
    /// What the wall clock was when something was last kept ([`super::Batch::wall`]), and not long before
    /// the end while messages were pending. A wall clock that is behind it was set back since.
    pub wall: Option<WallTime>,
}

impl Facts {
    /// Pending messages of all partitions, and the scheduled ones.
    #[must_use]
    pub fn pending_messages(&self) -> u64 {
        let turns = self.pending.iter().map(|partition| partition.messages);
        turns.sum::<u64>() + self.scheduled.messages
    }
}
