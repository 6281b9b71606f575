//! The dispatches of all lanes, shared between the lanes' tasks, the journal and those who ask.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::dispatch::{Dispatch, Moment, Settings};
use super::{BrokerHealth, Progress};
use crate::clock;
use crate::domain::order::OrderKey;
use crate::domain::{Message, Reason, ReasonCode, RowId};

/// One lane's dispatch, and the bell of the task that works for it.
pub(super) struct LaneDesk {
    pub(super) dispatch: Mutex<Dispatch>,
    pub(super) call: Arc<Notify>,
}

/// See the module.
pub(super) struct Lanes {
    desks: Vec<LaneDesk>,
    /// Rings when some lane has suspects.
    pub(super) suspects: Arc<Notify>,
    /// Rings when some lane has questions about exchanges.
    pub(super) questions: Notify,
}

impl Lanes {
    pub(super) fn new(count: usize, settings: &Settings) -> Self {
        let down = Reason::own(
            ReasonCode::BrokerUnavailable,
            "no connection to the broker was made yet",
        );
        let desk = || LaneDesk {
            dispatch: Mutex::new(Dispatch::new(settings.clone(), down.clone())),
            call: Arc::default(),
        };
        Self {
            desks: (0..count.max(1)).map(|_| desk()).collect(),
            suspects: Arc::default(),
            questions: Notify::new(),
        }
    }

    pub(super) fn all(&self) -> &[LaneDesk] {
        &self.desks
    }

    /// Gives newly committed messages to their lanes, in order; `messages` is left empty.
    pub(super) fn enqueue(&self, messages: &mut Vec<Arc<Message>>) {
        if messages.is_empty() {
            return;
        }
        let mut by_lane: Vec<Vec<Arc<Message>>> = vec![Vec::new(); self.desks.len()];
        for message in messages.drain(..) {
            let lane = OrderKey::of(&message.draft).lane(self.desks.len());
            by_lane[lane].push(message);
        }
        for (desk, messages) in self.desks.iter().zip(by_lane) {
            if !messages.is_empty() {
                desk.dispatch.lock().enqueue(messages);
                desk.call.notify_one();
            }
        }
    }

    pub(super) fn progress(&self, key: OrderKey<'_>, row: RowId) -> Progress {
        let desk = &self.desks[key.lane(self.desks.len())];
        desk.dispatch.lock().progress(row, moment())
    }

    pub(super) fn health(&self) -> BrokerHealth {
        let mut health = BrokerHealth {
            lanes_up: 0,
            lanes_blocked: 0,
            lanes: self.desks.len(),
            reason: None,
        };
        for desk in &self.desks {
            let dispatch = desk.dispatch.lock();
            health.lanes_up += usize::from(dispatch.is_up());
            health.lanes_blocked += usize::from(dispatch.is_up() && dispatch.is_blocked());
            health.reason = health.reason.or_else(|| dispatch.trouble());
        }
        health
    }

    pub(super) fn in_flight(&self) -> usize {
        self.desks
            .iter()
            .map(|desk| desk.dispatch.lock().in_flight())
            .sum()
    }

    /// No lane hands anything over any more.
    pub(super) fn halt(&self) {
        for desk in &self.desks {
            desk.dispatch.lock().halt();
        }
    }
}

/// This moment.
pub(super) fn moment() -> Moment {
    Moment {
        now: clock::monotonic(),
        wall: clock::wall(),
    }
}
