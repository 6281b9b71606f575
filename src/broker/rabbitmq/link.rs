//! Connections of lapin, which everything but publishing goes over.
//!
//! lapin's connect has no limit of its own, and an answer may never come: everything here has one.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol_uri::{AMQPScheme, AMQPUri};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use rustls::ClientConfig;
use tokio::time::timeout;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct LinkError {
    /// Whatever was heard last; it may name addresses.
    pub text: String,
    /// The broker was reached and did not let the connection in.
    pub refused: bool,
}

impl LinkError {
    fn own(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            refused: false,
        }
    }
}

impl From<lapin::Error> for LinkError {
    fn from(error: lapin::Error) -> Self {
        Self {
            refused: matches!(error.kind(), ErrorKind::ProtocolError(_)),
            text: error.to_string(),
        }
    }
}

/// The brokers of a cluster as lapin reaches them.
#[derive(Clone)]
pub struct Brokers {
    uris: Vec<AMQPUri>,
    tls: Option<Arc<ClientConfig>>,
}

impl Brokers {
    /// Those at `uris`, whose hosts are bare; `tls` is what is spoken with where one says `amqps`, so that
    /// publishing and lapin trust the same authorities and show the same certificate.
    #[must_use]
    pub fn new(uris: Vec<AMQPUri>, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { uris, tls }
    }

    /// Connects to the first that lets it in. Each address has its own time: one that is silent must not
    /// use up that of the next.
    ///
    /// # Errors
    /// What the last of them said.
    pub async fn connect(&self, name: &str, limit: Duration) -> Result<Connection, LinkError> {
        let mut last = LinkError::own("no broker is configured");
        for uri in &self.uris {
            let properties = ConnectionProperties::default().with_connection_name(name.into());
            let connecting = connect_one(uri.clone(), self.tls.clone(), properties);
            match in_time(limit, async { Ok(connecting.await?) }).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn connect_one(
    uri: AMQPUri,
    tls: Option<Arc<ClientConfig>>,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        uri,
        runtime,
        async move |uri, runtime| {
            let host = uri.authority.host;
            let addresses = runtime.to_socket_addrs((host.clone(), uri.authority.port));
            let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
            if uri.scheme == AMQPScheme::AMQP {
                return Ok(stream);
            }
            let tls = tls.clone();
            let tls = tls.ok_or_else(|| io::Error::other("TLS is not configured"))?;
            let connector = RustlsConnector::from(tls);
            Ok(stream.into_rustls(&connector, &host).await?)
        },
        properties,
    )
    .await
}

/// What `work` comes to within `limit`.
pub(super) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(LinkError::own("no answer in time")))
}
