//! Asking whether an exchange exists, through lapin, on a connection that does not publish.
//!
//! A passive declare of an exchange that is not there closes the channel, so a channel is used until
//! that happens and then replaced. It needs no permission, and it tells nothing about permissions.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lapin::options::ExchangeDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};
use tokio::sync::Mutex;

use super::link::{self, Brokers, LinkError};
use crate::broker::{Presence, Probe, ProbeError};

/// The AMQP reply code for what is not there.
const NOT_FOUND: u16 = 404;
/// The AMQP reply code for a broker that has failed over a question.
const INTERNAL_ERROR: u16 = 541;

/// Asks one question after the other.
pub struct LapinProbe {
    brokers: Brokers,
    /// Of each try to connect, and of each question.
    timeout: Duration,
    link: Mutex<Option<Link>>,
}

struct Link {
    connection: Connection,
    channel: Option<Channel>,
}

impl LapinProbe {
    /// A probe over any of `brokers`; it connects when it is first asked.
    #[must_use]
    pub fn new(brokers: Brokers, timeout: Duration) -> Self {
        Self {
            brokers,
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
        let presence = link::in_time(self.timeout, ask(&mut link, name))
            .await
            .map_err(told)?;
        *kept = Some(link);
        Ok(presence)
    }

    async fn connect(&self) -> Result<Link, ProbeError> {
        let connecting = self.brokers.connect("amqpost probe", self.timeout);
        Ok(Link {
            connection: connecting.await.map_err(told)?,
            channel: None,
        })
    }
}

/// A link whose question failed or took too long is not used again.
async fn ask(link: &mut Link, name: ShortString) -> Result<Presence, LinkError> {
    let channel = match link.channel.take() {
        Some(channel) if channel.status().connected() => channel,
        _ => link.connection.create_channel().await?,
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
    match declared {
        Ok(()) => {
            link.channel = Some(channel);
            Ok(Presence::There)
        }
        Err(error) if is_not_found(&error) || is_unreadable(&error) => Ok(Presence::Missing),
        Err(error) => Err(error.into()),
    }
}

impl Probe for LapinProbe {
    fn presence<'a>(
        &'a self,
        exchange: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Presence, ProbeError>> + Send + 'a>> {
        Box::pin(self.ask(exchange))
    }
}

fn told(error: LinkError) -> ProbeError {
    ProbeError(error.text)
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == NOT_FOUND)
}

/// RabbitMQ cuts its words after some 250 bytes, which may be inside a character of a long name: lapin
/// cannot read what 3.10 says then, and 4.0 itself fails over it. Only a refusal has words. To ask again
/// would only get the same; and who is wrongly taken for missing is tried alone, which costs time and
/// nothing else.
fn is_unreadable(error: &lapin::Error) -> bool {
    match error.kind() {
        ErrorKind::ParsingError(_) => true,
        ErrorKind::ProtocolError(error) => error.get_id() == INTERNAL_ERROR,
        _ => false,
    }
}
