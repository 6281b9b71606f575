//! What can be asked about many messages at once, and what is answered.

use bytes::Bytes;

use super::Record;
use crate::domain::{Caller, Fingerprint, MessageId, ReasonCode, RowId, Status, WallTime};

/// Which messages a question is about. `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose; `None` is everybody's.
    pub caller: Option<Caller>,
    /// Pending or a final status.
    pub status: Option<Status>,
    /// Why a message ended. Why a pending message waits the store does not know: pending ones pass
    /// this filter.
    pub reason: Option<ReasonCode>,
    /// `""` is the default exchange.
    pub exchange: Option<Box<str>>,
    /// As the caller gave it.
    pub routing_key: Option<Box<str>>,
    /// From this time on, by the time in the ids ([`RowId::time`]).
    pub since: Option<WallTime>,
    /// Before this time.
    pub until: Option<WallTime>,
    /// With this label.
    pub group: Option<Box<str>>,
    /// Settled no later than at this position in the order of settlement; pending ones pass.
    pub settled_to: Option<u64>,
}

impl Filter {
    /// Whether a record is what is asked for, [`Filter::settled_to`] apart: records do not tell that.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let outcome = record.outcome.as_ref();
        let status = outcome.map_or(Status::Pending, |outcome| outcome.status);
        let reason = outcome.and_then(|outcome| outcome.reason.as_ref());
        let time = record.id.row().time();
        self.caller
            .as_ref()
            .is_none_or(|caller| *caller == record.caller)
            && self.status.is_none_or(|wanted| wanted == status)
            && self.reason.is_none_or(|wanted| {
                status == Status::Pending || reason.is_some_and(|reason| reason.code == wanted)
            })
            && (self.exchange.as_ref()).is_none_or(|wanted| *wanted == record.exchange)
            && (self.routing_key.as_ref()).is_none_or(|wanted| *wanted == record.routing_key)
            && (self.group.as_ref()).is_none_or(|wanted| record.group.as_ref() == Some(wanted))
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
    }
}

/// How much of a list is wanted at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Records that are answered at most; at least one.
    pub records_max: usize,
    /// Messages that are looked at at most (roughly, and at least one), so that a filter which
    /// matches nothing does not read everything.
    pub examined_max: usize,
}

/// A part of a list: newest first by acceptance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What matched; may be empty although there is more.
    pub records: Vec<Record>,
    /// Where the next page starts: with what was accepted before this row. `None` is the end.
    pub next: Option<RowId>,
}

/// A stored payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Whose message it is.
    pub caller: Caller,
    /// The property of the message; it goes with the payload.
    pub content_type: Option<Box<str>>,
    /// The property of the message; it goes with the payload.
    pub content_encoding: Option<Box<str>>,
    /// `None` when the message is kept and its payload is not: confirmed ones go at once, others
    /// when room is needed.
    pub bytes: Option<Bytes>,
}

/// What a store answers when asked for a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadLookup {
    /// The message is kept.
    Found(Box<Payload>),
    /// It was never accepted, as far as anybody can tell.
    NotFound,
    /// It is older than the history that is kept.
    Expired,
}

/// How many messages were ever accepted, by what became of them up to now. Forgetting history changes
/// nothing here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Without a final status.
    pub pending: u64,
    /// Messages.
    pub confirmed: u64,
    /// Messages.
    pub returned: u64,
    /// Messages.
    pub failed: u64,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.pending + self.confirmed + self.returned + self.failed
    }

    /// Of the messages of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            pending: self.pending + other.pending,
            confirmed: self.confirmed + other.confirmed,
            returned: self.returned + other.returned,
            failed: self.failed + other.failed,
        }
    }

    /// One message is no longer `from`, and is `to` now.
    pub fn moved(&mut self, from: Status, to: Status) {
        let before = self.of(from);
        *before = before.saturating_sub(1);
        *self.of(to) += 1;
    }

    /// The count of a status.
    pub fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Pending => &mut self.pending,
            Status::Confirmed => &mut self.confirmed,
            Status::Returned => &mut self.returned,
            Status::Failed => &mut self.failed,
        }
    }
}

/// The oldest pending message of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    /// Nothing of the caller's is pending.
    None,
    /// This one.
    Message(MessageId),
    /// It was accepted after this row, and was not looked for any further.
    After(RowId),
}

/// An idempotency key and the message that it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The caller's key.
    pub key: Box<str>,
    /// Of the message.
    pub fingerprint: Fingerprint,
}

/// What is kept of an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedKey {
    /// The message that was accepted with it.
    pub id: MessageId,
    /// Of the message.
    pub fingerprint: Fingerprint,
}
