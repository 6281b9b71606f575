//! Where the gateway listens, and what is served there.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::certificates::Certificates;
use super::{AppError, Running};
use crate::config::Config;
use crate::http::{self, Gateway, Listener};

/// Listens for callers, through TLS if there is a certificate, and tells at which address.
pub(super) async fn listen(
    config: &Config,
    certificates: &Certificates,
) -> Result<(Listener, SocketAddr), AppError> {
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().unwrap_or(config.listen);
    let listener = match certificates.for_https()? {
        Some(tls) => Listener::https(listener, tls),
        None => listener.into(),
    };
    Ok((listener, address))
}

/// Listens at `address`.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, AppError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| AppError::Listen { address, source })
}

/// Whoever watches the gateway is answered for as long as messages settle.
pub(super) fn serve_http(
    listener: Listener,
    management: Option<TcpListener>,
    gateway: Gateway,
    parts: &mut Running,
) {
    if let Some(listener) = management {
        let address = listener.local_addr().ok().map(tracing::field::display);
        tracing::info!(address, "listening for management");
        let stop = parts.stop_lanes.watch();
        let serving = http::serve_management(listener, gateway.clone(), stop);
        parts.lanes.spawn("management", serving);
    }
    let stop = parts.stop_http.watch();
    let serving = http::serve(listener, gateway, stop);
    parts.http.spawn("http", serving);
}
