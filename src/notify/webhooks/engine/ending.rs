//! What the end of a try leads to.

use super::super::results;
use super::{Engine, moment};
use crate::chance;
use crate::domain::webhook::{Health, Offence, TryEnd, Verdict};
use crate::domain::{MessageId, WallTime};
use crate::store::{Delivery, EndpointId};

impl Engine {
    pub(super) fn ended(&mut self, delivery: &Delivery, end: TryEnd) {
        let (now, wall) = moment();
        let verdict = self.bounded(end.verdict());
        let schedule = &self.settings.schedule;
        let status = results::status(delivery, verdict, schedule, wall, chance::fraction());
        self.counts.ended(end, status);
        let endpoint = delivery.endpoint;
        self.lanes.ended(endpoint, verdict, now, chance::fraction());
        self.results.tried.push((endpoint, delivery.id));
        let change = results::tried(delivery, end, status, wall);
        self.results.changes.push(change);
        if let Some(webhook) = results::webhook_of(delivery) {
            self.judge(webhook, endpoint, verdict, wall);
        }
        if self.lanes.is_ailing(endpoint) && !self.sweeps.iter().any(|(one, _)| *one == endpoint) {
            self.sweeps.push((endpoint, end));
        }
    }

    /// What a receiver asks for is honoured up to a bound.
    fn bounded(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Again {
                asked,
                endpoint_ails,
            } => Verdict::Again {
                asked: self.settings.schedule.asked(asked),
                endpoint_ails,
            },
            Verdict::Delivered | Verdict::Gone => verdict,
        }
    }

    /// A standing webhook that is gone, or has failed for days, is disabled.
    fn judge(&mut self, id: MessageId, endpoint: EndpointId, verdict: Verdict, wall: WallTime) {
        let Some(webhook) = self.directory.get(id).filter(|webhook| webhook.enabled) else {
            return;
        };
        let Some(failures) = self.lanes.failures(endpoint) else {
            return;
        };
        let before = Health {
            failures: *failures,
            // Others may have changed it: who enables a webhook gives it a new start.
            failing_since: webhook.failing_since,
        };
        let (health, offence) = before.after(verdict, wall);
        *failures = health.failures;
        if let Some(change) = results::of_webhook(webhook, health.failing_since, offence) {
            self.results.changes.push(change);
        }
        self.directory.failing(id, health.failing_since);
        if let Some(offence) = offence {
            *failures = 0;
            self.directory.disable(id);
            self.lanes.put_back(endpoint);
            self.counts.disable();
            let why = match offence {
                Offence::Gone => "it answered 410",
                Offence::Failing => "it has failed for days",
            };
            tracing::warn!(webhook = %id, why, "a webhook was disabled");
        }
    }
}
