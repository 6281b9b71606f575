//! Asking whether an exchange exists, through lapin, on a connection that does not publish.
//!
//! A passive declare of an exchange that is not there closes the channel, so a channel is used until
//! that happens and then replaced. It needs no permission, and it tells nothing about permissions.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use amq_protocol_uri::AMQPUri;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::broker::{Presence, Probe, ProbeError};

/// The AMQP reply code for what is not there.
const NOT_FOUND: u16 = 404;

/// Asks one question after the other.
pub struct LapinProbe {
    /// As lapin takes them.
    uris: Vec<AMQPUri>,
    /// lapin's connect has no limit of its own, and an answer may never come.
    timeout: Duration,
    link: Mutex<Option<Link>>,
}

struct Link {
    connection: Connection,
    channel: Option<Channel>,
}

impl LapinProbe {
    /// A probe over any of `uris`; it connects when it is first asked.
    #[must_use]
    pub fn new(uris: Vec<AMQPUri>, timeout: Duration) -> Self {
        Self {
            uris,
            timeout,
            link: Mutex::new(None),
        }
    }

    async fn ask(&self, exchange: &str) -> Result<Presence, ProbeError> {
        let name = ShortString::try_new(exchange)
            .map_err(|_| ProbeError("the name is longer than 255 bytes".into()))?;
        let mut kept = self.link.lock().await;
        let mut link = match kept.take() {
            Some(link) if link.connection.status().connected() => link,
            _ => self.connect().await?,
        };
        let channel = match link.channel.take() {
            Some(channel) if channel.status().connected() => channel,
            _ => link.connection.create_channel().await.map_err(told)?,
        };
        let options = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        // A passive declare compares nothing but the name.
        let kind = ExchangeKind::Direct;
        let declared = channel
            .exchange_declare(name, kind, options, FieldTable::default())
            .await;
        let presence = match declared {
            Ok(()) => {
                link.channel = Some(channel);
                Presence::There
            }
            Err(error) if is_not_found(&error) => Presence::Missing,
            Err(error) => return Err(told(error)),
        };
        *kept = Some(link);
        Ok(presence)
    }

    async fn connect(&self) -> Result<Link, ProbeError> {
        let mut last = ProbeError("no broker is configured".into());
        for uri in &self.uris {
            let properties =
                ConnectionProperties::default().with_connection_name("amqpost probe".into());
            match Connection::connect_uri(uri.clone(), properties).await {
                Ok(connection) => {
                    return Ok(Link {
                        connection,
                        channel: None,
                    });
                }
                Err(error) => last = told(error),
            }
        }
        Err(last)
    }
}

impl Probe for LapinProbe {
    fn presence<'a>(
        &'a self,
        exchange: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Presence, ProbeError>> + Send + 'a>> {
        Box::pin(async move {
            timeout(self.timeout, self.ask(exchange))
                .await
                .unwrap_or_else(|_| Err(ProbeError("no answer in time".into())))
        })
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is used as a function for map_err"
)]
fn told(error: lapin::Error) -> ProbeError {
    ProbeError(error.to_string())
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == NOT_FOUND)
}
