//! What was done since the start, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::domain::webhook::{ErrorClass, TryEnd};
use crate::store::DeliveryStatus;

/// Counters that only grow, and one gauge.
#[derive(Default)]
pub struct Counts {
    delivered: AtomicU64,
    given_up: AtomicU64,
    disabled: AtomicU64,
    failed: [AtomicU64; ErrorClass::ALL.len()],
    under_way: AtomicU64,
}

impl Counts {
    /// Deliveries that were taken.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// Deliveries that were given up.
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Relaxed)
    }

    /// Webhooks that the gateway has disabled.
    pub fn disabled(&self) -> u64 {
        self.disabled.load(Relaxed)
    }

    /// Tries that failed, by why.
    pub fn failed_tries(&self) -> [(ErrorClass, u64); ErrorClass::ALL.len()] {
        let mut at = 0;
        ErrorClass::ALL.map(|class| {
            at += 1;
            (class, self.failed[at - 1].load(Relaxed))
        })
    }

    /// Requests that wait for their answers.
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Relaxed)
    }

    pub(super) fn ended(&self, end: TryEnd, status: DeliveryStatus) {
        if let Some(error) = end.error() {
            let at = ErrorClass::ALL.iter().position(|class| *class == error);
            if let Some(counter) = at.and_then(|at| self.failed.get(at)) {
                counter.fetch_add(1, Relaxed);
            }
        }
        match status {
            DeliveryStatus::Waiting { .. } => {}
            DeliveryStatus::Delivered => drop(self.delivered.fetch_add(1, Relaxed)),
            DeliveryStatus::Failed => drop(self.given_up.fetch_add(1, Relaxed)),
        }
    }

    pub(super) fn disable(&self) {
        self.disabled.fetch_add(1, Relaxed);
    }

    pub(super) fn set_under_way(&self, count: usize) {
        self.under_way.store(count as u64, Relaxed);
    }
}
