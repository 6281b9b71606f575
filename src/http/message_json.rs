//! The message resource (contract, section 3.1).

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::{Message, MessageId, Reason, Status, WallTime};
use crate::relay::Progress;
use crate::store::{Record, Settlement};

/// What is known of a message. Callers must ignore fields and codes that they do not know.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(super) struct MessageJson<'a> {
    /// The message's one id, for ever.
    #[serde(serialize_with = "id")]
    #[schema(value_type = String, format = "uuid")]
    pub(super) id: MessageId,
    /// Where the message stands. Only `pending` changes by itself.
    #[serde(serialize_with = "word")]
    #[schema(value_type = String, pattern = "^(pending|confirmed|returned|failed)$")]
    pub(super) status: Status,
    /// Grows with each change of status: whoever gets news out of order keeps the highest.
    revision: u32,
    /// Empty for the default exchange.
    exchange: &'a str,
    /// As it was given.
    routing_key: &'a str,
    /// Whether the broker returns what it cannot route.
    mandatory: bool,
    /// The AMQP property that consumers see: the caller's own, or the id.
    message_id: Cow<'a, str>,
    /// Bytes of the payload.
    size_bytes: u64,
    /// When the message was safe in the store.
    #[serde(serialize_with = "told")]
    #[schema(value_type = String, format = DateTime)]
    accepted_at: WallTime,
    /// When the final status was learned.
    #[serde(serialize_with = "told_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    settled_at: Option<WallTime>,
    /// Times it was handed to the broker since acceptance or the last replay.
    attempts: u32,
    /// Times it was replayed.
    replays: u32,
    /// Whether some hand-over ended without proof that no queue took the message. On `returned` or
    /// `failed` it means that an earlier try may have been delivered.
    duplicate_possible: bool,
    /// The caller's own label.
    #[schema(required)]
    group: Option<&'a str>,
    /// Not before when it is handed to the broker, as `deliver_at` or `delay_ms` said. A pending message
    /// whose time is still to come waits for it, without any `reason`.
    #[serde(serialize_with = "told_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    deliver_at: Option<WallTime>,
    /// When a message that waits between two tries goes out again. A scheduled one that was not tried yet
    /// waits for `deliver_at`.
    #[serde(serialize_with = "told_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    next_attempt_at: Option<WallTime>,
    /// After this time it is not tried any more, as `give_up_after_ms` said; a replay begins it anew.
    #[serde(serialize_with = "told_or_null")]
    #[schema(value_type = Option<String>, format = DateTime, required)]
    give_up_at: Option<WallTime>,
    /// Why the message is where it is; null when confirmed and while the first try goes well.
    #[schema(required)]
    reason: Option<ReasonJson<'a>>,
}

/// What `Prefer: return=minimal` leaves of a message.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = MessageMinimal)]
pub(super) struct MinimalJson {
    /// The message's one id.
    #[serde(serialize_with = "id")]
    #[schema(value_type = String, format = "uuid")]
    id: MessageId,
    /// Where the message stands.
    #[serde(serialize_with = "word")]
    #[schema(value_type = String, pattern = "^(pending|confirmed|returned|failed)$")]
    status: Status,
}

/// Why, with the broker's own words where it said any.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub(super) struct ReasonJson<'a> {
    /// Stable, for programs.
    code: &'a str,
    /// The AMQP reply code.
    #[schema(required)]
    reply_code: Option<u16>,
    /// The broker's words.
    #[schema(required)]
    reply_text: Option<&'a str>,
    /// One sentence for people.
    detail: &'a str,
}

impl MinimalJson {
    /// A message of which only the id is known.
    pub(super) fn pending(id: MessageId) -> Self {
        Self {
            id,
            status: Status::Pending,
        }
    }
}

impl<'a> MessageJson<'a> {
    /// A message that has just been accepted.
    pub(super) fn of_accepted(message: &'a Message) -> Self {
        let draft = &message.draft;
        Self {
            id: message.id,
            status: Status::Pending,
            revision: 1,
            exchange: &draft.exchange,
            routing_key: &draft.routing_key,
            mandatory: draft.mandatory,
            message_id: own_or_id(draft.properties.message_id.as_deref(), message.id),
            size_bytes: draft.payload.len() as u64,
            accepted_at: message.accepted_at,
            settled_at: None,
            attempts: 0,
            replays: 0,
            duplicate_possible: false,
            group: draft.group(),
            deliver_at: message.due().map(|due| due.at),
            next_attempt_at: None,
            give_up_at: message.give_up_at(message.starts_at()),
            reason: None,
        }
    }

