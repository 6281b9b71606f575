//! The delivering: takes what is due from the outbox, has it tried, and has what came of it kept.
//!
//! One task owns all of it. The outbox is asked when the doorbell rings, when something falls due, and
//! once a second in any case. Nothing is claimed in the store: what is being tried is only remembered
//! here, so after a crash it is simply due again, and its receiver knows it by its `webhook-id`.
//! How endpoints are kept from hurting each other is the business of [`super::lanes`].

mod ending;
mod reading;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};

use super::attempt::{Render, Teller};
use super::counts::Counts;
use super::directory::{CallerSecrets, Directory};
use super::doorbell::Doorbell;
use super::lanes::{LaneLimits, Lanes};
use super::send::Sender;
use crate::clock;
use crate::domain::WallTime;
use crate::domain::webhook::{Schedule, TryEnd};
use crate::store::{
    Delivery, DeliveryId, EndpointId, OutboxChange, OutboxStore, OutboxWriter, StoreError,
};

/// What the engine stands on.
pub struct Parts {
    /// Where deliveries are read.
    pub outbox: Arc<dyn OutboxStore>,
    /// Where what came of them is written.
    pub writer: Arc<dyn OutboxWriter>,
    /// Sends.
    pub sender: Arc<Sender>,
    /// Writes message resources.
    pub render: Arc<dyn Render>,
    /// Wakes the engine.
    pub doorbell: Arc<Doorbell>,
    /// Sign callbacks.
    pub callers: CallerSecrets,
    /// Counts.
    pub counts: Arc<Counts>,
}

/// What may be set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// When deliveries are tried again.
    pub schedule: Schedule,
    /// How much goes on at the same time.
    pub lanes: LaneLimits,
}

/// The shortest time between two questions to the outbox.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// A look may take one part of so many of the time.
const LOOK_SHARE: u32 = 4;

/// The longest: what the doorbell does not tell (a step of the clock) is noticed so late.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

/// The pause after the store could not do what it was asked.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Connections that idle are looked through so often.
const PRUNE_EVERY: Duration = Duration::from_secs(5);

/// Changes that are written together.
const CHANGES_MAX: usize = 512;

/// How long tries that are under way may take to end when the gateway stops.
const STOP_MAX: Duration = Duration::from_secs(3);

/// A try that has ended.
struct Ended {
    delivery: Delivery,
    end: TryEnd,
}

/// Delivers webhooks.
pub struct Engine {
    outbox: Arc<dyn OutboxStore>,
    teller: Arc<Teller>,
    doorbell: Arc<Doorbell>,
    counts: Arc<Counts>,
    settings: Settings,
    lanes: Lanes,
    directory: Directory,
    directory_read_at: Option<Instant>,
    trying: JoinSet<Ended>,
    results: Results,
    /// Endpoints that have just failed, and how.
    sweeps: Vec<(EndpointId, TryEnd)>,
    looked_at: Instant,
    look_took: Duration,
    look_at: Instant,
    pruned_at: Instant,
}

/// What is to be kept.
#[derive(Default)]
struct Results {
    changes: Vec<OutboxChange>,
    /// The deliveries among them, which are held until they are kept.
    tried: Vec<(EndpointId, DeliveryId)>,
}

type Write = Pin<Box<dyn Future<Output = (Results, Result<(), StoreError>)> + Send>>;

/// The store has failed for good.
struct Broken(StoreError);

impl Engine {
    /// An engine that has not begun, and where it will write.
    fn new(parts: Parts, settings: Settings) -> (Self, Arc<dyn OutboxWriter>) {
        let now = clock::monotonic();
        let engine = Self {
            outbox: parts.outbox,
            teller: Arc::new(Teller {
                sender: parts.sender,
                render: parts.render,
            }),
            doorbell: parts.doorbell,
            counts: parts.counts,
            lanes: Lanes::new(settings.lanes.clone()),
            settings,
            directory: Directory::new(parts.callers),
            directory_read_at: None,
            trying: JoinSet::new(),
            results: Results::default(),
            sweeps: Vec::new(),
            looked_at: now,
            look_took: Duration::ZERO,
            look_at: now,
            pruned_at: now,
        };
        (engine, parts.writer)
    }

    /// Delivers until it is told to stop, and returns when what came of the last tries is kept; or
    /// returns early, when the store has failed or a try has panicked, which must end the process.
    pub async fn run(parts: Parts, settings: Settings, mut stop: watch::Receiver<bool>) {
        let (mut engine, writer) = Self::new(parts, settings);
        if let Err(Broken(error)) = engine.deliver(&writer, &mut stop).await {
            tracing::error!(%error, "webhooks are no longer delivered");
            return;
        }
        engine.finish(&writer).await;
    }

