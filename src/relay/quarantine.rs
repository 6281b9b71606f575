//! What the quarantine lanes pull from and report to: destinations that do not answer are tried here,
//! one message at a time on each connection, so that a silent one delays nobody but itself.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::dispatch::Settled;
use super::feeds::ends;
use super::journal::Journal;
use super::lanes::{Lanes, QUARANTINE_LANES};
use crate::broker::{Feed, Handover, LaneEvent, Room};
use crate::clock;

/// Feeds one of the quarantine lanes: destinations of all lanes in turn.
pub struct QuarantineFeed {
    pub(super) lanes: Arc<Lanes>,
    pub(super) journal: Arc<Journal>,
    /// Which of the quarantine lanes, from 0. So many others come first when there is little to do.
    pub(super) number: usize,
    /// The lane whose message is in flight, or whose was last.
    pub(super) lane: usize,
    pub(super) settled: Vec<Settled>,
}

impl Feed for QuarantineFeed {
    fn pull(&mut self, now: Instant, room: Room, into: &mut Vec<Handover>) {
        if !room.empty {
            return;
        }
        let desks = self.lanes.all();
        for step in 1..=desks.len() {
            let lane = (self.lane + step) % desks.len();
            let probe = desks[lane].dispatch.lock().next_probe(now);
            if let Some(probe) = probe {
                self.lane = lane;
                into.push(probe);
                return;
            }
        }
    }

    fn report(&mut self, now: Instant, events: &mut Vec<LaneEvent>) {
        let desk = &self.lanes.all()[self.lane];
        let mut ended = false;
        let mut dispatch = desk.dispatch.lock();
        for event in events.drain(..) {
            // Whether this lane is up is nobody's news but its own.
            if let LaneEvent::Ended(row, outcome) = event {
                dispatch.ended(row, outcome, &mut ends(now, &mut self.settled));
                ended = true;
            }
        }
        let suspects = dispatch.has_suspects();
        drop(dispatch);
        if ended {
            desk.call.notify_one();
            self.lanes.ring_quarantine();
        }
        if suspects {
            self.lanes.suspects.notify_one();
        }
        self.journal.settle(&mut self.settled);
    }

    fn deadline(&self) -> Option<Instant> {
        let desks = self.lanes.all().iter();
        desks
            .filter_map(|desk| desk.dispatch.lock().next_probe_at())
            .min()
    }

    /// One that is alone is waited for as long as its patience says.
    fn is_stalled(&mut self, _now: Instant, _slow_until: Instant) -> bool {
        false
    }

    fn stall_check(&self) -> Option<Instant> {
        None
    }

    fn call(&self) -> Arc<Notify> {
        Arc::clone(&self.lanes.quarantine[self.number])
    }

    fn wanted(&self) -> bool {
        let now = clock::monotonic();
        let desks = self.lanes.all().iter();
        let probes = desks.map(|desk| desk.dispatch.lock().probes(now, QUARANTINE_LANES));
        probes.sum::<usize>() > self.number
    }
}
