//! Outcomes in the order of settlement.

use super::Kept;
use super::kept::Place;
use crate::store::{KeptSince, OutcomesPage};

impl Kept {
    /// See [`crate::store::ReadStore::outcomes`].
    pub(super) fn outcomes(&self, after: u64, entries_max: usize) -> OutcomesPage {
        let last = self.counts.last_position;
        // The oldest settlement goes first, whatever it was.
        let forgotten = (self.history.front()).map_or(last, |(position, _)| position - 1);
        let mut page = OutcomesPage {
            outcomes: Vec::new(),
            reached: last,
            last,
            kept: KeptSince {
                all: forgotten,
                unconfirmed: forgotten,
            },
        };
        let first = (self.history).partition_point(|(position, _)| *position <= after);
        let mut reached = after;
        for (examined, (position, row_id)) in self.history.range(first..).enumerate() {
            if examined >= entries_max.max(1) {
                page.reached = reached;
                break;
            }
            reached = *position;
            // One that was replayed since is pending, or has ended again at a later position.
            if let Some(row) = self.rows.get(row_id)
                && matches!(row.place, Place::Ended { position: at, .. } if at == reached)
            {
                page.outcomes.push((reached, row.record()));
            }
        }
        page
    }
}
