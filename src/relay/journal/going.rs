//! Messages that got a turn later than their row: what was scheduled and is due, and what is replayed.
//!
//! Their turns are minted under the lock that queues, so they go in one order with what is new.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use super::commands::Tell;
use super::{Budget, Queue, StoreRoom};
use crate::domain::order::OrderKey;
use crate::domain::{Message, MessageId, Turn, WallTime};
use crate::relay::{AcceptError, Replay};
use crate::store::{BulkReplay, Pending};

/// Why a message goes.
pub(super) enum How {
    /// It was scheduled, and is due.
    Due,
    /// It was replayed. Who wanted it alone is told.
    Replayed(WallTime, Option<Tell<Replay>>),
}

/// A message with its turn, to be committed.
pub(super) struct Going {
    pub(super) pending: Pending,
    pub(super) partition: u8,
    pub(super) how: How,
}

/// A message that can be replayed.
pub(super) struct ToReplay {
    pub(super) message: Arc<Message>,
    /// Times it was replayed before.
    pub(super) replays: u32,
    pub(super) duplicate_possible: bool,
    /// Who wants it alone; for a part of a bulk replay there was room when it was decided.
    pub(super) tell: Option<Tell<Replay>>,
}

/// Who is told of a bulk replay.
pub(super) enum TellBulk {
    Begun(Tell<BulkReplay>),
    Stepped(SyncSender<Result<BulkReplay, AcceptError>>),
}

impl TellBulk {
    /// Whether the bulk replay begins.
    pub(super) fn is_of_new(&self) -> bool {
        matches!(self, Self::Begun(_))
    }

    pub(super) fn send(self, told: Result<BulkReplay, AcceptError>) {
        // Whoever has left no longer needs the answer.
        match self {
            Self::Begun(tell) => drop(tell.send(told)),
            Self::Stepped(tell) => drop(tell.try_send(told)),
        }
    }
}

/// How far a bulk replay has come, to be committed with what it sends again.
pub(super) struct BulkChange {
    pub(super) bulk: BulkReplay,
    /// The turn of the last of its messages, or the last before.
    pub(super) after: Turn,
    pub(super) tell: TellBulk,
}

/// What the writer has decided shall go.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) due: Vec<Arc<Message>>,
    pub(super) replays: Vec<ToReplay>,
    /// The id of one that begins is minted with the turns.
    pub(super) bulk: Option<(BulkReplay, TellBulk)>,
}

impl Decided {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.replays.is_empty() && self.bulk.is_none()
    }
}

/// When, by what chance, and within which bounds turns are given.
pub(super) struct Minting<'a> {
    pub(super) at: WallTime,
    pub(super) random: u64,
    pub(super) budget: &'a Budget,
    pub(super) lanes: usize,
}

impl Queue {
    /// Gives their turns to what was decided to go.
    pub(super) fn go(&mut self, decided: &mut Decided, minting: &Minting<'_>) {
        for message in decided.due.drain(..) {
            let one = ToReplay {
                message,
                replays: 0,
                duplicate_possible: false,
                tell: None,
            };
            self.goes(one, How::Due, minting);
        }
        for mut one in decided.replays.drain(..) {
            let bytes = one.message.footprint_bytes();
            let tell = one.tell.take();
            if let Some(tell) = tell {
                if !self.has_room(bytes, minting.budget) {
                    // Whoever has left no longer needs the answer.
                    let _ = tell.send(Err(AcceptError::Full));
                    continue;
                }
                one.tell = Some(tell);
            }
            self.pending_messages += 1;
            self.pending_bytes += bytes;
            one.replays += 1;
            let how = How::Replayed(minting.at, one.tell.take());
            self.goes(one, how, minting);
        }
        if let Some((mut bulk, tell)) = decided.bulk.take() {
            if tell.is_of_new() {
                bulk.id = self.minter.mint(minting.at, minting.random);
            }
            let after = self.last_turn();
            self.bulk = Some(BulkChange { bulk, after, tell });
        }
    }

    fn goes(&mut self, one: ToReplay, how: How, minting: &Minting<'_>) {
        let lane = OrderKey::of(&one.message.draft).lane(minting.lanes);
        self.going.push_back(Going {
            partition: u8::try_from(lane).unwrap_or(u8::MAX),
            pending: Pending {
                message: one.message,
                turn: self.minter.turn(minting.at),
                replays: one.replays,
                duplicate_possible: one.duplicate_possible,
                attempts: 0,
            },
            how,
        });
    }

    /// Whether one more message of this size may be pending.
    pub(super) fn has_room(&self, bytes: usize, budget: &Budget) -> bool {
        self.pending_messages < budget.messages_max
            && self.pending_bytes + bytes <= budget.bytes_max
            && self.room != StoreRoom::None
    }

    /// What has its turn and waits for its commit.
    pub(super) fn ids_going(&self) -> impl Iterator<Item = MessageId> {
        self.going.iter().map(|one| one.pending.message.id)
    }
}
