//! What callers have used of their rates.
//!
//! The rates are those of the request at hand, so that a new configuration holds from the next one on. Only
//! callers that have a rate are counted, of which there are as many as were ever configured.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::problem::Problem;
use crate::clock;
use crate::domain::Caller;
use crate::domain::access::{Access, Bucket, Rate};

/// See the module.
pub(super) struct Quotas {
    used: Mutex<FxHashMap<Caller, Used>>,
    /// What times are told from.
    beginning: Instant,
}

/// Between two lines of log about the same caller.
const TELL_EVERY: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Used {
    requests: Bucket,
    messages: Bucket,
    /// Until when nothing more is told of it.
    told_until: Duration,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            used: Mutex::default(),
            beginning: clock::monotonic(),
        }
    }
}

impl Quotas {
    /// Counts a request, whatever it asks for.
    pub(super) fn take_request(&self, access: &Access) -> Result<(), Problem> {
        let Some(rate) = access.rights.requests else {
            return Ok(());
        };
        self.take(access, 1, rate, |used| &mut used.requests)
            .map_err(|wait| self.over(access, "sends more requests", rate, wait))
    }

    /// Counts messages that are about to be accepted, all of them or none.
    pub(super) fn take_messages(&self, access: &Access, count: usize) -> Result<(), Problem> {
        let Some(rate) = access.rights.messages.filter(|_| count > 0) else {
            return Ok(());
        };
        self.take(access, count, rate, |used| &mut used.messages)
            .map_err(|wait| self.over(access, "publishes more messages", rate, wait))
    }

    /// The lines of single requests do not say whose they are.
    fn over(&self, access: &Access, does: &'static str, rate: Rate, wait: Duration) -> Problem {
        let now = self.now();
        let mut used = self.used.lock();
        let used = used.entry(access.caller.clone()).or_default();
        if now >= used.told_until {
            used.told_until = now + TELL_EVERY;
            let (caller, Rate { per_second, burst }) = (&access.caller, rate);
            tracing::info!(%caller, does, per_second, burst, "a caller is over its rate");
        }
        Problem::rate_limited(does, rate, wait)
    }

    fn now(&self) -> Duration {
        clock::monotonic().saturating_duration_since(self.beginning)
    }

    fn take(
        &self,
        access: &Access,
        cost: usize,
        rate: Rate,
        bucket: impl FnOnce(&mut Used) -> &mut Bucket,
    ) -> Result<(), Duration> {
        let now = self.now();
        let mut used = self.used.lock();
        let used = used.entry(access.caller.clone()).or_default();
        bucket(used).take(cost, rate, now)
    }
}
