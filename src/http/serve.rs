//! Connections: accepted up to a number, each ended gracefully on stop, or for good when its client does
//! not read.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::state::{Gateway, Settings, stopped};
use super::{head_time, write_stall};

/// The pause after the system could not give a connection (too many open files), so that the loop
/// does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection that takes nothing is waited for at the stop.
const STOPPING_STALL_MAX: Duration = Duration::from_secs(1);

/// Serves until `stop` becomes true: then no connection is accepted any more, those that are idle
/// are closed, running requests are finished, and the future ends. Dropping it ends everything at
/// once.
pub async fn serve(listener: TcpListener, gateway: Gateway, stop: watch::Receiver<bool>) {
    let settings = gateway.settings.clone();
    let router = super::router(gateway);
    let mut connections = JoinSet::new();
    let mut stopping = std::pin::pin!(stopped(stop.clone()));
    loop {
        let room = connections.len() < settings.connections_max.max(1);
        let stream = tokio::select! {
            biased;
            () = &mut stopping => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener), if room => accepted,
        };
        let Some(stream) = stream else { continue };
        let router = router.clone();
        connections.spawn(connection(stream, router, settings.clone(), stop.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
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

async fn connection(
    stream: TcpStream,
    router: Router,
    settings: Settings,
    stop: watch::Receiver<bool>,
) {
    // Answers are small and callers wait for them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection sends with delay");
    }
    let head = Duration::from_secs(settings.header_read_seconds_max.into());
    let idle = Duration::from_secs(settings.idle_seconds_max.into());
    let stall = Duration::from_secs(settings.write_stall_seconds_max.into());
    let (stream, timer) = head_time::watch(stream, head, idle);
    let (stream, stalled) = write_stall::watch(stream);
    let serving = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let mut stuck = std::pin::pin!(stalled.clone().lasts(stall));
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        () = stuck.as_mut() => None,
        () = stopped(stop) => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving => Some(ended),
                () = stalled.lasts(STOPPING_STALL_MAX) => None,
            }
        }
    };
    // Callers come and go as they please.
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        None => tracing::debug!("a connection that takes nothing was ended"),
    }
}
