//! What a store should hold, as lists.

mod asked;

use std::sync::Arc;

use super::{payload, samples};
use crate::domain::{
    Deliver, Due, Fingerprint, Message, MessageId, ReasonCode, RowId, Status, Terms, TraceContext,
    Turn, WallTime,
};
use crate::store::{Accepted, Batch, BulkReplay, KeyUse, Note, Settlement};

pub(super) struct Model {
    partitions: u8,
    numbers: u64,
    pub(super) kept: Vec<Kept>,
    handed_to: Option<Turn>,
    /// Settlements so far.
    pub(super) positions: u64,
    pub(super) bulk: Vec<BulkReplay>,
    /// The last row or turn that was committed.
    pub(super) last_row: Option<RowId>,
    /// The wall clock as the last commit that told it had it.
    pub(super) wall: Option<WallTime>,
}

pub(super) struct Kept {
    pub(super) message: Arc<Message>,
    pub(super) key: Option<Box<KeyUse>>,
    pub(super) place: Place,
    pub(super) replays: u32,
    pub(super) give_up_at: Option<WallTime>,
    note: Option<u32>,
    doubtful: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Scheduled(Due),
    Turn(Turn, u8),
    Ended(Settlement, u64),
}

impl Kept {
    pub(super) fn doubt(&self) -> Option<u32> {
        let is_pending = matches!(self.place, Place::Turn(..));
        let doubt = self.note.or(self.doubtful.then_some(0));
        doubt.filter(|_| is_pending)
    }

    pub(super) fn settled(&self) -> Option<&Settlement> {
        match &self.place {
            Place::Ended(settlement, _) => Some(settlement),
            _ => None,
        }
    }

    pub(super) fn may_be_replayed(&self) -> bool {
        self.settled().is_some_and(|end| {
            let code = end.reason.as_ref().map(|reason| reason.code);
            end.status != Status::Confirmed && code != Some(ReasonCode::Cancelled)
        })
    }
}

/// What a reopening with another number of partitions spreads by.
pub(crate) fn partition_of(message: &Message, partitions: u8) -> u8 {
    (message.id.row().get() / 3 % u64::from(partitions)).to_le_bytes()[0]
}

/// One of a few keys.
fn key_use(bytes: usize) -> KeyUse {
    KeyUse {
        key: format!("key {}", bytes % KEYS).into(),
        fingerprint: Fingerprint([bytes.to_le_bytes()[0]; 32]),
    }
}

/// Idempotency keys that messages are accepted with.
pub(super) const KEYS: usize = 4;

/// Labels that messages are accepted with.
pub(super) const GROUPS: u8 = 3;

pub(super) fn group_name(number: u8) -> Box<str> {
    format!("group {number}").into()
}

/// With a state and without.
pub(super) fn trace(kind: u8) -> TraceContext {
    let state = kind.is_multiple_of(2).then(|| "a=1".into());
    TraceContext::from_stored(format!("parent {kind}").into(), state)
}

/// Most messages do without; the others have some of each.
fn terms(kind: u8, now_ms: u64) -> Option<Box<Terms>> {
    let later = u64::from(kind) * 3;
    let terms = Terms {
        deliver: match kind % 8 {
            1 | 2 => Some(Deliver::At(WallTime::from_unix_ms(now_ms + later))),
            3 => Some(Deliver::After { ms: later }),
            _ => None,
        },
        give_up_after_ms: kind.is_multiple_of(3).then_some(later + 1),
        callback_url: kind
            .is_multiple_of(7)
            .then(|| "https://example.org/".into()),
        group: (kind.is_multiple_of(2)).then(|| group_name(kind / 2 % GROUPS)),
        trace: (kind.is_multiple_of(5)).then(|| trace(kind)),
    };
    (kind >= 64).then(|| terms.boxed()).flatten()
}

impl Model {
    pub(super) fn new(partitions: u8) -> Self {
        Self {
            partitions,
            numbers: 1 << 40,
            kept: Vec::new(),
            handed_to: None,
            positions: 0,
            bulk: Vec::new(),
            last_row: None,
            wall: None,
        }
    }

    /// A new message.
    pub(super) fn next(&mut self, partition: u8, bytes: usize, caller: u8, kind: u8) -> Accepted {
        // Some in the same millisecond, others not.
        self.numbers += 1 + bytes as u64 % 3 * 1500;
        let mut one = samples::one(self.numbers, payload(self.numbers, bytes));
        let message = Arc::make_mut(&mut one.message);
        let draft = &mut message.draft;
        draft.caller = super::caller(caller);
        draft.terms = terms(kind, message.accepted_at.unix_ms());
        if bytes.is_multiple_of(4) {
            draft.exchange = "".into();
        }
        if bytes.is_multiple_of(5) {
            draft.properties.content_type = Some("text/plain".into());
        }
        Accepted {
            partition: partition % self.partitions,
            key: (bytes % 3 == 1).then(|| Box::new(key_use(bytes))),
            due: one.message.due(),
            ..one
        }
    }

