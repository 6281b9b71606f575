//! Connections to receivers, made to addresses that were checked.
//!
//! A name is resolved once for each connection, every address that it leads to is checked, and the
//! socket is opened to one of these addresses, not to the name: whatever the name leads to a moment
//! later makes no difference.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::resolve::Resolve;
use crate::domain::webhook::target::Host;
use crate::domain::webhook::{AllowList, ErrorClass, Target};

/// Bytes both ways, in the clear or through TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// What is told.
    pub(super) class: ErrorClass,
    /// For the log of who operates the gateway.
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(class: ErrorClass, detail: &impl ToString) -> Self {
        let detail = detail.to_string();
        Self { class, detail }
    }
}

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// The pause before the next address is tried beside those that have not answered (RFC 8305,
/// section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Makes connections.
pub(super) struct Connector {
    pub(super) resolver: Arc<dyn Resolve>,
    /// What TLS trusts; without it no `https` is sent.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) allow: AllowList,
    /// For resolving, and then for connecting.
    pub(super) time: Duration,
}

impl Connector {
    /// Connects to `target`; the caller limits the time of all of it.
    pub(super) async fn open(&self, target: &Target) -> Result<Box<dyn Stream>, Failure> {
        let addresses = self.addresses(&target.host).await?;
        let connecting = first_connected(addresses, target.port);
        let stream = match timeout(self.time, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::new(ErrorClass::Connect, &error)),
            Err(late) => return Err(Failure::new(ErrorClass::Connect, &late)),
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "webhooks are sent with delay");
        }
        if !target.tls {
            return Ok(Box::new(stream));
        }
        let encrypted = self.encrypt(&target.host, stream).await;
        let stream = encrypted.map_err(|error| Failure::new(ErrorClass::Tls, &error))?;
        Ok(stream)
    }

    /// Every address of `host`, each one checked. One that may not be sent to spoils them all: a name
    /// that leads inside as well as outside is a trick or a mistake.
    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Failure> {
        let (name, mut addresses) = match host {
            Host::Address(address) => (None, vec![*address]),
            Host::Name(name) => match timeout(self.time, self.resolver.resolve(name)).await {
                Ok(Ok(found)) => (Some(&**name), found),
                Ok(Err(error)) => return Err(Failure::new(ErrorClass::Dns, &error)),
                Err(late) => return Err(Failure::new(ErrorClass::Dns, &late)),
            },
        };
        for address in &addresses {
            if let Err(kind) = self.allow.check(name, *address) {
                let detail = format!("{host} leads to {address}, {} address", kind.in_words());
                return Err(Failure::new(ErrorClass::AddressRefused, &detail));
            }
        }
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() {
            return Err(Failure::new(ErrorClass::Dns, &"the name has no address"));
        }
        Ok(addresses)
    }

    async fn encrypt(&self, host: &Host, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let tls = self
            .tls
            .as_ref()
            .ok_or_else(|| io::Error::other("there is no certificate authority to trust"))?;
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => {
                let name = name.strip_suffix('.').unwrap_or(name).to_owned();
                ServerName::try_from(name).map_err(io::Error::other)?
            }
        };
        let connector = TlsConnector::from(Arc::clone(tls));
        Ok(Box::new(connector.connect(name, stream).await?))
    }
}

/// The first connection that is made to one of `addresses`. They are tried in their order, each
/// beginning when the one before has failed or has been silent for a moment.
async fn first_connected(addresses: Vec<IpAddr>, port: u16) -> io::Result<TcpStream> {
    let mut trying = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        trying.spawn(TcpStream::connect(SocketAddr::new(address, port)));
        let ended = timeout(NEXT_ADDRESS_AFTER, trying.join_next()).await;
        match ended.ok().flatten() {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last = error,
            Some(Err(error)) => last = io::Error::other(error),
            None => {}
        }
    }
    while let Some(ended) = trying.join_next().await {
        match ended.map_err(io::Error::other).flatten() {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
