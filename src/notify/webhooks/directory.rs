//! What deliveries need to know of standing webhooks, as read from the store a moment ago.

use rustc_hash::FxHashMap;

use crate::domain::webhook::Secret;
use crate::domain::{Caller, MessageId, WallTime};
use crate::store::{Delivery, Recipient, Webhook};

/// The secrets that sign a caller's callbacks at this time: the one in force and, while it is rotated, the
/// one before.
pub type CallerSecrets = Box<dyn Fn(&Caller) -> Vec<Secret> + Send + Sync>;

/// Where a delivery goes and who signs it.
#[derive(Clone, Debug)]
pub(super) struct Addressed {
    pub(super) url: Box<str>,
    pub(super) secrets: Vec<Secret>,
}

/// Standing webhooks by id, and the secrets of callers.
pub(super) struct Directory {
    callers: CallerSecrets,
    webhooks: FxHashMap<MessageId, Webhook>,
}

impl Directory {
    pub(super) fn new(callers: CallerSecrets) -> Self {
        Self {
            callers,
            webhooks: FxHashMap::default(),
        }
    }

    pub(super) fn replace(&mut self, webhooks: Vec<Webhook>) {
        self.webhooks = (webhooks.into_iter())
            .map(|webhook| (webhook.id, webhook))
            .collect();
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Webhook> {
        self.webhooks.get(&id)
    }

    /// The gateway has just disabled it; the store says so too at the next reading.
    pub(super) fn disable(&mut self, id: MessageId) {
        if let Some(webhook) = self.webhooks.get_mut(&id) {
            webhook.enabled = false;
        }
    }

    /// Since when the gateway knows it to fail; the store says so too at the next reading.
    pub(super) fn failing(&mut self, id: MessageId, since: Option<WallTime>) {
        if let Some(webhook) = self.webhooks.get_mut(&id) {
            webhook.failing_since = since;
        }
    }

    /// Where a delivery goes; `None` when its webhook is gone or disabled.
    pub(super) fn address(&self, delivery: &Delivery, now: WallTime) -> Option<Addressed> {
        match &delivery.to {
            Recipient::Callback(url) => Some(Addressed {
                url: url.clone(),
                secrets: (self.callers)(&delivery.record.caller),
            }),
            Recipient::Webhook(id) => {
                let webhook = self.webhooks.get(id).filter(|webhook| webhook.enabled)?;
                let old = webhook.old_secret.as_ref();
                let old = old.filter(|(_, until)| *until > now).map(|(old, _)| old);
                // What the store keeps was a secret when it was kept.
                let secrets = std::iter::once(&webhook.secret).chain(old);
                Some(Addressed {
                    url: webhook.url.clone(),
                    secrets: secrets.filter_map(|text| text.parse().ok()).collect(),
                })
            }
        }
    }
}
