//! Changes of the outbox of webhooks, on their way to the writer.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Journal, Phase};
use crate::domain::WallTime;
use crate::store::{DeliveryStatus, OutboxChange, StoreError};

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) changes: Vec<OutboxChange>,
    /// Those who wait for the commit of all of them.
    pub(super) written: Vec<oneshot::Sender<()>>,
}

impl Outbox {
    /// It is `now`: what says that it is from later was said before the clock was set back, and the
    /// pause that began there is as long as it was.
    pub(super) fn no_later_than(&mut self, now: WallTime) {
        for change in &mut self.changes {
            match change {
                OutboxChange::Tried { tried, status, .. } => {
                    let ahead_ms = tried.at.unix_ms().saturating_sub(now.unix_ms());
                    tried.at = tried.at.min(now);
                    if let DeliveryStatus::Waiting { next_at } = status {
                        *next_at = next_at.minus(Duration::from_millis(ahead_ms));
                    }
                }
                OutboxChange::Resend(_, at) => *at = now.min(*at),
                _ => {}
            }
        }
    }
}

impl Journal {
    /// Keeps changes, together or not at all; returns when they are committed.
    pub(in crate::relay) async fn write_outbox(
        &self,
        mut changes: Vec<OutboxChange>,
    ) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            if queue.phase == Phase::Ending {
                return Err(StoreError::Unavailable("the gateway is stopping".into()));
            }
            queue.outbox.changes.append(&mut changes);
            queue.outbox.written.push(tell);
            self.work.notify_one();
        }
        let lost = |_| StoreError::Unavailable("the commit was not answered".into());
        told.await.map_err(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeliveryId, Tried};

    fn at(ms: u64) -> WallTime {
        WallTime::from_unix_ms(ms)
    }

    fn tried(ms: u64, next_ms: u64) -> OutboxChange {
        OutboxChange::Tried {
            id: DeliveryId(1),
            tried: Tried {
                at: at(ms),
                status_code: Some(500),
                error: None,
            },
            status: DeliveryStatus::Waiting {
                next_at: at(next_ms),
            },
        }
    }

    #[test]
    fn a_pause_that_began_before_the_clock_was_set_back_is_as_long_as_it_was() {
        let resend = |ms| OutboxChange::Resend(DeliveryId(2), at(ms));
        let mut outbox = Outbox {
            changes: vec![
                tried(3_605_000, 3_610_000),
                tried(4000, 10_000),
                resend(9000),
                resend(4000),
            ],
            written: Vec::new(),
        };
        outbox.no_later_than(at(5000));
        let expected = [
            tried(5000, 10_000),
            tried(4000, 10_000),
            resend(5000),
            resend(4000),
        ];
        assert_eq!(outbox.changes, expected);
    }
}
