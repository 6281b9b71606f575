//! The webhook resource (contract, section 5).

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::WallTime;
use crate::domain::webhook::{Secret, event};
use crate::store::{DisabledFor, WantedEvents, Webhook};

/// A standing webhook. Callers must ignore fields that they do not know.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(in crate::http) struct WebhookJson<'a> {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: String,
    /// Where outcomes are posted to.
    url: &'a str,
    /// Which outcomes.
    #[schema(value_type = Vec<String>)]
    events: Vec<&'static str>,
    /// Of which messages.
    filter: WebhookFilterJson<'a>,
    /// Whether outcomes are delivered. What happens while it is disabled is not delivered later; what
    /// waits then goes on waiting.
    enabled: bool,
    /// Why the gateway has disabled it: `gone`, it answered 410; `failing`, every try has failed for days.
    /// Null when it is enabled, or was disabled by its owner.
    #[schema(value_type = Option<String>, pattern = "^(gone|failing)$", required)]
    disabled_reason: Option<&'static str>,
    /// Since when every try has failed; null when the last one has not.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    failing_since: Option<String>,
    /// Until when the secret before the last rotation signs as well; null when none does.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    old_secret_expires_at: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: String,
    /// What deliveries are signed with. Told when it is made and when it is rotated, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false, required = false)]
    secret: Option<String>,
}

/// Which messages a webhook is about.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookFilter)]
pub(in crate::http) struct WebhookFilterJson<'a> {
    /// Those to this exchange, empty for the default one; null for all.
    #[schema(required)]
    exchange: Option<&'a str>,
    /// Those with this label; null for all, also without one.
    #[schema(required)]
    group: Option<&'a str>,
}

impl<'a> WebhookJson<'a> {
    /// The webhook as it stands at `now`, without its secret.
    pub(in crate::http) fn of(webhook: &'a Webhook, now: WallTime) -> Self {
        let old = webhook.old_secret.as_ref().map(|(_, until)| *until);
        Self {
            id: webhook.id.to_string(),
            url: &webhook.url,
            events: words(webhook.events),
            filter: WebhookFilterJson {
                exchange: webhook.exchange.as_deref(),
                group: webhook.group.as_deref(),
            },
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_for.map(word),
            failing_since: webhook.failing_since.map(|since| since.to_string()),
            old_secret_expires_at: old
                .filter(|until| *until > now)
                .map(|until| until.to_string()),
            created_at: webhook.created_at.to_string(),
            secret: None,
        }
    }

    /// With its secret, which is told this once.
    pub(in crate::http) fn with_secret(self, secret: &Secret) -> Self {
        Self {
            secret: Some(secret.reveal()),
            ..self
        }
    }
}

fn words(events: WantedEvents) -> Vec<&'static str> {
    let wanted = event::TYPES.into_iter();
    let wanted = wanted.filter(|(status, _)| events.wants(*status));
    wanted.map(|(_, word)| word).collect()
}

fn word(disabled: DisabledFor) -> &'static str {
    match disabled {
        DisabledFor::Gone => "gone",
        DisabledFor::Failing => "failing",
    }
}
