//! Examples that the code itself has made.

use serde_json::{Value, json};

use super::super::get_group::GroupJson;
use super::super::message_json::MessageJson;
use super::super::start_replay::ReplayJson;
use crate::domain::{Caller, MessageId, Reason, ReasonCode, RowId, Status, WallTime};
use crate::relay::Progress;
use crate::store::{BulkReplay, Filter, Record, Settlement, Tally};

/// The id in all examples.
pub(super) fn id() -> MessageId {
    let row = RowId::from_stored(accepted_at().unix_ms() << 12);
    MessageId::from_parts(row, 0x2a5f_0c11_9d3e_7b64)
}

/// When the message in all examples was accepted.
pub(super) fn accepted_at() -> WallTime {
    WallTime::from_unix_ms(1_795_341_600_123)
}

/// A message with this status, as the gateway itself would tell it.
pub(super) fn message(status: Option<Status>) -> Option<Value> {
    told(&record(
        status.map(|status| settlement(status, reason(status))),
    ))
}

/// A message that its caller has cancelled.
pub(super) fn cancelled() -> Option<Value> {
    let reason = Reason::own(ReasonCode::Cancelled, "its caller cancelled it");
    let settlement = Settlement {
        attempts: 0,
        ..settlement(Status::Failed, Some(reason))
    };
    told(&record(Some(settlement)))
}

/// A message that is pending again.
pub(super) fn replayed() -> Option<Value> {
    told(&Record {
        replays: 1,
        ..record(None)
    })
}

fn told(record: &Record) -> Option<Value> {
    serde_json::to_value(MessageJson::of_record(record, &Progress::default())).ok()
}

fn record(outcome: Option<Settlement>) -> Record {
    Record {
        id: id(),
        caller: Caller::default(),
        exchange: "log.exchange".into(),
        routing_key: "info.log.key".into(),
        ordering_key: None,
        mandatory: true,
        message_id: None,
        size_bytes: 12,
        accepted_at: accepted_at(),
        replays: 0,
        group: None,
        deliver_at: None,
        give_up_at: None,
        trace: None,
        standing: None,
        doubt: None,
        outcome,
    }
}

fn settlement(status: Status, reason: Option<Reason>) -> Settlement {
    Settlement {
        id: id(),
        status,
        reason,
        attempts: 1,
        duplicate_possible: false,
        revision: 2,
        settled_at: accepted_at().plus_ms(8),
    }
}

/// A replay of many messages that has come so far.
pub(super) fn bulk_replay(matched: u64, replayed: u64, skipped: u64, done: bool) -> Option<Value> {
    let bulk = BulkReplay {
        id: id(),
        filter: Filter::default(),
        through: None,
        matched,
        replayed,
        skipped,
        done,
    };
    serde_json::to_value(ReplayJson::of(&bulk)).ok()
}

/// A group of many messages.
pub(super) fn group() -> Option<Value> {
    let tally = Tally {
        pending: 3,
        confirmed: 9990,
        returned: 6,
        failed: 1,
    };
    serde_json::to_value(GroupJson::of("nightly", tally)).ok()
}

fn reason(status: Status) -> Option<Reason> {
    match status {
        Status::Pending | Status::Confirmed => None,
        Status::Returned => Some(Reason::told(
            ReasonCode::NoRoute,
            312,
            "NO_ROUTE",
            "no queue is bound to the exchange with this routing key",
        )),
        Status::Failed => Some(Reason::told(
            ReasonCode::ExchangeNotFound,
            404,
            "NOT_FOUND - no exchange 'log.exchange' in vhost '/'",
            "the exchange does not exist",
        )),
    }
}

/// A page of a list.
pub(super) fn list() -> Value {
    let messages = [message(None), message(Some(Status::Returned))];
    json!({"messages": messages, "next_cursor": "AQGiA1f72AAA"})
}

/// What many ids were told.
pub(super) fn lookup() -> Value {
    let unknown = "01a20357-0000-7000-8000-000000000000";
    json!({"messages": [message(Some(Status::Confirmed))], "not_found": [unknown]})
}

/// What became of a batch of two, of which `refused` were.
pub(super) fn batch(refused: &[&Value]) -> Value {
    let error = |(index, problem): (usize, &&Value)| json!({"index": index, "error": problem});
    let mut results: Vec<_> = refused.iter().enumerate().map(error).collect();
    let accepted = 2 - results.len();
    for index in results.len()..2 {
        results.push(json!({"index": index, "id": id().to_string(), "status": "pending"}));
    }
    json!({"accepted": accepted, "rejected": 2 - accepted, "results": results})
}
