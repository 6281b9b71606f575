//! The one place where the parts are put together, in the order in which they start; they stop the
//! other way round.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::broker::rabbitmq::{Broker, TlsError, Window};
use crate::config::Config;
use crate::domain::Rules;
use crate::http::{self, Gateway, Parts};
use crate::lifecycle::{Ended, Stop, Tasks, asked_to_stop};
use crate::notify::Waiters;
use crate::relay::dispatch::{self, MemoryBudget};
use crate::relay::{self, Budget, Relay, Start};
use crate::store::memory::{HistoryBudget, MemoryStore};

/// Why the gateway could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The broker cannot be spoken to through TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
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

/// Serves until the process is asked to stop.
///
/// # Errors
/// [`AppError`], when the gateway cannot start or a part of it fails.
pub async fn serve(config: Config) -> Result<(), AppError> {
    let window = Window {
        messages: config.window_messages,
        bytes: config.window_bytes,
    };
    let broker = Broker::new(
        config.brokers.urls(),
        window,
        config.heartbeat,
        config.connect_timeout,
    )?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| AppError::Listen {
            address: config.listen,
            source,
        })?;
    let address = listener.local_addr().unwrap_or(config.listen);

    let history = HistoryBudget {
        messages_max: config.limits.history_messages_max,
        bytes_max: config.limits.history_bytes_max,
    };
    let store = MemoryStore::new(history);
    let waiters = Arc::new(Waiters::default());
    let (relay, writer) = Relay::new(
        &relay_settings(&config),
        store.clone(),
        &Start::default(),
        waiters.clone(),
    );

    let (mut tasks, stop_lanes, stop_http) = (Tasks::default(), Stop::default(), Stop::default());
    let mut journal = Tasks::default();
    journal
        .spawn_thread("journal", move || writer.run())
        .map_err(AppError::System)?;
    start_lanes(&broker, &relay, &stop_lanes, &mut tasks);

    let rules = Rules {
        limits: config.limits.clone(),
        broker_user: config.brokers.user().map(Into::into),
    };
    let gateway = Gateway::new(Parts {
        backend: Arc::new(relay.clone()),
        store: Arc::new(store),
        waiters,
        rules,
        settings: config.http.clone(),
        stop: stop_http.watch(),
    });
    let mut serving = Tasks::default();
    serving.spawn("http", http::serve(listener, gateway, stop_http.watch()));
    tracing::info!(%address, lanes = config.lanes, "listening");
    if config.allow_anonymous {
        tracing::warn!("everybody who can connect may publish: AMQPOST_ALLOW_ANONYMOUS is set");
    }
    tracing::warn!(
        "messages are kept in memory only: what is pending is lost when this process ends"
    );

    tokio::select! {
        signal = asked_to_stop() => {
            tracing::info!(signal = signal.map_err(AppError::System)?, "stopping");
        }
        ended = tasks.ended() => return Err(ended.into()),
        ended = serving.ended() => return Err(ended.into()),
        ended = journal.ended() => return Err(ended.into()),
    }

    let drain = async {
        relay.close();
        stop_http.tell();
        serving.all_ended().await?;
        relay.drained().await;
        Ok::<_, Ended>(())
    };
    if let Ok(drained) = timeout(config.shutdown_grace, drain).await {
        drained?;
    } else {
        let pending = relay.health().pending_messages;
        tracing::warn!(
            pending,
            "the grace period is over and messages are still pending"
        );
    }
    stop_lanes.tell();
    tasks.all_ended().await?;
    relay.end();
    journal.all_ended().await?;
    tracing::info!("stopped");
    Ok(())
}

fn relay_settings(config: &Config) -> relay::Settings {
    relay::Settings {
        lanes: config.lanes,
        budget: Budget {
            messages_max: config.limits.pending_messages_max,
            bytes_max: config.limits.pending_bytes_max,
        },
        dispatch: dispatch::Settings {
            retry: config.retry.clone(),
            exchange_known: config.exchange_known,
            memory: MemoryBudget {
                messages_max: usize::MAX,
                bytes_max: usize::MAX,
            },
        },
    }
}

fn start_lanes(broker: &Broker, relay: &Relay, stop: &Stop, tasks: &mut Tasks) {
    for (number, feed) in (1..).zip(relay.lane_feeds()) {
        let name = format!("lane {number}");
        tasks.spawn(name.clone(), broker.lane(name).run(feed, stop.watch()));
    }
    let probation = broker.lane_of_one("probation lane".into());
    tasks.spawn(
        "probation lane",
        probation.run(relay.probation_feed(), stop.watch()),
    );
    tasks.spawn(
        "prober",
        relay.clone().probe(Arc::new(broker.probe()), stop.watch()),
    );
}
