//! Connections: accepted up to a number, each ended gracefully on stop, or for good when its client does
//! not read. One that idles gives way to one that is new.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::Service as _;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::crowd::{Crowd, Seat};
use super::head_time::HeadTimer;
use super::phase::Phase;
use super::state::{Gateway, Settings, stopped};
use super::{linger, management, unparsed, write_stall};
use crate::clock;

/// The most that the head of a request may have; the headers of a message are part of it.
pub(super) const HEAD_BYTES_MAX: usize = 128 << 10;

/// The most lines that it may have.
pub(super) const HEAD_FIELDS_MAX: usize = 100;

/// The pause after the system could not give a connection (too many open files), so that the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often a new connection looks for one that gives way.
const ROOM_LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a connection that takes nothing is waited for at the stop.
const STOPPING_STALL_MAX: Duration = Duration::from_secs(1);

/// Serves until `stop` becomes true: then no connection is accepted any more, those that are idle
/// are closed, running requests are finished, and the future ends. Dropping it ends everything at
/// once.
pub async fn serve(listener: TcpListener, gateway: Gateway, stop: watch::Receiver<bool>) {
    let settings = gateway.settings.clone();
    serve_router(listener, super::router(gateway), settings, stop).await;
}

/// As [`serve`], the endpoints of the management listener.
pub async fn serve_management(
    listener: TcpListener,
    gateway: Gateway,
    stop: watch::Receiver<bool>,
) {
    let settings = Settings {
        connections_max: management::CONNECTIONS_MAX,
        ..gateway.settings.clone()
    };
    serve_router(listener, management::router(gateway), settings, stop).await;
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    settings: Settings,
    stop: watch::Receiver<bool>,
) {
    let connections_max = settings.connections_max.max(1);
    let mut connections = JoinSet::new();
    let mut crowd = Crowd::default();
    // Accepted, and not served before there is room.
    let mut waiting = None;
    let mut stopping = std::pin::pin!(stopped(stop.clone()));
    loop {
        tokio::select! {
            biased;
            () = &mut stopping => break,
            Some(ended) = connections.join_next_with_id() => {
                crowd.left(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            accepted = accept(&listener), if waiting.is_none() => waiting = accepted,
            () = tokio::time::sleep(ROOM_LOOK_EVERY), if waiting.is_some() => {}
        }
        if connections.len() >= connections_max {
            if waiting.is_some() {
                crowd.make_room();
            }
        } else if let Some((stream, address)) = waiting.take() {
            let seat = Seat::new(Phase::new(clock::monotonic()));
            let serving = connection(
                stream,
                seat.clone(),
                router.clone(),
                settings.clone(),
                stop.clone(),
            );
            let task = connections.spawn(serving).id();
            crowd.joined(task, address.ip(), seat);
        }
    }
    drop((listener, waiting));
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

/// How a connection ended.
enum Ended {
    /// Nothing more is to be said; errors are those of the client.
    Said(hyper::Result<()>),
    /// The client took nothing of what was said.
    Stuck,
    /// Another one needed the room.
    GaveWay,
}

async fn connection(
    mut stream: TcpStream,
    seat: Seat,
    router: Router,
    settings: Settings,
    stop: watch::Receiver<bool>,
) {
    // Answers are small and callers wait for them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection sends with delay");
    }
    let ended = speak(&mut stream, seat, router, &settings, stop.clone()).await;
    // Callers come and go as they please.
    match ended {
        Ended::Stuck => tracing::debug!("a connection that takes nothing was ended"),
        Ended::GaveWay => tracing::debug!("an idle connection gave way to a new one"),
        Ended::Said(said) => {
            if let Err(error) = said {
                tracing::debug!(%error, "a connection ended early");
            }
            if !*stop.borrow() {
                linger::close(stream).await;
            }
        }
    }
}

async fn speak(
    stream: &mut TcpStream,
    seat: Seat,
    router: Router,
    settings: &Settings,
    stop: watch::Receiver<bool>,
) -> Ended {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let timer = HeadTimer {
        phase: Arc::clone(&seat.phase),
        head: seconds(settings.header_read_seconds_max),
        idle: seconds(settings.idle_seconds_max),
    };
    let head = timer.head;
    let stream = unparsed::Watched::new(stream, Arc::clone(&seat.phase));
    let (stream, stalled) = write_stall::watch(stream);
    let router = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(|request: Request<_>| {
        seat.phase.serve();
        router.call(request)
    });
    let serving = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let stall = seconds(settings.write_stall_seconds_max);
    tokio::select! {
        biased;
        said = serving.as_mut() => Ended::Said(said),
        () = seat.is_wanted() => Ended::GaveWay,
        () = stalled.clone().lasts(stall) => Ended::Stuck,
        () = stopped(stop) => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                said = serving => Ended::Said(said),
                () = stalled.lasts(STOPPING_STALL_MAX) => Ended::Stuck,
            }
        }
    }
}
