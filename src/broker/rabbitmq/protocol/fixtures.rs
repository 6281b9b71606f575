//! What the tests of this room share.

use std::sync::Arc;

use proptest::test_runner::Config;

use crate::broker::{Handover, LaneEvent, Outcome};
use crate::domain::{Draft, Message, MessageId, Properties, RowId, WallTime};

/// So many cases of a property, or twenty times as many with `AMQPOST_TEST_FULL=1`.
pub(super) fn cases(count: u32) -> Config {
    let full = std::env::var_os("AMQPOST_TEST_FULL").is_some_and(|value| value == "1");
    Config {
        cases: if full { count * 20 } else { count },
        failure_persistence: None,
        ..Config::default()
    }
}

pub(super) fn row(number: u64) -> RowId {
    RowId::from_stored(number)
}

pub(super) fn id(number: u64) -> MessageId {
    MessageId::from_parts(row(number), !number)
}

pub(super) fn message(number: u64, exchange: &str, size: usize) -> Arc<Message> {
    let draft = Draft {
        caller: crate::domain::Caller::default(),
        exchange: exchange.into(),
        routing_key: "key".into(),
        mandatory: true,
        ordering_key: None,
        properties: Properties::default(),
        payload: vec![b'p'; size].into(),
        terms: None,
    };
    whole(number, draft)
}

pub(super) fn whole(number: u64, draft: Draft) -> Arc<Message> {
    Arc::new(Message {
        id: id(number),
        accepted_at: WallTime::default(),
        draft,
    })
}

pub(super) fn handover(message: Arc<Message>) -> Handover {
    Handover {
        message,
        duplicate_possible: false,
        patience: None,
    }
}

pub(super) fn ended(number: u64, outcome: Outcome) -> LaneEvent {
    LaneEvent::Ended(row(number), outcome)
}
