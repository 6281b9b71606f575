//! Connections that are given up since a destination is only refused there.

use super::{Destination, Seen, Whereabouts, World};
use crate::broker::{LaneEvent, Outcome};

impl World {
    /// Whether the lane's connection is to be given up.
    pub(in super::super) fn renews(&mut self) -> bool {
        let renews = self.dispatch.wants_renewal(self.now);
        self.renewed |= renews;
        let refused = |seen: &Seen| {
            let open = seen.whereabouts != Whereabouts::Settled && seen.nacks > 0;
            open && !self.taken.contains(&seen.destination())
        };
        assert!(
            !renews || self.all.iter().any(refused),
            "everybody is served"
        );
        renews
    }

    /// What the lane heard of a destination.
    pub(super) fn take_note(&mut self, index: usize, outcome: &Outcome) {
        let on_lane = self.all[index].whereabouts == Whereabouts::Lane;
        if on_lane && matches!(outcome, Outcome::Confirmed | Outcome::Returned(_)) {
            let destination: Destination = self.all[index].destination();
            self.taken.insert(destination);
        }
    }

    /// Fresh connections know nothing of anybody, and may make an end of pauses.
    pub(super) fn after(&mut self, events: &[LaneEvent]) {
        if events.contains(&LaneEvent::Up) {
            self.taken.clear();
        }
        if !self.renewed {
            return;
        }
        for seen in &mut self.all {
            let entry = self.dispatch.entries.get(&seen.message.id.row());
            seen.due = seen
                .due
                .filter(|_| entry.is_some_and(|entry| entry.due.is_some()));
        }
    }
}
