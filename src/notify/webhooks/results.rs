//! What the end of a try changes: of its delivery, of its webhook.

use std::time::Duration;

use crate::domain::WallTime;
use crate::domain::webhook::{Offence, Schedule, TryEnd, Verdict};
use crate::store::{
    Delivery, DeliveryStatus, DisabledFor, OutboxChange, Recipient, Tried, Webhook,
};

/// What becomes of a delivery after a try that ended so at `now`. `chance` is from 0 to 1.
pub(super) fn status(
    delivery: &Delivery,
    verdict: Verdict,
    schedule: &Schedule,
    now: WallTime,
    chance: f64,
) -> DeliveryStatus {
    let asked = match verdict {
        Verdict::Delivered => return DeliveryStatus::Delivered,
        Verdict::Gone => return DeliveryStatus::Failed,
        Verdict::Again { asked, .. } => asked,
    };
    let tries = delivery.attempts.saturating_add(1);
    match schedule.pause(tries, chance, asked) {
        Some(pause) if !is_over_age(delivery, schedule, now) => DeliveryStatus::Waiting {
            next_at: now.plus_ms(ms(pause)),
        },
        _ => DeliveryStatus::Failed,
    }
}

/// Whether the outcome is so old that its delivery is given up when its endpoint fails.
pub(super) fn is_over_age(delivery: &Delivery, schedule: &Schedule, now: WallTime) -> bool {
    let told = delivery.record.outcome.as_ref();
    let settled_at = told.map_or(delivery.record.accepted_at, |outcome| outcome.settled_at);
    settled_at.plus_ms(ms(schedule.age_max)) <= now
}

/// The try of a delivery, as it is kept.
pub(super) fn tried(
    delivery: &Delivery,
    end: TryEnd,
    status: DeliveryStatus,
    at: WallTime,
) -> OutboxChange {
    OutboxChange::Tried {
        id: delivery.id,
        tried: Tried {
            at,
            status_code: end.status(),
            error: end.error().map(|class| class.as_str().into()),
        },
        status,
    }
}

/// What a standing webhook is told of itself, when that has changed.
pub(super) fn of_webhook(
    webhook: &Webhook,
    failing_since: Option<WallTime>,
    offence: Option<Offence>,
) -> Option<OutboxChange> {
    if let Some(offence) = offence {
        let why = match offence {
            Offence::Gone => DisabledFor::Gone,
            Offence::Failing => DisabledFor::Failing,
        };
        return Some(OutboxChange::Disable(webhook.id, why));
    }
    let changed = webhook.failing_since != failing_since;
    changed.then_some(OutboxChange::Failing(webhook.id, failing_since))
}

/// The standing webhook that a delivery is for.
pub(super) fn webhook_of(delivery: &Delivery) -> Option<crate::domain::MessageId> {
    match delivery.to {
        Recipient::Webhook(id) => Some(id),
        Recipient::Callback(_) => None,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
