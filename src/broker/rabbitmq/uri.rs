//! From broker URIs to endpoints.

use std::sync::Arc;
use std::time::Duration;

use amq_protocol_uri::{AMQPScheme, AMQPUri, SASLMechanism};
use rustls::ClientConfig;

use super::lane::{Endpoint, Lane};
use super::probe::LapinProbe;
use super::protocol::{Credentials, Settings};
use super::transport::{self, Address};

/// How much one lane has in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload.
    pub bytes: usize,
}

/// The broker addresses cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// No address at all.
    #[error("no broker address is given")]
    None,
    /// Not a URI of AMQP. The text names no password.
    #[error("broker address {number} is not an AMQP URI: {why}")]
    NotAUri {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// One gateway serves one virtual host.
    #[error("the broker addresses name different virtual hosts")]
    SeveralVhosts,
    /// A login that this gateway cannot do.
    #[error("broker address {number}: the login mechanism {mechanism} is not supported")]
    Mechanism {
        /// Which one, from 1.
        number: usize,
        /// Its name.
        mechanism: String,
    },
    /// TLS is wanted, and nothing can be trusted.
    #[error("{0}")]
    Tls(String),
}

/// The brokers that this gateway publishes to: one cluster, one virtual host.
#[derive(Clone)]
pub struct Broker {
    endpoints: Vec<Endpoint>,
    uris: Vec<String>,
    connect_timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
}

impl Broker {
    /// Reads `uris`. `heartbeat` and `connect_timeout` hold where a URI says nothing.
    ///
    /// # Errors
    /// [`BrokerError`] says which address is wrong, and how.
    pub fn new(
        uris: &[String],
        window: Window,
        heartbeat: Duration,
        connect_timeout: Duration,
    ) -> Result<Self, BrokerError> {
        let mut parsed = Vec::new();
        for (number, uri) in (1..).zip(uris) {
            let uri: AMQPUri = uri
                .parse()
                .map_err(|why| BrokerError::NotAUri { number, why })?;
            parsed.push((number, uri));
        }
        let Some((_, first)) = parsed.first() else {
            return Err(BrokerError::None);
        };
        if parsed.iter().any(|(_, uri)| uri.vhost != first.vhost) {
            return Err(BrokerError::SeveralVhosts);
        }
        let endpoints: Vec<_> = parsed
            .iter()
            .map(|(number, uri)| endpoint(*number, uri, window, heartbeat, connect_timeout))
            .collect::<Result<_, _>>()?;
        let tls = endpoints.iter().any(|endpoint| endpoint.address.tls);
        let tls = tls
            .then(transport::tls_config)
            .transpose()
            .map_err(BrokerError::Tls)?;
        let uris = parsed
            .into_iter()
            .map(|(_, uri)| for_lapin(uri, heartbeat))
            .collect();
        Ok(Self {
            endpoints,
            uris,
            connect_timeout,
            tls,
        })
    }

    /// A lane over these brokers.
    #[must_use]
    pub fn lane(&self, name: String) -> Lane {
        Lane::new(
            name,
            self.endpoints.clone(),
            self.connect_timeout,
            self.tls.clone(),
        )
    }

    /// A lane that has one message in flight at a time.
    #[must_use]
    pub fn lane_of_one(&self, name: String) -> Lane {
        let mut endpoints = self.endpoints.clone();
        for endpoint in &mut endpoints {
            endpoint.settings.window_messages = 1;
        }
        Lane::new(name, endpoints, self.connect_timeout, self.tls.clone())
    }

    /// A probe over these brokers.
    #[must_use]
    pub fn probe(&self) -> LapinProbe {
        LapinProbe::new(self.uris.clone(), self.connect_timeout)
    }

    /// The user of all connections, if it is one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        let mut users =
            self.endpoints
                .iter()
                .map(|endpoint| match &endpoint.settings.credentials {
                    Credentials::Plain { user, .. } => Some(user.as_str()),
                    Credentials::External => None,
                });
        let first = users.next()??;
        users.all(|user| user == Some(first)).then_some(first)
    }
}

fn endpoint(
    number: usize,
    uri: &AMQPUri,
    window: Window,
    heartbeat: Duration,
    connect_timeout: Duration,
) -> Result<Endpoint, BrokerError> {
    let user = &uri.authority.userinfo;
    let credentials = match uri.query.auth_mechanism.unwrap_or_default() {
        SASLMechanism::Plain => Credentials::Plain {
            user: user.username.clone(),
            password: user.password.clone(),
        },
        SASLMechanism::External => Credentials::External,
        other => {
            return Err(BrokerError::Mechanism {
                number,
                mechanism: other.name().to_owned(),
            });
        }
    };
    let settings = Settings {
        credentials,
        vhost: uri.vhost.clone(),
        connection_name: "amqpost".into(),
        frame_bytes_max: uri.query.frame_max,
        heartbeat: uri
            .query
            .heartbeat
            .map_or(heartbeat, |seconds| Duration::from_secs(u64::from(seconds))),
        handshake_timeout: connect_timeout,
        window_messages: window.messages,
        window_bytes: window.bytes,
    };
    let address = Address {
        host: uri.authority.host.trim_matches(['[', ']']).to_owned(),
        port: uri.authority.port,
        tls: uri.scheme == AMQPScheme::AMQPS,
    };
    Ok(Endpoint { address, settings })
}

/// lapin takes the broker's heartbeat of 60 s unless it is told otherwise.
fn for_lapin(mut uri: AMQPUri, heartbeat: Duration) -> String {
    let seconds = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
    uri.query.heartbeat.get_or_insert(seconds);
    uri.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(uris: &[&str]) -> Result<Broker, BrokerError> {
        let uris: Vec<_> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        let window = Window {
            messages: 1000,
            bytes: 1 << 20,
        };
        Broker::new(
            &uris,
            window,
            Duration::from_secs(10),
            Duration::from_secs(5),
        )
    }

    #[test]
    fn a_uri_says_where_and_how_to_log_in() {
        let broker = broker(&["amqp://me:se%2Fcret@host:1234/%2f?heartbeat=7"]).expect("good");
        let endpoint = &broker.endpoints[0];
        let address = Address {
            host: "host".into(),
            port: 1234,
            tls: false,
        };
        assert_eq!(endpoint.address, address);
        let settings = &endpoint.settings;
        assert_eq!(
            (settings.vhost.as_str(), settings.heartbeat.as_secs()),
            ("/", 7)
        );
        let plain = Credentials::Plain {
            user: "me".into(),
            password: "se/cret".into(),
        };
        assert_eq!(settings.credentials, plain);
        assert_eq!(broker.user(), Some("me"));
    }

    #[test]
    fn addresses_of_different_virtual_hosts_are_refused() {
        let refused = broker(&["amqp://a/%2f", "amqp://b/other"]).err();
        assert_eq!(refused, Some(BrokerError::SeveralVhosts));
        assert!(matches!(
            broker(&["http://a"]).err(),
            Some(BrokerError::NotAUri { number: 1, .. })
        ));
        assert_eq!(broker(&[]).err(), Some(BrokerError::None));
    }

    #[test]
    fn users_that_differ_are_no_one_user() {
        assert_eq!(
            broker(&["amqp://a:x@h1", "amqp://b:x@h2"])
                .expect("good")
                .user(),
            None
        );
    }

    #[test]
    fn passwords_are_never_shown() {
        let broker = broker(&["amqp://me:secret@host"]).expect("good");
        assert!(!format!("{:?}", broker.endpoints).contains("secret"));
    }
}
