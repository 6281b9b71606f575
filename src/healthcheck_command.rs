//! `amqpost healthcheck`: asks the gateway of this configuration how it is, for images in which there is
//! nothing else that could.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use amqpost::config::Config;
use amqpost::tls::unverified_client;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// Asks whether the process lives, or with `ready` whether it accepts.
pub(crate) async fn run(config: &Config, ready: bool, limit: Duration) -> Result<(), Failure> {
    let path = if ready { "/readyz" } else { "/healthz" };
    let address = reachable(config.listen);
    let https = config.https.is_some();
    let scheme = if https { "https" } else { "http" };
    let url = format!("{scheme}://{address}{path}");
    let status = tokio::time::timeout(limit, connect_and_ask(address, https, path))
        .await
        .map_err(|_| format!("{url} does not answer within {} s", limit.as_secs()))?
        .map_err(|error| format!("{url} does not answer: {error}"))?;
    if status == StatusCode::OK {
        return crate::print(&format!("{url} answers {status}\n"));
    }
    Err(format!("{url} answers {status}").into())
}

/// Where a gateway that listens on `address` can be reached from the same machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

async fn connect_and_ask(
    address: SocketAddr,
    https: bool,
    path: &str,
) -> Result<StatusCode, Failure> {
    let stream = TcpStream::connect(address).await?;
    if !https {
        return ask(stream, address, path).await;
    }
    let connector = TlsConnector::from(unverified_client()?);
    let name = ServerName::from(address.ip());
    ask(connector.connect(name, stream).await?, address, path).await
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    path: &str,
) -> Result<StatusCode, Failure> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .body(Empty::<Bytes>::new())?;
    tokio::select! {
        answer = sender.send_request(request) => Ok(answer?.status()),
        ended = connection => {
            ended?;
            Err("the connection was closed".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_everybody_is_asked_on_this_machine() {
        for (listen, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.168.1.2:80", "192.168.1.2:80"),
        ] {
            assert_eq!(reachable(listen.parse().expect(listen)).to_string(), asked);
        }
    }
}
