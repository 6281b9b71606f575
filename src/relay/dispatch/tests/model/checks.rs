//! What must hold at any time, and at the end of everything.

use super::{Seen, Whereabouts, World};
use crate::broker::{LaneEvent, Outcome, Presence};
use crate::domain::{ReasonCode, RowId};

fn row(seen: &Seen) -> RowId {
    seen.message.id.row()
}

impl World {
    /// What can be asked of the dispatch at any time must be what the model knows.
    pub(in super::super) fn check(&self) {
        let out = self.lane.len() + usize::from(self.probation.is_some()) + self.probes.len();
        assert_eq!(self.dispatch.in_flight(), out);
        let due = self.all.iter().filter_map(|seen| seen.due).min();
        assert_eq!(self.dispatch.deadline(), due);
        self.check_silence();
        let trouble = match (self.down, self.blocked) {
            (true, _) => Some(ReasonCode::BrokerUnavailable),
            (false, true) => Some(ReasonCode::BrokerBlocked),
            (false, false) => None,
        };
        let at = self.moment();
        let unsettled = |seen: &&Seen| seen.whereabouts != Whereabouts::Settled;
        for seen in self.all.iter().filter(unsettled) {
            let told = self.dispatch.progress(row(seen), row(seen).into(), at);
            let pause = seen.due.map(|due| due.saturating_duration_since(self.now));
            let next = pause.map(|pause| {
                at.wall
                    .plus_ms(u64::try_from(pause.as_millis()).expect("short"))
            });
            let nacked = seen.reason.filter(|code| *code == ReasonCode::Nacked);
            let silent = self
                .quarantined
                .contains(&seen.destination())
                .then_some(ReasonCode::BrokerUnavailable);
            // Of those that were never looked at it is not told.
            let silent = silent.filter(|_| self.dispatch.entries.contains_key(&row(seen)));
            let code = nacked.or(trouble).or(silent).or(seen.reason);
            assert_eq!(
                (told.attempts, told.duplicate_possible, told.next_attempt_at),
                (seen.attempts, seen.doubt, next),
                "{seen:?}"
            );
            assert_eq!(told.reason.map(|reason| reason.code), code, "{seen:?}");
        }
    }

    /// With a broker that behaves, everything must end.
    pub(in super::super) fn run_out(&mut self) {
        self.tell(&[LaneEvent::Up, LaneEvent::Unblocked]);
        for _ in 0..10 * self.all.len() + 10 {
            let confirmed = self.lane.clone();
            self.report(
                confirmed
                    .into_iter()
                    .map(|index| (index, Outcome::Confirmed)),
            );
            if self.probation.is_some() {
                self.tried(Outcome::Confirmed);
            }
            while let Some(&index) = self.probes.first() {
                self.probed(index, Outcome::Confirmed);
            }
            self.ask();
            for exchange in std::mem::take(&mut self.asked) {
                self.answer(&exchange, Some(Presence::There));
            }
            let idle = self.pull(50, usize::MAX).is_empty() && self.try_alone().is_none();
            if idle && self.probe().is_none() {
                let next = [self.dispatch.deadline(), self.dispatch.next_probe_at()];
                let next = next.into_iter().flatten().min();
                self.now = next.unwrap_or(self.now).max(self.now);
            }
        }
        let stuck = |seen: &&Seen| seen.whereabouts != Whereabouts::Settled;
        assert_eq!(self.all.iter().find(stuck).map(|seen| &seen.message), None);
        let left = &self.dispatch;
        assert!(left.entries.is_empty() && left.again.is_empty() && left.pauses.is_empty());
        assert!(left.suspects.is_empty() && left.holds.is_empty() && left.questions.is_empty());
        assert_eq!((left.in_flight(), left.deadline()), (0, None));
        assert_eq!((left.quarantined(), left.next_probe_at()), (0, None));
    }
}
