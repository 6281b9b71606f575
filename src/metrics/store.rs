//! What the store holds, and how much it may.
//!
//! When it does not answer, its figures are missing and the others are there.

use std::sync::Arc;

use super::{Families, Source};
use crate::clock;
use crate::domain::{RowId, WallTime};
use crate::store::{Facts, OutboxStore, ReadStore, StoreError};

/// Deliveries are counted one by one, up to here.
const WAITING_COUNTED_MAX: usize = 1_000_000;

/// Tells of the store.
pub struct OfStore {
    /// Is asked.
    pub messages: Arc<dyn ReadStore>,
    /// Is asked about webhooks.
    pub outbox: Arc<dyn OutboxStore>,
    /// The budget for its files; none when there are no files.
    pub bytes_max: Option<u64>,
    /// The budget for history.
    pub history_bytes_max: u64,
}

impl Source for OfStore {
    fn tell(&self, told: &mut Families) {
        if let Err(error) = self.try_tell(told) {
            tracing::warn!(%error, "the store could not be asked for its figures");
        }
    }
}

impl OfStore {
    fn try_tell(&self, told: &mut Families) -> Result<(), StoreError> {
        let facts = self.messages.facts()?;
        let waiting = self.outbox.waiting_deliveries(WAITING_COUNTED_MAX)?;
        self.room(told, &facts);
        told.gauge(
            "amqpost_webhook_deliveries_waiting",
            "Deliveries of webhooks that wait for their first or next try, counted up to a million.",
            waiting as u64,
        );
        let age = |row: RowId| seconds(clock::wall()) - seconds(row.time());
        told.gauges_of_fractions(
            "amqpost_oldest_pending_age_seconds",
            "Since when the oldest pending message whose time has come is there; 0 without one.",
            [([], facts.oldest_pending.map_or(0.0, age).max(0.0))],
        );
        let since = facts.horizon.map_or(0.0, |row| seconds(row.time()));
        told.gauges_of_fractions(
            "amqpost_history_since_timestamp_seconds",
            "Everything that was accepted later is kept, in seconds since 1970; 0 when nothing was forgotten.",
            [([], since)],
        );
        Ok(())
    }

    fn room(&self, told: &mut Families, facts: &Facts) {
        told.gauges(
            "amqpost_stored_messages",
            "Messages that are kept, by status.",
            [
                ("pending", facts.pending_messages()),
                ("confirmed", facts.confirmed),
                ("returned", facts.returned),
                ("failed", facts.failed),
            ]
            .map(|(status, count)| ([("status", status)], count)),
        );
        told.gauge(
            "amqpost_store_bytes",
            "Bytes of the store's files in use; 0 without files.",
            facts.file_bytes,
        );
        told.gauge(
            "amqpost_store_bytes_max",
            "How many there may be; 0 without files.",
            self.bytes_max.unwrap_or(0),
        );
        told.gauge(
            "amqpost_history_bytes",
            "Bytes of settled messages that are kept.",
            facts.history_bytes,
        );
        told.gauge(
            "amqpost_history_bytes_max",
            "How many there may be.",
            self.history_bytes_max,
        );
    }
}

fn seconds(time: WallTime) -> f64 {
    std::time::Duration::from_millis(time.unix_ms()).as_secs_f64()
}
