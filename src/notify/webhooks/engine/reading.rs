//! Asking the outbox.

use std::sync::Arc;
use std::time::Duration;

use super::super::results;
use super::{Broken, Engine, LOOK_AT_LEAST, LOOK_PAUSE, PRUNE_EVERY, STORE_PAUSE, moment};
use crate::clock;
use crate::domain::WallTime;
use crate::domain::webhook::TryEnd;
use crate::store::{Delivery, DeliveryStatus, EndpointId, OutboxStore, StoreError, Webhook};

/// Endpoints that are looked at together, besides those that are left alone at present.
const ENDPOINTS_MAX: usize = 256;

/// Webhooks are read again when they were read longer ago: a change of theirs is honoured so late.
const DIRECTORY_AGE_MAX: Duration = Duration::from_millis(250);

/// Deliveries that are looked through together for those that are given up.
const SWEEP_MAX: usize = 256;

/// What an endpoint has that is due.
struct Due {
    endpoint: EndpointId,
    deliveries: Vec<Delivery>,
    /// As many as were asked for, so that there may be more.
    is_full: bool,
}

impl Engine {
    /// Looks what is due and takes in what is needed of it.
    pub(super) async fn look(&mut self) -> Result<(), Broken> {
        let (now, _) = moment();
        self.looked_at = now;
        self.look_at = now + LOOK_AT_LEAST;
        if now.saturating_duration_since(self.pruned_at) >= PRUNE_EVERY {
            self.pruned_at = now;
            self.teller.sender.prune();
        }
        let read = self.read().await;
        self.look_took = clock::monotonic().saturating_duration_since(now);
        let Err(read) = read else {
            return Ok(());
        };
        if matches!(read, StoreError::Fatal(_)) {
            return Err(Broken(read));
        }
        tracing::warn!(error = %read, "the outbox of webhooks cannot be read");
        self.look_at = clock::monotonic() + STORE_PAUSE;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let (now, wall) = moment();
        self.lanes.fed(now);
        let max = ENDPOINTS_MAX + self.lanes.paused(now);
        let waiting = self
            .ask(move |outbox| outbox.waiting_endpoints(max))
            .await?;
        let later = waiting
            .iter()
            .filter(|(_, at)| *at > wall)
            .map(|(_, at)| *at);
        self.look_no_later_than(later.min(), wall);
        let mut wanted = Vec::new();
        for (endpoint, _) in waiting.iter().filter(|(_, at)| *at <= wall) {
            match self.lanes.wants(*endpoint, now) {
                0 => self.lanes.has_more(*endpoint),
                max => wanted.push((*endpoint, max)),
            }
        }
        if !wanted.is_empty() {
            let read = self.ask(move |outbox| due_of(outbox, wanted, wall)).await?;
            self.read_directory(&read).await?;
            for due in read {
                self.lanes
                    .take_in(due.endpoint, due.deliveries, due.is_full, now);
            }
        }
        self.sweep(wall).await
    }

    /// The outbox is asked on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn OutboxStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let outbox = Arc::clone(&self.outbox);
        tokio::task::spawn_blocking(move || question(&*outbox))
            .await
            .map_err(|error| StoreError::Fatal(error.to_string()))?
    }

    /// Reads the webhooks again when they are old or one is not known.
    async fn read_directory(&mut self, read: &[Due]) -> Result<(), StoreError> {
        let (now, _) = moment();
        let fresh = (self.directory_read_at)
            .is_some_and(|at| now.saturating_duration_since(at) < DIRECTORY_AGE_MAX);
        let mut deliveries = read.iter().flat_map(|due| &due.deliveries);
        let known = deliveries.all(|delivery| {
            results::webhook_of(delivery).is_none_or(|id| self.directory.get(id).is_some())
        });
        if fresh && known {
            return Ok(());
        }
        let webhooks: Vec<Webhook> = self.ask(|outbox| outbox.webhooks(None)).await?;
        self.directory.replace(webhooks);
        self.directory_read_at = Some(now);
        Ok(())
    }

    /// Gives up what is too old of endpoints that have just failed, as if it had been tried with what
    /// was tried.
    async fn sweep(&mut self, wall: WallTime) -> Result<(), StoreError> {
        let sweeps = std::mem::take(&mut self.sweeps);
        for (endpoint, end) in sweeps {
            let max = self.lanes.held_of(endpoint) + SWEEP_MAX;
            let ask = move |outbox: &dyn OutboxStore| outbox.due_deliveries(endpoint, wall, max);
            let due = self.ask(ask).await?;
            let old = |delivery: &Delivery| {
                results::is_over_age(delivery, &self.settings.schedule, wall)
                    && !self.lanes.holds(endpoint, delivery.id)
            };
            let old: Vec<_> = due.into_iter().filter(old).collect();
            if old.len() >= SWEEP_MAX {
                self.sweeps.push((endpoint, end));
                self.look_soon();
            }
            for delivery in old {
                self.give_up(&delivery, end, wall);
            }
        }
        Ok(())
    }

    fn give_up(&mut self, delivery: &Delivery, end: TryEnd, wall: WallTime) {
        let status = DeliveryStatus::Failed;
        self.lanes.hold(delivery.endpoint, delivery.id);
        self.results.tried.push((delivery.endpoint, delivery.id));
        let change = results::tried(delivery, end, status, wall);
        self.results.changes.push(change);
        self.counts.ended(end, status);
    }

    fn look_no_later_than(&mut self, at: Option<WallTime>, wall: WallTime) {
        if let Some(at) = at {
            let pause = Duration::from_millis(at.unix_ms().saturating_sub(wall.unix_ms()));
            self.look_at = self.look_at.min(self.looked_at + pause.max(LOOK_PAUSE));
        }
        if let Some(end) = self.lanes.next_pause_end(self.looked_at) {
            self.look_at = self.look_at.min(end);
        }
    }
}

fn due_of(
    outbox: &dyn OutboxStore,
    wanted: Vec<(EndpointId, usize)>,
    wall: WallTime,
) -> Result<Vec<Due>, StoreError> {
    let read = |(endpoint, max)| {
        let deliveries = outbox.due_deliveries(endpoint, wall, max)?;
        Ok(Due {
            endpoint,
            is_full: deliveries.len() >= max,
            deliveries,
        })
    };
    wanted.into_iter().map(read).collect()
}
