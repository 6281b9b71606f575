//! The one place where the parts are put together, in the order in which they start; they stop the
//! other way round.

mod certificates;
mod descriptors;
mod gateway;
mod listeners;
mod metrics;
mod reload;
mod sampling;
mod storage;
mod topology;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::broker::rabbitmq::{Broker, Window};
use crate::clock;
use crate::config::{Config, Inputs, StoreUrl, TopologyFileError, read_topology};
use crate::domain::access::Callers;
use crate::domain::topology::Status;
use crate::domain::{Caller, Topology};
use crate::lifecycle::{Ended, Stop, StopSignals, Tasks, systemd};
use crate::notify::webhooks::Counts;
use crate::notify::{Events, Everybody, Waiters};
use crate::observe;
use crate::relay::Relay;
use crate::store::sqlite::OpenError;
use crate::tls::TlsError;
use certificates::Certificates;
use listeners::{bind, listen, serve_http};
use reload::Reloading;
use storage::{Readers, Storage};
use topology::{Declaring, Gate};

/// How long a gateway that has failed goes on answering.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long a gateway that stops waits for the collector of its traces.
const LAST_TRACES: Duration = Duration::from_secs(5);

/// Why the gateway could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// TLS is wanted and cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The configured topology cannot be used.
    #[error(transparent)]
    Topology(#[from] TopologyFileError),
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The system did not give what every process needs.
    #[error("the system refused a thread or signal: {0}")]
    System(std::io::Error),
    /// A part has failed.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Serves as `config` says until the process is asked to stop. Callers are read anew from `inputs`.
///
/// # Errors
/// [`AppError`], when the gateway cannot start or a part of it fails.
pub async fn serve(config: Config, inputs: Inputs) -> Result<(), AppError> {
    tokio::select! {
        ended = run(config, inputs) => ended,
        never = systemd::watchdog() => match never {},
    }
}

async fn run(config: Config, inputs: Inputs) -> Result<(), AppError> {
    let reloading = Reloading::new(inputs, &config).map_err(AppError::System)?;
    let certificates = Certificates::read(&config)?;
    let broker = broker(&config, &certificates);
    let file = config.topology_file.as_deref();
    let topology = file.map(|file| read_topology(file, config.brokers.vhost()));
    let topology = topology.transpose()?;
    let (listener, address) = listen(&config, &certificates).await?;
    let management = match config.management_listen {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let told = Arc::new(Everybody {
        waiters: Arc::new(Waiters::default()),
        events: Arc::new(Events::new(config.http.event_streams_max)),
        doorbell: Arc::default(),
    });
    let Storage {
        relay,
        writer,
        readers,
    } = storage::open(&config, &told, reloading.callers())?;

    // Before anything begins that a stop has to end in order.
    let mut signals = StopSignals::watch().map_err(AppError::System)?;
    let mut parts = Running::default();
    parts
        .journal
        .spawn_thread("journal", move || writer.run())
        .map_err(AppError::System)?;
    start_readers(&relay, &mut parts)?;
    let (gate, topology) = declare(&broker, topology, &mut parts);
    start_lanes(&broker, &relay, &gate, &mut parts);
    let callers = reloading.callers();
    let counts = start_webhooks(&config, &relay, &readers, &told, &callers, &mut parts);
    let metrics = metrics::all(&config, &relay, &readers, &told, &counts);
    let rates = sampling::start(callers, &readers.messages, &mut parts);
    let tail =
        Arc::clone(&told.events).tail(Arc::clone(&readers.messages), parts.stop_http.watch());
    parts.http.spawn("tail of events", tail);
    let watched = gateway::Watched {
        topology,
        rates,
        metrics,
        callers: reloading.callers(),
        reloads: reloading.loaded(),
    };
    let gateway = gateway::over(&config, &relay, readers, &told, watched, &parts);
    (parts.http).spawn("reloading", reloading.run(parts.stop_http.watch()));
    serve_http(listener, management, gateway, &mut parts);
    certificates
        .keep_fresh(&mut parts.lanes, &parts.stop_lanes)
        .map_err(AppError::System)?;
    let https = config.https.is_some();
    tracing::info!(%address, https, lanes = config.lanes, "listening");
    warn_about(&config);
    systemd::ready(&format!("listening on {address}"));

    let delay = config.shutdown_delay;
    if let Err(ended) = parts.until_asked_to_stop(&mut signals, delay).await {
        parts.answer_the_last().await;
        export_the_last(LAST_ANSWERS).await;
        return Err(ended.into());
    }
    let asked = clock::monotonic();
    parts.stop(&config, &relay).await?;
    let used = clock::monotonic().duration_since(asked);
    export_the_last(config.shutdown_grace.saturating_sub(used)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Sends the traces that are left within what is left of the grace period: a moment at least, and not so long
/// that a collector that is silent would delay the next start.
async fn export_the_last(left: Duration) {
    let limit = left.clamp(LAST_ANSWERS, LAST_TRACES);
    let stopping = tokio::task::spawn_blocking(move || observe::stop(limit));
    if let Err(error) = stopping.await {
        tracing::warn!(%error, "some traces were not exported");
    }
}

fn broker(config: &Config, certificates: &Certificates) -> Broker {
    let window = Window {
        messages: config.window_messages,
        bytes: config.window_bytes,
    };
    Broker::new(
        config.brokers.urls(),
        window,
        config.heartbeat,
        config.connect_timeout,
        certificates.for_broker(),
    )
}

/// The tasks of the process, by the order in which they stop.
#[derive(Default)]
struct Running {
    leaving: Stop,
    http: Tasks,
    stop_http: Stop,
    lanes: Tasks,
    stop_lanes: Stop,
    journal: Tasks,
}

impl Running {
    /// Returns when some part has ended, which none should.
    async fn ended(&mut self) -> Ended {
        tokio::select! {
            ended = self.http.ended() => ended,
            ended = self.lanes.ended() => ended,
            ended = self.journal.ended() => ended,
        }
    }

    /// Returns when the process is to stop: `delay` after it was asked to, during which it says that it is
    /// not ready and serves nevertheless. Whoever asks again does not want to wait.
    async fn until_asked_to_stop(
        &mut self,
        signals: &mut StopSignals,
        delay: Duration,
    ) -> Result<(), Ended> {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            ended = self.ended() => return Err(ended),
        };
        tracing::info!(signal, delay_seconds = delay.as_secs(), "stopping");
        self.leaving.tell();
        systemd::stopping("settling what is in flight");
        if delay.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            _ = signals.next() => Ok(()),
            ended = self.ended() => Err(ended),
        }
    }

    /// Some part has failed, and the process is about to end: whoever waits for an answer gets it, such
    /// as that the outcome is not known.
    async fn answer_the_last(&mut self) {
        self.stop_http.tell();
        // What has not been answered by then sees its connection end.
        let _ = timeout(LAST_ANSWERS, self.http.all_ended()).await;
    }

    async fn stop(mut self, config: &Config, relay: &Relay) -> Result<(), Ended> {
        let drain = async {
            relay.close();
            self.stop_http.tell();
            // A slow client must not use up the time in which messages settle.
            let (served, ()) = tokio::join!(self.http.all_ended(), relay.drained());
            served
        };
        let drained = tokio::select! {
            drained = timeout(config.shutdown_grace, drain) => drained,
            // Without its writer nothing drains any more.
            ended = self.journal.ended() => return Err(ended),
        };
        if let Ok(drained) = drained {
            drained?;
        } else {
            tracing::warn!("the grace period is over and messages are still in flight");
        }
        self.stop_lanes.tell();
        relay.stop_reading();
        self.lanes.all_ended().await?;
        let pending = relay.health().pending_messages;
        if pending > 0 {
            tracing::info!(
                pending,
                scheduled = relay.scheduled_messages(),
                durable = relay.survives_restart(),
                "messages are left pending"
            );
        }
        relay.end();
        self.journal.all_ended().await
    }
}

/// Starts declaring, if there is something to declare, and tells what becomes of it. The gate opens
/// when publishing may begin.
fn declare(
    broker: &Broker,
    topology: Option<Topology>,
    parts: &mut Running,
) -> (Gate, watch::Receiver<Status>) {
    let Some(topology) = topology else {
        return (Gate::opened(), watch::Sender::default().subscribe());
    };
    let gate = Gate::default();
    let declaring = Declaring::new(broker.declarer(), topology, gate.clone());
    let status = declaring.status();
    let stop = parts.stop_lanes.watch();
    parts.lanes.spawn("topology", declaring.run(stop));
    (gate, status)
}

/// Starts what reads the store for the relay.
fn start_readers(relay: &Relay, parts: &mut Running) -> Result<(), AppError> {
    let (backlog, replays) = (relay.backlog_reader(), relay.bulk_replayer());
    parts
        .lanes
        .spawn_thread("backlog reader", move || backlog.run())
        .and_then(|()| (parts.lanes).spawn_thread("bulk replayer", move || replays.run()))
        .map_err(AppError::System)
}

fn start_webhooks(
    config: &Config,
    relay: &Relay,
    readers: &Readers,
    told: &Everybody,
    callers: &watch::Receiver<Arc<Callers>>,
    parts: &mut Running,
) -> Arc<Counts> {
    let (tasks, stop) = (&mut parts.lanes, &parts.stop_lanes);
    let counts = Arc::new(Counts::default());
    let callers = callers.clone();
    let secrets = Box::new(move |caller: &Caller| callers.borrow().secrets(caller).to_vec());
    let outbox = webhooks::Outbox {
        store: &readers.outbox,
        doorbell: &told.doorbell,
        callers: secrets,
        counts: Arc::clone(&counts),
    };
    webhooks::start(config, relay, outbox, tasks, stop);
    counts
}

fn start_lanes(broker: &Broker, relay: &Relay, gate: &Gate, parts: &mut Running) {
    let (tasks, stop) = (&mut parts.lanes, &parts.stop_lanes);
    for (number, feed) in (1..).zip(relay.lane_feeds()) {
        let name = format!("lane {number}");
        let feed = gate.before(feed);
        tasks.spawn(name.clone(), broker.lane(name).run(feed, stop.watch()));
    }
    let probation = broker.lane_of_one("probation lane".into());
    tasks.spawn(
        "probation lane",
        probation.run(relay.probation_feed(), stop.watch()),
    );
    for (number, feed) in (1..).zip(relay.quarantine_feeds()) {
        let name = format!("quarantine lane {number}");
        let lane = broker.lane_of_one(name.clone());
        tasks.spawn(name, lane.run(feed, stop.watch()));
    }
    tasks.spawn(
        "prober",
        relay.clone().probe(Arc::new(broker.probe()), stop.watch()),
    );
}

fn warn_about(config: &Config) {
    if config.callers.allow_anonymous {
        tracing::warn!("everybody who can connect may publish: AMQPOST_ALLOW_ANONYMOUS is set");
    }
    if config.store == StoreUrl::Memory {
        tracing::warn!("the store is memory: what is pending is lost when this process ends");
    }
}
