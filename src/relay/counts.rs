//! What the relay has done since the start, for whoever watches it.
//!
//! The journal's writer counts, once for each commit; only the duration of an acceptance is taken for
//! each reply.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::{ReasonCode, Status, WallTime};
use crate::measure::Durations;
use crate::store::{Accepted, Settlement};

/// Reasons, and none.
const REASONS: usize = ReasonCode::ALL.len() + 1;

/// The statuses that are final.
const FINAL: [Status; 3] = [Status::Confirmed, Status::Returned, Status::Failed];

/// Counters that only grow.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicU64,
    accepted_payload_bytes: AtomicU64,
    replayed: AtomicU64,
    settled: [[AtomicU64; REASONS]; FINAL.len()],
    maybe_duplicated: AtomicU64,
    refused_commits: AtomicU64,
    accept: Durations,
    settle: Durations,
    commit: Durations,
}

impl Counts {
    /// Messages that were accepted, and are safe in the store.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// The bytes of their payloads.
    pub fn accepted_payload_bytes(&self) -> u64 {
        self.accepted_payload_bytes.load(Relaxed)
    }

    /// Messages that were given another life.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Relaxed)
    }

    /// Messages that were settled, by status and reason: all that there can be.
    pub fn settled(&self) -> impl Iterator<Item = (Status, Option<ReasonCode>, u64)> {
        let reasons = || std::iter::once(None).chain(ReasonCode::ALL.map(Some));
        let all = FINAL.into_iter().zip(&self.settled);
        all.flat_map(move |(status, counters)| {
            let counted = reasons().zip(counters);
            counted.map(move |(reason, counter)| (status, reason, counter.load(Relaxed)))
        })
        .filter(|(status, reason, count)| *count > 0 || can_be(*status, *reason))
    }

    /// Settled messages some hand-over of which left a doubt.
    pub fn maybe_duplicated(&self) -> u64 {
        self.maybe_duplicated.load(Relaxed)
    }

    /// Commits of new messages that the store had no room for.
    pub fn refused_commits(&self) -> u64 {
        self.refused_commits.load(Relaxed)
    }

    /// From a message's queueing for its commit to the end of that.
    pub fn accept(&self) -> &Durations {
        &self.accept
    }

    /// From acceptance, or when it was due, to the commit of the first final status; on the wall clock.
    pub fn settle(&self) -> &Durations {
        &self.settle
    }

    /// Of the store's commits.
    pub fn commit(&self) -> &Durations {
        &self.commit
    }

    pub(super) fn accepts(&self, accepted: &[Accepted]) {
        let payloads = accepted.iter().map(|one| one.message.draft.payload.len());
        let bytes = payloads.sum::<usize>();
        self.accepted.fetch_add(accepted.len() as u64, Relaxed);
        self.accepted_payload_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn replays(&self, count: usize) {
        self.replayed.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn refuses(&self) {
        self.refused_commits.fetch_add(1, Relaxed);
    }

    /// These are committed. `began` is when the first lives among them did.
    pub(super) fn settles(&self, settled: &[Settlement], began: &[WallTime], now: WallTime) {
        let mut counts = [[0; REASONS]; FINAL.len()];
        let mut doubtful = 0;
        for one in settled {
            let reason = one.reason.as_ref().map_or(0, |reason| place(reason.code));
            if let Some(status) = FINAL.iter().position(|status| *status == one.status) {
                counts[status][reason] += 1;
            }
            doubtful += u64::from(one.duplicate_possible);
        }
        for (counter, count) in self
            .settled
            .as_flattened()
            .iter()
            .zip(counts.as_flattened())
        {
            if *count > 0 {
                counter.fetch_add(*count, Relaxed);
            }
        }
        if doubtful > 0 {
            self.maybe_duplicated.fetch_add(doubtful, Relaxed);
        }
        let took =
            |began: &WallTime| Duration::from_millis(now.unix_ms().saturating_sub(began.unix_ms()));
        self.settle.observe_all(began.iter().map(took));
    }
}

/// Whether messages end so.
fn can_be(status: Status, reason: Option<ReasonCode>) -> bool {
    match (status, reason) {
        (Status::Confirmed, reason) => reason.is_none(),
        (Status::Returned, reason) => reason == Some(ReasonCode::NoRoute),
        (Status::Failed, Some(reason)) => !matches!(
            reason,
            // Why a message waits, and why one is returned.
            ReasonCode::NoRoute
                | ReasonCode::ConnectionLost
                | ReasonCode::BrokerUnavailable
                | ReasonCode::BrokerBlocked
        ),
        (Status::Failed | Status::Pending, _) => false,
    }
}

/// The counter of a reason; the first is that of none.
fn place(code: ReasonCode) -> usize {
    let at = ReasonCode::ALL.iter().position(|known| *known == code);
    at.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MessageId, Reason, RowId};

    fn settlement(status: Status, code: Option<ReasonCode>) -> Settlement {
        Settlement {
            id: MessageId::from_parts(RowId::from_stored(1), 0),
            status,
            reason: code.map(|code| Reason::own(code, "")),
            attempts: 1,
            duplicate_possible: status == Status::Failed,
            revision: 2,
            settled_at: WallTime::default(),
        }
    }

    #[test]
    fn every_end_that_there_can_be_is_told_from_the_start() {
        let counts = Counts::default();
        let told: Vec<_> = counts.settled().collect();
        assert!(told.contains(&(Status::Confirmed, None, 0)));
        assert!(told.contains(&(Status::Returned, Some(ReasonCode::NoRoute), 0)));
        assert!(told.contains(&(Status::Failed, Some(ReasonCode::Cancelled), 0)));
        assert_eq!(told.len(), 2 + 8, "{told:?}");
    }

    #[test]
    fn ends_are_counted_by_status_and_reason() {
        let counts = Counts::default();
        let settled = [
            settlement(Status::Confirmed, None),
            settlement(Status::Failed, Some(ReasonCode::Nacked)),
            settlement(Status::Confirmed, None),
            settlement(Status::Failed, Some(ReasonCode::ConnectionLost)),
        ];
        let at = WallTime::from_unix_ms;
        counts.settles(&settled, &[at(4_000), at(5_000)], at(5_000));
        let told: Vec<_> = counts
            .settled()
            .filter(|(_, _, count)| *count > 0)
            .collect();
        assert_eq!(
            told,
            [
                (Status::Confirmed, None, 2),
                (Status::Failed, Some(ReasonCode::Nacked), 1),
                (Status::Failed, Some(ReasonCode::ConnectionLost), 1),
            ]
        );
        assert_eq!(counts.maybe_duplicated(), 2);
        assert!((counts.settle().seen().sum_seconds - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_wall_clock_that_was_put_back_makes_no_long_times() {
        let counts = Counts::default();
        let at = WallTime::from_unix_ms;
        counts.settles(&[], &[at(9_000)], at(5_000));
        let seen = counts.settle().seen();
        assert_eq!((seen.count, seen.up_to[0].1), (1, 1));
    }
}
