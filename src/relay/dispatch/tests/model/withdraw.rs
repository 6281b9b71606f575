//! Messages that end without a hand-over.

use std::sync::Arc;

use super::{Whereabouts, World};
use crate::domain::{Message, ReasonCode, Status};
use crate::relay::dispatch::{Why, Withdrawal};
use crate::store::{Pending, Record, Standing};

/// A message in its first life, whose turn is its row.
pub(in super::super) fn pending(message: &Arc<Message>) -> Pending {
    Pending {
        message: Arc::clone(message),
        turn: message.id.row().into(),
        replays: 0,
        duplicate_possible: false,
        attempts: 0,
    }
}

/// What a store knows of a message.
pub(in super::super) fn record(pending: &Pending) -> Record {
    let standing = Standing {
        turn: pending.turn,
        footprint_bytes: pending.message.footprint_bytes() as u64,
    };
    Record {
        standing: Some(standing),
        replays: pending.replays,
        doubt: pending.duplicate_possible.then_some(pending.attempts),
        ..Record::of(&pending.message, None)
    }
}

impl World {
    /// A message is to end without a hand-over, which it does unless it is in flight.
    pub(in super::super) fn withdraw(&mut self, index: usize, why: Why) {
        let seen = &mut self.all[index];
        let code = match why {
            Why::Expired => ReasonCode::Expired,
            Why::Cancelled => ReasonCode::Cancelled,
        };
        let expected = match seen.whereabouts {
            Whereabouts::Idle => {
                seen.whereabouts = Whereabouts::Settled;
                seen.due = None;
                let row = seen.message.id.row();
                (self.expected).push((row, Status::Failed, Some(code), seen.attempts, seen.doubt));
                Withdrawal::Settled
            }
            Whereabouts::Settled => Withdrawal::Ended,
            Whereabouts::Lane | Whereabouts::Probation | Whereabouts::Quarantine => {
                seen.expired |= why == Why::Expired;
                Withdrawal::InFlight
            }
        };
        let record = record(&pending(&self.all[index].message));
        let mut told = None;
        self.settles(|dispatch, ends| told = Some(dispatch.withdraw(&record, why, ends)));
        assert_eq!(told, Some(expected), "{index}");
        self.dispatch.withdrawals_are_kept();
        self.forget_the_empty();
    }
}
