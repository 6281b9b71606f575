//! Outcomes in the order of settlement, for whoever follows them.
//!
//! Every settlement has a *position*: the first has 1, and each has one more than the one before, for
//! as long as the store exists. An outcome is told at the position of its message's last settlement: a
//! message that was settled again has left its older position, and one that was replayed and is
//! pending has none. So whoever reads on from a position learns the latest of everything that was
//! settled behind it, each message once.
//!
//! **What a gap is.** History is forgotten in the order of settlement, but confirmed messages go
//! earlier than the others. So there are two positions behind which everything is kept, and which of
//! them matters depends on what is asked for ([`KeptSince::of`]): whoever follows only what was
//! returned or has failed misses nothing when confirmed messages are forgotten. Both may be too high,
//! and never too low: a gap says that something may be missing.

use super::{Filter, Record};
use crate::domain::Status;

/// Behind every position that there can be.
pub const POSITIONS_END: u64 = i64::MAX.cast_unsigned();

/// What was settled behind a position: one page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutcomesPage {
    /// Positions and the outcomes at them, in their order. May be empty although there is more.
    pub outcomes: Vec<(u64, Record)>,
    /// The next page starts behind this. It is [`Self::last`] when there is no more.
    pub reached: u64,
    /// The last settlement of all.
    pub last: u64,
    /// What is kept.
    pub kept: KeptSince,
}

/// Positions behind which everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptSince {
    /// Outcomes of every kind.
    pub all: u64,
    /// Outcomes that are not `confirmed`; never behind the other one.
    pub unconfirmed: u64,
}

impl KeptSince {
    /// Everything that matches `filter` and was settled behind this position is kept.
    #[must_use]
    pub fn of(self, filter: &Filter) -> u64 {
        // What was confirmed has no reason.
        let confirmed = filter
            .status
            .is_none_or(|status| status == Status::Confirmed)
            && filter.reason.is_none();
        if confirmed {
            self.all
        } else {
            self.unconfirmed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ReasonCode;

    #[test]
    fn who_cannot_be_told_of_confirmed_messages_does_not_miss_them() {
        let kept = KeptSince {
            all: 9,
            unconfirmed: 2,
        };
        let with = |status, reason| {
            kept.of(&Filter {
                status,
                reason,
                ..Filter::default()
            })
        };
        assert_eq!(with(None, None), 9);
        assert_eq!(with(Some(Status::Confirmed), None), 9);
        assert_eq!(with(Some(Status::Returned), None), 2);
        assert_eq!(with(Some(Status::Failed), None), 2);
        assert_eq!(with(None, Some(ReasonCode::NoRoute)), 2);
    }
}
