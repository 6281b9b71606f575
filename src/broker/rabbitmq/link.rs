//! Connections of lapin, which everything but publishing goes over.
//!
//! lapin's connect has no limit of its own, and an answer may never come: everything here has one.

use std::future::Future;
use std::time::Duration;

use amq_protocol_uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ErrorKind};
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

/// Connects to the first of `uris` that lets it in. Each address has its own time: one that is silent
/// must not use up that of the next.
pub(super) async fn connect(
    uris: &[AMQPUri],
    name: &str,
    limit: Duration,
) -> Result<Connection, LinkError> {
    let mut last = LinkError::own("no broker is configured");
    for uri in uris {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = Connection::connect_uri(uri.clone(), properties);
        match in_time(limit, async { Ok(connecting.await?) }).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
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
