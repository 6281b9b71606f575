//! What the writer remembers of the messages accepted last, and never relies on.
//!
//! Nearly every message ends soon after its acceptance. So that its end need not look for it, its place
//! and what is counted of it are remembered. Whoever uses that sees by what a statement has changed
//! whether it was right.

use std::collections::VecDeque;

use crate::domain::{Message, MessageId, RowId};

/// A message that went at once, as it was accepted.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) id: MessageId,
    pub(super) partition: u8,
    /// The number of its caller.
    pub(super) caller: i64,
    pub(super) footprint_bytes: u64,
    /// Bytes of what is kept of it when it has ended.
    pub(super) text_bytes: u64,
    /// It has nothing of what few have.
    pub(super) is_plain: bool,
}

impl Kept {
    pub(super) fn of(message: &Message, partition: u8, caller: i64) -> Self {
        let draft = &message.draft;
        let optional = |text: &Option<Box<str>>| text.as_deref().map_or(0, str::len);
        let text_bytes = draft.exchange.len()
            + draft.routing_key.len()
            + optional(&draft.ordering_key)
            + optional(&draft.properties.message_id);
        Self {
            id: message.id,
            partition,
            caller,
            footprint_bytes: message.footprint_bytes() as u64,
            text_bytes: text_bytes as u64,
            is_plain: draft.terms.is_none(),
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Recent {
    /// In the order of their rows.
    messages: VecDeque<Kept>,
    /// The partition of the last settlement, which is tried first for what is not remembered.
    last: u8,
    /// Every row that was accepted is up to here.
    accepted_to: Option<RowId>,
}

impl Recent {
    const MESSAGES_MAX: usize = 1 << 16;

    /// Nothing is known but that `last_row` was given.
    pub(super) fn after(last_row: Option<RowId>) -> Self {
        Self {
            accepted_to: last_row,
            ..Self::default()
        }
    }

    /// Whether a row is behind all that were accepted; from now on it is one of them.
    pub(super) fn is_new(&mut self, row: RowId) -> bool {
        let is_new = self.accepted_to.is_none_or(|last| row > last);
        self.accepted_to = self.accepted_to.max(Some(row));
        is_new
    }

    /// Takes note of a message whose row is above all others.
    pub(super) fn push(&mut self, kept: Kept) {
        if self.messages.len() == Self::MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(kept);
    }

    /// What was remembered may be of a transaction that has failed.
    pub(super) fn forget(&mut self) {
        self.messages.clear();
    }

    /// A message of this partition was settled.
    pub(super) fn settled(&mut self, partition: u8) {
        self.last = partition;
    }

    /// The message, if it is remembered.
    pub(super) fn get(&self, id: MessageId) -> Option<&Kept> {
        let row = id.row();
        let at = (self.messages).binary_search_by_key(&row, |kept| kept.id.row());
        self.messages.get(at.ok()?).filter(|kept| kept.id == id)
    }

    /// Where a message is looked for first.
    pub(super) fn guess(&self, id: MessageId) -> u8 {
        self.get(id).map_or(self.last, |kept| kept.partition)
    }
}
