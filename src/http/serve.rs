//! Connections: accepted up to a number, each ended gracefully on stop, or for good when its client does
//! not read. One that idles gives way to one that is new.
//!
//! One listener speaks HTTP/1.1 and HTTP/2: over TLS as the client prefers (ALPN), in the clear HTTP/2 to
//! those who begin with its preface. A connection counts from the moment when it is accepted, and each
//! thing that its client has to do has a time: the handshake, a head, reading what is written.

mod http1;
mod http2;
mod joined;
mod limits;
mod opening;
mod rewind;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::crowd::{Crowd, Seat};
use super::endpoints::Endpoints;
use super::phase::Phase;
use super::state::{Gateway, Settings, stopped};
use super::{linger, management};
use crate::clock;
pub use limits::Http2Limits;
use opening::{OpenError, Opened};

/// The most that the head of a request may have; the headers of a message are part of it.
pub(super) const HEAD_BYTES_MAX: usize = 128 << 10;

/// The most lines that it may have. It is hyper's own limit: to set it, even to the same, costs each request
/// of HTTP/1 two allocations.
pub(super) const HEAD_FIELDS_MAX: usize = 100;

/// The pause after the system could not give a connection (too many open files), so that the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a new connection looks for one that gives way.
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a connection that takes nothing is waited for at the stop.
const STOPPING_STALL_MAX: Duration = Duration::from_secs(1);

/// Where connections come from.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl From<TcpListener> for Listener {
    /// One that speaks in the clear.
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None }
    }
}

impl Listener {
    /// One that speaks TLS only.
    #[must_use]
    pub fn https(tcp: TcpListener, tls: Arc<ServerConfig>) -> Self {
        Self {
            tcp,
            tls: Some(tls),
        }
    }
}

/// What all connections have in common.
struct Shared {
    endpoints: Endpoints,
    tls: Option<Arc<ServerConfig>>,
    settings: Settings,
    /// One for each request over HTTP/2 that may be in progress.
    http2_requests: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

/// Serves until `stop` becomes true: then no connection is accepted any more, those that are idle
/// are closed, running requests are finished, and the future ends. Dropping it ends everything at
/// once.
pub async fn serve(listener: impl Into<Listener>, gateway: Gateway, stop: watch::Receiver<bool>) {
    let settings = gateway.settings.clone();
    serve_endpoints(listener.into(), Endpoints::of_api(gateway), settings, stop).await;
}

/// As [`serve`], the endpoints of the management listener, which speaks in the clear.
pub async fn serve_management(
    listener: TcpListener,
    gateway: Gateway,
    stop: watch::Receiver<bool>,
) {
    let settings = Settings {
        connections_max: management::CONNECTIONS_MAX,
        ..gateway.settings.clone()
    };
    let endpoints = management::router(gateway).into();
    serve_endpoints(listener.into(), endpoints, settings, stop).await;
}

async fn serve_endpoints(
    Listener { tcp, tls }: Listener,
    endpoints: Endpoints,
    settings: Settings,
    stop: watch::Receiver<bool>,
) {
    let connections_max = settings.connections_max.max(1);
    let requests_max = settings.http2.requests_max.min(Semaphore::MAX_PERMITS);
    let shared = Arc::new(Shared {
        endpoints,
        tls,
        settings,
        http2_requests: Arc::new(Semaphore::new(requests_max)),
        stop: stop.clone(),
    });
    let mut connections = JoinSet::new();
    let mut crowd = Crowd::default();
    // Accepted, and not served before there is room.
    let mut waiting = None;
    let mut stopping = std::pin::pin!(stopped(stop));
    loop {
        tokio::select! {
            biased;
            () = &mut stopping => break,
            Some(ended) = connections.join_next_with_id() => {
                crowd.left(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            accepted = accept(&tcp), if waiting.is_none() => waiting = accepted,
            () = tokio::time::sleep(ROOM_LOOK_EVERY), if waiting.is_some() => {}
        }
        if connections.len() >= connections_max {
            if waiting.is_some() {
                crowd.make_room();
            }
        } else if let Some((stream, address)) = waiting.take() {
            let seat = Seat::new(Phase::new(clock::monotonic()));
            let serving = connection(stream, seat.clone(), Arc::clone(&shared));
            let task = connections.spawn(serving).id();
            crowd.joined(task, address.ip(), seat);
        }
    }
    drop((tcp, waiting));
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            let gone = matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
            );
            if !gone {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None
        }
    }
}

/// Why a connection came to its end before the client had closed it in order.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Unopened(#[from] OpenError),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    #[error("the client takes nothing of what is written to it")]
    Stuck,
    #[error("the client takes back too many of its requests")]
    TooManyResets,
    #[error("it idled, and another one needed the room")]
    GaveWay,
    #[error("the gateway stops, and nothing was asked yet")]
    Stopped,
}

async fn connection(mut stream: TcpStream, seat: Seat, shared: Arc<Shared>) {
    // Answers are small and callers wait for them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection sends with delay");
    }
    let ended = speak(&mut stream, &seat, &shared).await;
    // Callers come and go as they please.
    if let Err(why) = &ended {
        tracing::debug!(%why, "a connection was ended");
    }
    let is_said = matches!(ended, Ok(()) | Err(Ended::Broken(_)));
    if is_said && !*shared.stop.borrow() {
        linger::close(stream).await;
    }
}

async fn speak(stream: &mut TcpStream, seat: &Seat, shared: &Shared) -> Result<(), Ended> {
    let opened = tokio::select! {
        biased;
        opened = opening::open(stream, shared) => opened?,
        () = seat.is_wanted() => return Err(Ended::GaveWay),
        () = stopped(shared.stop.clone()) => return Err(Ended::Stopped),
    };
    match opened {
        Opened::Http1(stream, stalled) => http1::serve(stream, stalled, seat, shared).await,
        // What this needs would otherwise be set aside for each connection of HTTP/1 too.
        Opened::Http2(stream, stalled) => {
            Box::pin(http2::serve(stream, stalled, seat, shared)).await
        }
        Opened::NotTls(stream, stalled) => http1::refuse(stream, stalled, seat, shared).await,
    }
}

/// A stream to a client.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
