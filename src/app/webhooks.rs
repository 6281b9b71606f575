//! The delivering of webhooks, put together.

use std::sync::Arc;

use crate::config::Config;
use crate::http;
use crate::lifecycle::{Stop, Tasks};
use crate::notify::webhooks::{
    Counts, Doorbell, Engine, Parts, SendLimits, Sender, Settings, SystemResolver,
};
use crate::relay::Relay;
use crate::store::{OutboxChange, OutboxStore, OutboxWriter, Writing};
use crate::tls::{self, Roots};

/// Starts the engine. It stops with the lanes, when nothing ends any more.
pub(super) fn start(
    config: &Config,
    relay: &Relay,
    outbox: &Arc<dyn OutboxStore>,
    doorbell: &Arc<Doorbell>,
    counts: Arc<Counts>,
    tasks: &mut Tasks,
    stop: &Stop,
) {
    let webhooks = &config.webhooks;
    let tls = Roots::of_system().and_then(|roots| tls::client(roots, None));
    let tls = tls.inspect_err(|error| {
        tracing::warn!(%error, "no webhook can be sent through TLS");
    });
    let sender = Sender::new(
        Arc::new(SystemResolver::default()),
        tls.ok(),
        webhooks.allow.clone(),
        SendLimits::default(),
    );
    let secrets = webhooks.secrets.iter();
    let parts = Parts {
        outbox: Arc::clone(outbox),
        writer: Arc::new(relay.clone()),
        sender: Arc::new(sender),
        render: Arc::new(http::message_resource),
        doorbell: Arc::clone(doorbell),
        callers: secrets
            .map(|(caller, secrets)| (caller.clone(), secrets.clone()))
            .collect(),
        counts,
    };
    tasks.spawn(
        "webhooks",
        Engine::run(parts, Settings::default(), stop.watch()),
    );
}

/// Has what callers change kept, and tells the engine.
pub(super) struct Told {
    pub(super) relay: Relay,
    pub(super) doorbell: Arc<Doorbell>,
}

impl OutboxWriter for Told {
    fn write(&self, changes: Vec<OutboxChange>) -> Writing<'_> {
        Box::pin(async {
            self.relay.write(changes).await?;
            self.doorbell.ring();
            Ok(())
        })
    }
}
