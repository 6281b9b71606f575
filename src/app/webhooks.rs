//! The delivering of webhooks, put together.

use std::sync::Arc;

use crate::config::Config;
use crate::http;
use crate::lifecycle::{Stop, Tasks};
use crate::notify::webhooks::{
    CallerSecrets, Counts, Doorbell, Engine, Parts, SendLimits, Sender, Settings, SystemResolver,
};
use crate::relay::Relay;
use crate::store::{OutboxChange, OutboxStore, OutboxWriter, Writing};
use crate::tls::{self, Roots};

/// What is to be delivered, who signs it, and where it is counted.
pub(super) struct Outbox<'a> {
    pub(super) store: &'a Arc<dyn OutboxStore>,
    pub(super) doorbell: &'a Arc<Doorbell>,
    pub(super) callers: CallerSecrets,
    pub(super) counts: Arc<Counts>,
}

/// Starts the engine. It stops with the lanes, when nothing ends any more.
pub(super) fn start(
    config: &Config,
    relay: &Relay,
    outbox: Outbox<'_>,
    tasks: &mut Tasks,
    stop: &Stop,
) {
    let tls = Roots::of_system().and_then(|roots| tls::client(roots, None));
    let tls = tls.inspect_err(|error| {
        tracing::warn!(%error, "no webhook can be sent through TLS");
    });
    let sender = Sender::new(
        Arc::new(SystemResolver::default()),
        tls.ok(),
        config.webhook_allow.clone(),
        SendLimits::default(),
    );
    let parts = Parts {
        outbox: Arc::clone(outbox.store),
        writer: Arc::new(relay.clone()),
        sender: Arc::new(sender),
        render: Arc::new(http::message_resource),
        doorbell: Arc::clone(outbox.doorbell),
        callers: outbox.callers,
        counts: outbox.counts,
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