    async fn deliver(
        &mut self,
        writer: &Arc<dyn OutboxWriter>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Broken> {
        let doorbell = Arc::clone(&self.doorbell);
        let mut writing: Option<Write> = None;
        let mut pause = Duration::ZERO;
        loop {
            if self.look_at <= clock::monotonic() {
                self.look().await?;
            }
            self.start_all();
            if writing.is_none() {
                writing = self.write(writer, pause);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = self.trying.join_next() => self.take_ended(ended)?,
                (part, kept) = pending_or(writing.as_mut()) => {
                    writing = None;
                    pause = self.written(part, kept)?;
                }
                () = doorbell.rung() => self.look_soon(),
                () = sleep_until(self.look_at.into()) => {}
            }
        }
        if let Some(writing) = writing
            && let Ok((part, kept)) = timeout(STOP_MAX, writing).await
        {
            self.written(part, kept)?;
        }
        Ok(())
    }

    /// Lets what is under way end, and has it kept.
    async fn finish(&mut self, writer: &Arc<dyn OutboxWriter>) {
        let last = clock::monotonic() + STOP_MAX;
        while self.lanes.under_way() > 0 {
            tokio::select! {
                Some(ended) = self.trying.join_next() => {
                    if self.take_ended(ended).is_err() {
                        return;
                    }
                }
                () = sleep_until(last.into()) => break,
            }
        }
        // What is cut off here is due again at the next start.
        self.trying.shutdown().await;
        while let Some(writing) = self.write(writer, Duration::ZERO) {
            if !matches!(timeout(STOP_MAX, writing).await, Ok((_, Ok(())))) {
                tracing::warn!("what came of webhooks was not kept, they are sent again");
                return;
            }
        }
    }

    /// What a look costs bounds how often there is one.
    fn look_soon(&mut self) {
        let pause = LOOK_PAUSE.max(self.look_took * LOOK_SHARE);
        self.look_at = self.look_at.min(self.looked_at + pause);
    }

    fn start_all(&mut self) {
        let now = clock::wall();
        while let Some(delivery) = self.lanes.start() {
            let Some(to) = self.directory.address(&delivery, now) else {
                self.lanes.dropped(delivery.endpoint, delivery.id);
                continue;
            };
            let teller = Arc::clone(&self.teller);
            self.trying.spawn(async move {
                let end = teller.attempt(&delivery, &to).await;
                Ended { delivery, end }
            });
        }
        self.counts.set_under_way(self.lanes.under_way());
    }

    fn take_ended(&mut self, first: Result<Ended, JoinError>) -> Result<(), Broken> {
        let mut next = Some(first);
        while let Some(ended) = next {
            let ended = ended.map_err(|error| Broken(StoreError::Fatal(error.to_string())))?;
            self.ended(&ended.delivery, ended.end);
            next = self.trying.try_join_next();
        }
        if self.lanes.is_hungry() {
            self.look_soon();
        }
        Ok(())
    }

    /// Begins to write what there is; the rest waits until that is done.
    fn write(&mut self, writer: &Arc<dyn OutboxWriter>, pause: Duration) -> Option<Write> {
        if self.results.changes.is_empty() {
            return None;
        }
        let changes = &mut self.results.changes;
        let tried = &mut self.results.tried;
        let part = Results {
            changes: changes.drain(..changes.len().min(CHANGES_MAX)).collect(),
            tried: Vec::new(),
        };
        let count = (part.changes.iter())
            .filter(|change| matches!(change, OutboxChange::Tried { .. }))
            .count();
        let part = Results {
            tried: tried.drain(..count).collect(),
            ..part
        };
        let writer = Arc::clone(writer);
        Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let kept = writer.write(part.changes.clone()).await;
            (part, kept)
        }))
    }

    /// Something was written, or was not and is written again after the pause that is returned: to
    /// keep a try twice does no harm.
    fn written(
        &mut self,
        mut part: Results,
        kept: Result<(), StoreError>,
    ) -> Result<Duration, Broken> {
        match kept {
            Ok(()) => {
                for (endpoint, id) in part.tried {
                    self.lanes.kept(endpoint, id);
                }
                Ok(Duration::ZERO)
            }
            Err(error @ StoreError::Fatal(_)) => Err(Broken(error)),
            Err(error) => {
                tracing::warn!(%error, "what came of webhooks is not kept yet");
                part.changes.append(&mut self.results.changes);
                part.tried.append(&mut self.results.tried);
                self.results = part;
                Ok(STORE_PAUSE)
            }
        }
    }
}

fn moment() -> (Instant, WallTime) {
    (clock::monotonic(), clock::wall())
}

async fn pending_or(writing: Option<&mut Write>) -> (Results, Result<(), StoreError>) {
    match writing {
        Some(writing) => writing.await,
        None => std::future::pending().await,
    }
}
