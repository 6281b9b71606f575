//! The standing webhooks of callers (contract, section 5). Each endpoint is one file.
//!
//! A webhook belongs to the caller that made it, and to everybody else it is as unknown as one that never
//! was. Its secret is told when it is made and when it is rotated, and never again. What is delivered, and
//! how, is `notify`'s business.

pub(super) mod create;
pub(super) mod delete;
pub(super) mod deliveries;
pub(super) mod delivery_json;
pub(super) mod get;
pub(super) mod list;
mod path;
pub(super) mod resend;
pub(super) mod rotate_secret;
pub(super) mod update;
pub(super) mod webhook_json;

use std::sync::Arc;

use tokio::sync::Mutex;

use super::message_json::MessageJson;
use super::problem::{Code, Problem};
use super::state::Gateway;
use super::wait;
use crate::chance;
use crate::domain::webhook::Secret;
use crate::domain::{Caller, IdMinter, MessageId};
use crate::relay::Progress;
use crate::store::{OutboxChange, OutboxStore, OutboxWriter, Record, StoreError, Webhook};

/// What the endpoints of webhooks work with.
pub struct Webhooks {
    store: Arc<dyn OutboxStore>,
    writer: Arc<dyn OutboxWriter>,
    /// Mints ids. Who makes a webhook holds it from the counting of the caller's to the commit, so that
    /// two who race do not both take the last place.
    making: Mutex<IdMinter>,
}

impl Webhooks {
    /// Webhooks that are read from `store` and changed through `writer`.
    #[must_use]
    pub fn new(store: Arc<dyn OutboxStore>, writer: Arc<dyn OutboxWriter>) -> Self {
        Self {
            store,
            writer,
            making: Mutex::default(),
        }
    }

    /// The webhooks of `caller`, oldest first.
    async fn of(&self, caller: &Caller) -> Result<Vec<Webhook>, Problem> {
        let caller = caller.clone();
        wait::ask_of(&self.store, move |store| store.webhooks(Some(&caller))).await
    }

    /// Done when the change is committed.
    async fn write(&self, change: OutboxChange) -> Result<(), Problem> {
        let written = self.writer.write(vec![change]).await;
        written.map_err(|error| not_written(&error))
    }
}

/// The message of a record as the API tells it, for the bodies of webhooks.
#[must_use]
pub fn message_resource(record: &Record) -> Vec<u8> {
    let ended = Progress::default();
    let told = MessageJson::of_record(record, &ended);
    // Everything that is told consists of strings and numbers, so this is never the empty fallback.
    serde_json::to_vec(&told).unwrap_or_default()
}

/// The webhook of this id, if it is the caller's.
async fn find(gateway: &Gateway, caller: &Caller, id: MessageId) -> Result<Webhook, Problem> {
    let webhooks = gateway.webhooks.of(caller).await?;
    let found = webhooks.into_iter().find(|webhook| webhook.id == id);
    found.ok_or_else(path::unknown_webhook)
}

/// A secret that nobody can have guessed.
fn new_secret() -> Secret {
    Secret::from_random(std::array::from_fn(|_| chance::bits()))
}

fn not_written(error: &StoreError) -> Problem {
    tracing::warn!(%error, "a change of webhooks was not kept");
    match error {
        StoreError::Full => Problem::new(
            Code::StoreFull,
            "the store has no room for it; nothing was changed",
        ),
        StoreError::Unavailable(_) | StoreError::Fatal(_) => Problem::new(
            Code::OutcomeUnknown,
            "the store did not confirm the change: it may or may not have been made, so look before you \
             ask for it again",
        ),
    }
}
