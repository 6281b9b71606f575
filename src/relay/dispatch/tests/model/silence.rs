//! Who is silent, and who waits in quarantine, the naive way.

use std::time::Instant;

use super::{Destination, STALL_AFTER, Seen, Whereabouts, World};
use crate::broker::Outcome;

impl World {
    /// Since when each destination with something in flight on the lane waits for a word.
    fn waits(&self) -> Vec<(Destination, Instant)> {
        let mut waits: Vec<(Destination, Instant)> = Vec::new();
        for &index in &self.lane {
            let seen = &self.all[index];
            let destination = seen.destination();
            let sent_at = seen.sent_at.expect("it is in flight");
            let since = self
                .answered
                .get(&destination)
                .map_or(sent_at, |at| sent_at.max(*at));
            match waits.iter_mut().find(|(other, _)| *other == destination) {
                Some((_, first)) => *first = since.min(*first),
                None => waits.push((destination, since)),
            }
        }
        waits
    }

    /// When the lane is to be given up, and for whom.
    fn stall(&self) -> Option<(Instant, Instant)> {
        if self.down || self.blocked {
            return None;
        }
        let since = self.waits().into_iter().map(|(_, since)| since).min()?;
        let late = self.unblocked_at.map_or(since, |at| at.max(since));
        Some((since, late + STALL_AFTER))
    }

    pub(super) fn check_silence(&self) {
        let check = self.dispatch.stall_check();
        if let Some((_, at)) = self.stall() {
            assert!(
                check.is_some_and(|check| check <= at),
                "nobody looks in time"
            );
        }
        let silent: Vec<_> = self.quarantined.iter().collect();
        assert_eq!(self.dispatch.quarantined(), silent.len(), "{silent:?}");
    }

    /// Looks whether the lane has stalled. When it has, the caller must take its connection away.
    pub(in super::super) fn look(&mut self) -> bool {
        let expected = self.stall().filter(|(_, at)| *at <= self.now);
        let told = self.dispatch.stalled(self.now, self.began);
        let Some((since, _)) = expected else {
            assert_eq!(told, None, "nobody is silent for so long");
            return false;
        };
        let stall = told.expect("somebody is silent for too long");
        let mut silent = self.waits();
        silent.retain(|(destination, _)| {
            self.answered.get(destination).is_none_or(|at| *at <= since)
        });
        assert_eq!(stall.silent, silent.len());
        self.quarantined
            .extend(silent.into_iter().map(|(destination, _)| destination));
        let named = (stall.exchange, stall.routing_key);
        assert!(self.quarantined.contains(&named), "{named:?}");
        true
    }

    /// The next message in quarantine is tried.
    pub(in super::super) fn probe(&mut self) -> Option<usize> {
        let handover = self.dispatch.next_probe(self.now)?;
        let index = self.handed_over(&handover, Whereabouts::Quarantine);
        let patience = handover.patience.expect("it is not waited for without end");
        assert!(patience <= STALL_AFTER);
        self.patience = patience;
        self.probes.push(index);
        Some(index)
    }

    /// How the try of a message in quarantine ended.
    pub(in super::super) fn probed(&mut self, index: usize, outcome: Outcome) {
        self.probes.retain(|other| *other != index);
        let row = self.row(index);
        self.end(index, &outcome);
        self.settles(|dispatch, ends| dispatch.ended(row, outcome, ends));
        self.forget_the_empty();
    }

    /// Any answer ends the quarantine of a destination.
    pub(super) fn hear(&mut self, index: usize, outcome: &Outcome) {
        let seen = &self.all[index];
        let answers = match outcome {
            Outcome::Unknown | Outcome::Unanswered | Outcome::Unsent => false,
            Outcome::Suspect(_) => seen.whereabouts == Whereabouts::Quarantine,
            _ => true,
        };
        if answers {
            let destination = seen.destination();
            self.quarantined.remove(&destination);
            self.answered.insert(destination, self.now);
        }
    }

    /// A message that was alone on probation got no answer.
    pub(super) fn was_silent_alone(&mut self, index: usize) {
        let destination = self.all[index].destination();
        self.quarantined.insert(destination);
    }

    /// Destinations of which nobody speaks any more are forgotten.
    pub(super) fn forget_the_empty(&mut self) {
        let (all, entries) = (&self.all, &self.dispatch.entries);
        let speaks_of = |seen: &Seen, (exchange, name): &Destination| {
            let draft = &seen.message.draft;
            let key = draft.ordering_key.as_ref();
            // Of those that were never looked at nothing is remembered.
            entries.contains_key(&seen.message.id.row())
                && draft.exchange == *exchange
                && (draft.routing_key == *name || key == Some(name))
        };
        self.quarantined
            .retain(|name| all.iter().any(|seen| speaks_of(seen, name)));
        self.taken
            .retain(|name| all.iter().any(|seen| speaks_of(seen, name)));
    }
}
