//! What lanes pull from and report to: the thin shell around [`super::dispatch`].

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::dispatch::{Ends, Moment, Settled};
use super::journal::Journal;
use super::lanes::{LaneDesk, Lanes};
use crate::broker::{Feed, Handover, LaneEvent, Room};
use crate::{chance, clock};

/// Feeds one ordinary lane.
pub struct LaneFeed {
    pub(super) lanes: Arc<Lanes>,
    pub(super) journal: Arc<Journal>,
    pub(super) lane: usize,
    pub(super) settled: Vec<Settled>,
}

impl LaneFeed {
    fn desk(&self) -> &LaneDesk {
        &self.lanes.all()[self.lane]
    }
}

impl Feed for LaneFeed {
    fn pull(&mut self, now: Instant, room: Room, into: &mut Vec<Handover>) {
        let desk = self.desk();
        let mut dispatch = desk.dispatch.lock();
        let more = dispatch.pull(now, room, into);
        let questions = dispatch.has_questions();
        let at_gate = dispatch.waits_at_gate();
        let reading = dispatch.needs_reading();
        let quarantined = dispatch.quarantined() > 0;
        drop(dispatch);
        if quarantined {
            self.lanes.ring_quarantine();
        }
        if at_gate {
            self.journal.want_gate();
        }
        if reading {
            self.lanes.backlog.ring();
        }
        if more {
            desk.call.notify_one();
        }
        if questions {
            self.lanes.questions.notify_one();
        }
    }

    fn report(&mut self, now: Instant, events: &mut Vec<LaneEvent>) {
        let mut settled = std::mem::take(&mut self.settled);
        let mut dispatch = self.desk().dispatch.lock();
        dispatch.report(events.drain(..), &mut ends(now, &mut settled));
        let suspects = dispatch.has_suspects();
        drop(dispatch);
        if suspects {
            self.lanes.suspects.notify_one();
        }
        self.journal.settle(&mut settled);
        self.settled = settled;
    }

    fn deadline(&self) -> Option<Instant> {
        self.desk().dispatch.lock().deadline()
    }

    fn is_stalled(&mut self, now: Instant, slow_until: Instant) -> bool {
        let mut dispatch = self.desk().dispatch.lock();
        let stall = dispatch.stalled(now, slow_until);
        let renewal = dispatch.wants_renewal(now);
        drop(dispatch);
        if renewal {
            tracing::info!(
                lane = self.lane + 1,
                "a destination is only refused; it is tried over a fresh connection"
            );
        }
        if let Some(stall) = &stall {
            tracing::warn!(
                lane = self.lane + 1,
                exchange = %stall.exchange,
                routing_key = %stall.routing_key,
                silent = stall.silent,
                "a destination does not answer; the others go on over a fresh connection"
            );
        }
        stall.is_some() || renewal
    }

    fn stall_check(&self) -> Option<Instant> {
        let dispatch = self.desk().dispatch.lock();
        let checks = [dispatch.stall_check(), dispatch.renewal_check()];
        checks.into_iter().flatten().min()
    }

    fn call(&self) -> Arc<Notify> {
        Arc::clone(&self.desk().call)
    }

    fn wanted(&self) -> bool {
        true
    }
}

/// Feeds the probation lane: suspects of all lanes in turn, one in flight at a time. Whatever the
/// broker closes there hurts nobody else.
pub struct ProbationFeed {
    pub(super) lanes: Arc<Lanes>,
    pub(super) journal: Arc<Journal>,
    /// The lane whose suspect is in flight, or whose was last.
    pub(super) lane: usize,
    pub(super) settled: Vec<Settled>,
}

impl Feed for ProbationFeed {
    fn pull(&mut self, _now: Instant, room: Room, into: &mut Vec<Handover>) {
        if !room.empty {
            return;
        }
        let desks = self.lanes.all();
        for step in 1..=desks.len() {
            let lane = (self.lane + step) % desks.len();
            if let Some(suspect) = desks[lane].dispatch.lock().next_suspect() {
                self.lane = lane;
                into.push(suspect);
                return;
            }
        }
    }

    fn report(&mut self, now: Instant, events: &mut Vec<LaneEvent>) {
        let desk = &self.lanes.all()[self.lane];
        let mut dispatch = desk.dispatch.lock();
        for event in events.drain(..) {
            // Whether the probation lane is up is nobody's news but its own.
            if let LaneEvent::Ended(row, outcome) = event {
                dispatch.ended(row, outcome, &mut ends(now, &mut self.settled));
            }
        }
        drop(dispatch);
        desk.call.notify_one();
        self.journal.settle(&mut self.settled);
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// One that is alone is waited for as long as its patience says.
    fn is_stalled(&mut self, _now: Instant, _slow_until: Instant) -> bool {
        false
    }

    fn stall_check(&self) -> Option<Instant> {
        None
    }

    fn call(&self) -> Arc<Notify> {
        Arc::clone(&self.lanes.suspects)
    }

    fn wanted(&self) -> bool {
        self.lanes
            .all()
            .iter()
            .any(|desk| desk.dispatch.lock().has_suspects())
    }
}

pub(super) fn ends(now: Instant, settled: &mut Vec<Settled>) -> Ends<'_> {
    Ends {
        at: Moment {
            now,
            wall: clock::wall(),
        },
        dice: chance::fraction,
        settled,
    }
}