    /// A message that is kept; `progress` is how it is getting on while it is pending. What the
    /// relay has not read back since a restart, only the record can be doubtful of.
    pub(super) fn of_record(record: &'a Record, progress: &'a Progress) -> Self {
        let pending = Self {
            id: record.id,
            status: Status::Pending,
            // Each replay came after one final status and made it pending again.
            revision: record.replays.saturating_mul(2).saturating_add(1),
            exchange: &record.exchange,
            routing_key: &record.routing_key,
            mandatory: record.mandatory,
            message_id: own_or_id(record.message_id.as_deref(), record.id),
            size_bytes: record.size_bytes,
            accepted_at: record.accepted_at,
            settled_at: None,
            attempts: progress.attempts.max(record.doubt.unwrap_or(0)),
            replays: record.replays,
            duplicate_possible: progress.duplicate_possible || record.doubt.is_some(),
            group: record.group.as_deref(),
            deliver_at: record.deliver_at,
            next_attempt_at: progress.next_attempt_at,
            give_up_at: record.give_up_at,
            reason: progress.reason.as_ref().map(ReasonJson::of),
        };
        match &record.outcome {
            None => pending,
            Some(outcome) => pending.settled(outcome),
        }
    }

    /// Only id and status.
    pub(super) fn minimal(&self) -> MinimalJson {
        MinimalJson {
            id: self.id,
            status: self.status,
        }
    }

    fn settled(self, outcome: &'a Settlement) -> Self {
        Self {
            status: outcome.status,
            revision: outcome.revision,
            settled_at: Some(outcome.settled_at),
            attempts: outcome.attempts,
            duplicate_possible: outcome.duplicate_possible,
            next_attempt_at: None,
            reason: outcome.reason.as_ref().map(ReasonJson::of),
            ..self
        }
    }
}

impl<'a> ReasonJson<'a> {
    /// The same, as callers see it.
    pub(super) fn of(reason: &'a Reason) -> Self {
        Self {
            code: reason.code.as_str(),
            reply_code: reason.reply_code,
            reply_text: reason.reply_text.as_deref(),
            detail: &reason.detail,
        }
    }
}

fn own_or_id(own: Option<&str>, id: MessageId) -> Cow<'_, str> {
    own.map_or_else(|| Cow::Owned(id.to_string()), Cow::Borrowed)
}

fn id<S: Serializer>(id: &MessageId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.text().as_str())
}

fn told<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn told_or_null<S: Serializer>(value: &Option<WallTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn word<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RowId;

    fn told(record: &Record, progress: &Progress) -> (u32, bool) {
        let told = MessageJson::of_record(record, progress);
        (told.attempts, told.duplicate_possible)
    }

    #[test]
    fn a_doubt_that_only_the_store_knows_is_told_while_the_message_is_pending() {
        let id = MessageId::from_parts(RowId::from_stored(1), 2);
        let record = |doubt, outcome| Record {
            id,
            caller: crate::domain::Caller::default(),
            exchange: "".into(),
            routing_key: "key".into(),
            ordering_key: None,
            mandatory: true,
            message_id: None,
            size_bytes: 1,
            accepted_at: WallTime::from_unix_ms(1),
            replays: 0,
            group: None,
            deliver_at: None,
            give_up_at: None,
            trace: None,
            standing: None,
            doubt,
            outcome,
        };
        let known_to_nobody_else = Progress::default();
        assert_eq!(told(&record(None, None), &known_to_nobody_else), (0, false));
        assert_eq!(
            told(&record(Some(0), None), &known_to_nobody_else),
            (0, true)
        );
        assert_eq!(
            told(&record(Some(3), None), &known_to_nobody_else),
            (3, true)
        );
        let tried_again = Progress {
            attempts: 5,
            ..Progress::default()
        };
        assert_eq!(told(&record(Some(3), None), &tried_again), (5, true));
        let settled = Settlement {
            id,
            status: Status::Confirmed,
            reason: None,
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: WallTime::from_unix_ms(2),
        };
        assert_eq!(
            told(&record(None, Some(settled)), &known_to_nobody_else),
            (1, false)
        );
    }
}
