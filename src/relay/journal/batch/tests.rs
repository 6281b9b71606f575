//! What becomes of times when the wall clock steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::domain::{Deliver, MessageId, RowId, Status, Terms};
use crate::observe::Traced;
use crate::relay::dispatch::Moment;
use crate::store::contract::samples;

fn wall(ms: u64) -> WallTime {
    WallTime::from_unix_ms(ms)
}

fn look(now: Instant, at_ms: u64) -> Look {
    Look {
        now,
        wall: wall(at_ms),
        step_ms: 0,
    }
}

pub(in crate::relay::journal) fn ended_at(number: u64, ms: u64) -> Settled {
    Settled {
        settlement: Settlement {
            id: MessageId::from_parts(RowId::from_stored(number), 0),
            status: Status::Confirmed,
            reason: None,
            attempts: 1,
            duplicate_possible: false,
            revision: 2,
            settled_at: wall(ms),
        },
        bytes: 1,
        group: None,
        began_at: None,
        traced: Traced::default(),
    }
}

#[test]
fn what_ended_before_the_clock_was_set_back_has_ended_by_now() {
    let mut queue = Queue {
        settled: vec![ended_at(1, 3_600_500), ended_at(2, 400), ended_at(3, 500)],
        ..Queue::default()
    };
    let mut batch = Batch::default();
    let look = look(clock::monotonic(), 500);
    batch.take(&mut queue, false, &look, wall(500));
    let at = |one: &Settlement| one.settled_at.unix_ms();
    let times: Vec<_> = batch.settled.iter().map(at).collect();
    assert_eq!(times, [500, 400, 500]);
}

/// Accepted at a time of the wall clock, due by `deliver` or at once, and given up 9 s later.
fn accepted(row: u64, at_ms: u64, deliver: Option<Deliver>) -> Accepted {
    let mut one = samples::one(row, "payload");
    let message = Arc::make_mut(&mut one.message);
    message.accepted_at = wall(at_ms);
    let terms = Terms {
        deliver,
        give_up_after_ms: Some(9000),
        ..Terms::default()
    };
    message.draft.terms = terms.boxed();
    one.due = one.message.due();
    one
}

fn reply(messages: usize, now: Instant, at_ms: u64) -> Reply {
    Reply {
        messages,
        sender: tokio::sync::oneshot::channel().0,
        queued_at: now,
        accepted: Moment {
            now,
            wall: wall(at_ms),
        },
    }
}

#[test]
fn spans_that_began_under_another_wall_clock_are_as_long_as_they_were() {
    const HOUR_MS: u64 = 3_600_000;
    let start = clock::monotonic();
    let after = |ms| start + Duration::from_millis(ms);
    let by_the_wall = Some(Deliver::At(wall(HOUR_MS + 8000)));
    let delayed = Some(Deliver::After { ms: 5000 });
    let mut queue = Queue {
        accepted: vec![
            // An hour ahead, before the clock was set back.
            accepted(1, HOUR_MS + 1000, delayed),
            accepted(2, HOUR_MS + 1000, by_the_wall),
            accepted(3, HOUR_MS + 1000, None),
            // After it.
            accepted(4, 1200, delayed),
            // When it was set ahead, after the look.
            accepted(5, HOUR_MS + 1400, delayed),
            accepted(6, HOUR_MS + 1400, None),
        ],
        replies: VecDeque::from([
            reply(3, after(0), HOUR_MS + 1000),
            reply(1, after(200), 1200),
            reply(2, after(400), HOUR_MS + 1400),
        ]),
        ..Queue::default()
    };
    let mut batch = Batch::default();
    batch.take(&mut queue, false, &look(after(300), 1300), wall(1400));
    let due = |one: &Accepted| one.due.map(|due| due.at.unix_ms());
    let all: Vec<_> = batch.accepted.iter().map(due).collect();
    let by_the_wall = Some(HOUR_MS + 8000);
    let expected = [Some(6000), by_the_wall, None, Some(6200), Some(6400), None];
    assert_eq!(all, expected);
    let give_up = |at: usize| batch.accepted[at].give_up_at().map(WallTime::unix_ms);
    assert_eq!([2, 5].map(give_up), [Some(10_000), Some(10_400)]);
    assert_eq!(batch.whole().wall, Some(wall(1300)));
}