    /// A turn behind everything before.
    pub(super) fn turn(&mut self) -> Turn {
        self.numbers += 1;
        Turn::from_stored(self.numbers)
    }

    pub(super) fn partition(&self, drawn: u8) -> u8 {
        drawn % self.partitions
    }

    /// All messages, those of `more` included.
    pub(super) fn known(&self, more: &[Accepted]) -> Vec<Arc<Message>> {
        let kept = self.kept.iter().map(|kept| &kept.message);
        kept.chain(more.iter().map(|one| &one.message))
            .cloned()
            .collect()
    }

    pub(super) fn find(&self, id: MessageId) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.message.id == id)
    }

    fn find_mut(&mut self, id: MessageId) -> Option<&mut Kept> {
        self.kept.iter_mut().find(|kept| kept.message.id == id)
    }

    pub(super) fn commit(&mut self, batch: &Batch<'_>) {
        self.step_clock(batch.clock_step_ms);
        self.wall = batch.wall.or(self.wall);
        let mut last = self.last_row;
        for one in batch.accepted {
            if self.find(one.message.id).is_none() {
                self.accept(one);
            }
            last = last.max(Some(one.message.id.row()));
        }
        for one in batch.due {
            if let Some(kept) = self.find_mut(one.id)
                && let Place::Scheduled(due) = kept.place
            {
                kept.place = Place::Turn(one.turn, one.partition);
                kept.give_up_at = kept.message.give_up_at(due.at);
                last = last.max(Some(one.turn.row()));
            }
        }
        for settlement in batch.settled {
            self.settle(settlement);
        }
        for one in batch.replayed {
            if let Some(kept) = self.find_mut(one.id)
                && kept.may_be_replayed()
            {
                let doubt = kept.settled().is_some_and(|end| end.duplicate_possible);
                kept.note = doubt.then_some(0);
                kept.doubtful = false;
                kept.place = Place::Turn(one.turn, one.partition);
                kept.replays += 1;
                kept.give_up_at = kept.message.give_up_at(one.at);
                last = last.max(Some(one.turn.row()));
            }
        }
        for Note { id, attempts } in batch.noted {
            if let Some(kept) = self.find_mut(*id)
                && matches!(kept.place, Place::Turn(..))
            {
                kept.note = Some(*attempts);
            }
        }
        if let Some(bulk) = batch.bulk {
            self.bulk.retain(|one| one.id != bulk.id);
            self.bulk.push(bulk.clone());
            self.bulk.sort_by_key(|one| one.id);
            last = last.max(Some(bulk.id.row()));
        }
        self.last_row = last;
        self.handed_to = self.handed_to.max(batch.handed_to);
    }

    fn accept(&mut self, one: &Accepted) {
        let message = Arc::clone(&one.message);
        self.kept.push(Kept {
            key: one.key.clone(),
            place: match one.due {
                Some(due) => Place::Scheduled(due),
                None => Place::Turn(message.id.row().into(), one.partition),
            },
            replays: 0,
            give_up_at: one.give_up_at(),
            note: None,
            doubtful: false,
            message,
        });
    }

    fn settle(&mut self, settlement: &Settlement) {
        let position = self.positions + 1;
        if let Some(kept) = self.find_mut(settlement.id)
            && kept.settled().is_none()
            && settlement.revision == 2 + 2 * kept.replays
        {
            if let Place::Scheduled(due) = kept.place {
                kept.give_up_at = kept.message.give_up_at(due.at);
            }
            kept.place = Place::Ended(settlement.clone(), position);
            self.positions = position;
        }
    }

    fn step_clock(&mut self, by_ms: i64) {
        for kept in &mut self.kept {
            match &mut kept.place {
                Place::Scheduled(due) => {
                    if due.moves {
                        due.at = due.at.moved_by_ms(by_ms);
                    }
                }
                Place::Turn(..) => {
                    kept.give_up_at = kept.give_up_at.map(|at| at.moved_by_ms(by_ms));
                }
                Place::Ended(..) => {}
            }
        }
    }

    pub(super) fn reopen(&mut self, clean: bool, partitions: u8) {
        for kept in &mut self.kept {
            if let Place::Turn(turn, partition) = &mut kept.place {
                if !clean && self.handed_to.is_some_and(|to| *turn <= to) {
                    kept.doubtful = true;
                }
                if partitions != self.partitions {
                    *partition = partition_of(&kept.message, partitions);
                }
            }
        }
        self.handed_to = None;
        self.partitions = partitions;
    }
}
