//! Webhooks as the relay would keep them.

use std::sync::Arc;

use super::{Model, Rig};
use crate::domain::webhook::{AllowList, Secret};
use crate::domain::{Caller, Limits, Rules};
use crate::http::Settings;
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{
    Batch, OutboxChange, OutboxStore as _, OutboxWriter, Webhook, WriteStore as _, Writing,
};

impl OutboxWriter for Model {
    fn write(&self, changes: Vec<OutboxChange>) -> Writing<'_> {
        Box::pin(async move {
            // Others run while a commit is under way.
            tokio::task::yield_now().await;
            if let Some(error) = self.write_fails.lock().take() {
                return Err(error);
            }
            let batch = Batch {
                outbox: &changes,
                ..Batch::default()
            };
            self.store.lock().commit(&batch)
        })
    }
}

impl Model {
    /// Keeps what the deliverer would.
    pub(in crate::http::tests) fn keep(&self, change: OutboxChange) {
        let outbox = [change];
        let batch = Batch {
            outbox: &outbox,
            ..Batch::default()
        };
        self.store.lock().commit(&batch).expect("commit");
    }

    /// The webhooks of everybody as they are kept, oldest first.
    pub(in crate::http::tests) fn webhooks(&self) -> Vec<Webhook> {
        self.store.lock().webhooks(None).expect("an answer")
    }
}

impl Rig {
    /// For one caller without a name, who has a secret, with something else than public addresses.
    pub(in crate::http::tests) fn with_allowed(allow: &str, settings: Settings) -> Self {
        let allow: AllowList = allow.parse().expect("a list");
        let limits = Limits::default();
        let store = MemoryStore::new(HistoryBudget {
            keys_kept: std::time::Duration::from_hours(24),
            messages_max: limits.history_messages_max,
            bytes_max: limits.history_bytes_max,
        });
        let rules = Rules {
            limits,
            broker_user: None,
            webhook_allow: allow,
        };
        let reader = Arc::new(store.clone());
        let rig = Self::ruled(store, reader, rules, settings);
        let secret = Secret::from_random([1; 4]);
        rig.callers.send_modify(|callers| {
            let added = Arc::make_mut(callers).add_secret(&Caller::default(), secret);
            added.expect("the first");
        });
        rig
    }
}
