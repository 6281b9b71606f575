//! Messages that have ended and are sent again.

use std::sync::Arc;

use super::Filter;
use crate::domain::{Message, MessageId, RowId, Turn, WallTime};

/// A returned or failed message that is pending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Which message.
    pub id: MessageId,
    /// Behind every row and turn that was given before.
    pub turn: Turn,
    /// As [`super::Accepted::partition`].
    pub partition: u8,
    /// When it was replayed: the time that it is given to settle in begins anew.
    pub at: WallTime,
}

/// Whether a message can be sent again.
#[derive(Clone, Debug, PartialEq)]
pub enum Replayable {
    /// It has been returned or has failed, and is kept whole.
    Yes {
        /// The message.
        message: Arc<Message>,
        /// Times it was replayed before.
        replays: u32,
        /// Whether some hand-over has left a doubt: that stays.
        duplicate_possible: bool,
    },
    /// It is pending, confirmed or cancelled.
    No,
    /// Its payload is not kept any more.
    PayloadGone,
    /// It is not kept, or never was.
    Unknown,
}

/// A request to send again whatever matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkReplay {
    /// Its id; minted like those of messages.
    pub id: MessageId,
    /// What matches: of a caller or of everybody, with a final status, and with [`Filter::settled_to`], which fixes
    /// it at the start.
    pub filter: Filter,
    /// Everything accepted up to this row has been looked at.
    pub through: Option<RowId>,
    /// Messages that matched, of those that were looked at.
    pub matched: u64,
    /// Messages that are sent again.
    pub replayed: u64,
    /// Messages that matched and could not be sent again: their payload is not kept, they were
    /// cancelled, or somebody has replayed them before.
    pub skipped: u64,
    /// Everything has been looked at.
    pub done: bool,
}
