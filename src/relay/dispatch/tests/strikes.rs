//! A message on which the node itself fails, again and again.

use std::sync::Arc;
use std::time::Duration;

use super::model::pending;
use super::suspect;
use crate::broker::Room;
use crate::clock;
use crate::domain::{
    Draft, IdMinter, Message, Properties, Reason, ReasonCode, RetrySchedule, Status, WallTime,
};
use crate::relay::dispatch::{Dispatch, Ends, MemoryBudget, Moment, STRIKES_MAX, Settings};

#[test]
fn a_message_that_is_alone_whenever_the_broker_fails_is_given_up_after_some_tries() {
    let settings = Settings {
        retry: RetrySchedule::default(),
        exchange_known: Duration::from_secs(1),
        stall_after: Duration::from_secs(1),
        memory: MemoryBudget {
            messages_max: 10,
            bytes_max: 1 << 20,
        },
    };
    let down = Reason::own(ReasonCode::BrokerUnavailable, "not yet");
    let mut dispatch = Dispatch::new(settings, down);
    let message = Message {
        id: IdMinter::default().mint(WallTime::default(), 0),
        accepted_at: WallTime::default(),
        draft: Draft {
            caller: crate::domain::Caller::default(),
            exchange: "".into(),
            routing_key: "k".into(),
            mandatory: true,
            ordering_key: None,
            properties: Properties::default(),
            payload: "p".into(),
            terms: None,
        },
    };
    let row = message.id.row();
    dispatch.enqueue([pending(&Arc::new(message))]);
    let at = Moment {
        now: clock::monotonic(),
        wall: WallTime::default(),
    };
    let room = Room {
        messages: 1,
        bytes: 10,
        empty: true,
    };
    let mut pulled = Vec::new();
    dispatch.pull(at.now, room, &mut pulled);
    let mut settled = Vec::new();
    let mut ends = Ends {
        at,
        dice: || 0.0,
        settled: &mut settled,
    };
    // In company it proves nothing; alone, each time is a strike.
    dispatch.ended(row, suspect(), &mut ends);
    for _ in 0..STRIKES_MAX {
        assert!(ends.settled.is_empty());
        assert!(
            dispatch
                .next_suspect()
                .is_some_and(|again| again.duplicate_possible)
        );
        dispatch.ended(row, suspect(), &mut ends);
    }
    assert!(dispatch.next_suspect().is_none());
    let settlement = &settled[0].settlement;
    assert_eq!(
        (settlement.status, settlement.attempts),
        (Status::Failed, 1 + u32::from(STRIKES_MAX))
    );
    assert!(settlement.duplicate_possible);
}
