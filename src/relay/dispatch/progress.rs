//! What callers and operators are told of messages that have not ended.

use std::time::Duration;

use super::{Dispatch, Link, Moment};
use crate::domain::order::OrderKey;
use crate::domain::{Reason, ReasonCode, RowId, Turn};
use crate::relay::Progress;

impl Dispatch {
    /// How the message with this turn is getting on. One that has left here is being settled at this moment.
    #[must_use]
    pub fn progress(&self, row: RowId, turn: Turn, at: Moment) -> Progress {
        let Some(entry) = self.entries.get(&row) else {
            return self.progress_of_fresh(turn);
        };
        let own = entry.reason.as_deref().cloned();
        let pause = entry.due.map(|due| due.saturating_duration_since(at.now));
        Progress {
            attempts: entry.life.attempts,
            duplicate_possible: entry.life.duplicate_possible,
            settling: false,
            next_attempt_at: pause.map(|pause| at.wall.plus_ms(whole_ms(pause))),
            reason: match &own {
                Some(reason) if reason.code == ReasonCode::Nacked => own,
                _ => self
                    .trouble()
                    .or_else(|| self.silence(entry.names.destination))
                    .or(own),
            },
        }
    }

    /// As [`Dispatch::progress`], for a message of this order key.
    #[must_use]
    pub fn progress_of(&self, key: OrderKey<'_>, row: RowId, turn: Turn, at: Moment) -> Progress {
        let told = self.progress(row, turn, at);
        if told.settling && self.is_left_to_store(key, turn) {
            let waits = "the message waits in the store until earlier ones have gone";
            return Progress {
                attempts: 0,
                settling: false,
                reason: self
                    .trouble()
                    .or_else(|| self.silence(self.destinations.name(key.exchange, key.key)))
                    .or_else(|| Some(Reason::own(ReasonCode::BrokerUnavailable, waits))),
                ..told
            };
        }
        told
    }

    fn progress_of_fresh(&self, turn: Turn) -> Progress {
        let fresh = self.fresh.get(turn);
        let stored = self.backlog.is_stored(turn) && !self.withdrawn.has(turn);
        let waits = fresh.is_some() || stored;
        Progress {
            attempts: fresh.map_or(u32::from(!waits), |fresh| fresh.attempts),
            duplicate_possible: fresh.is_some_and(|fresh| fresh.duplicate_possible),
            reason: self.trouble().filter(|_| waits),
            settling: !waits,
            ..Progress::default()
        }
    }

    /// Why the lane does not publish at present, if it does not.
    #[must_use]
    pub fn trouble(&self) -> Option<Reason> {
        match &self.link {
            Link::Down(reason) => Some(reason.clone()),
            Link::Up => self.blocked.clone(),
        }
    }

    /// Whether the lane is connected.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    /// Whether the broker has blocked the lane.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
