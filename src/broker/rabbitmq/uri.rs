//! From broker URIs to lanes and the probe.

use std::sync::Arc;
use std::time::Duration;

use amq_protocol_uri::{AMQPScheme, AMQPUri, SASLMechanism};
use rustls::ClientConfig;

use super::lane::{Endpoint, Lane};
use super::link::Brokers;
use super::probe::LapinProbe;
use super::protocol::{Credentials, Settings};
use super::topology::Declarer;
use super::transport::Address;

/// How much one lane has in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages.
    pub messages: usize,
    /// Bytes of payload.
    pub bytes: usize,
}

/// The brokers that this gateway publishes to: nodes of one cluster, one virtual host.
#[derive(Clone)]
pub struct Broker {
    endpoints: Vec<Endpoint>,
    uris: Vec<AMQPUri>,
    connect_timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
}

impl Broker {
    /// The brokers at `uris`, whose hosts are bare (no brackets around IPv6). `heartbeat` holds where
    /// a URI says nothing; `connect_timeout` limits the opening of a socket and, again, the handshake;
    /// `tls` is what is spoken with where a URI says `amqps`.
    #[must_use]
    pub fn new(
        uris: &[AMQPUri],
        window: Window,
        heartbeat: Duration,
        connect_timeout: Duration,
        tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        let endpoints: Vec<_> = uris
            .iter()
            .map(|uri| endpoint(uri, window, heartbeat, connect_timeout))
            .collect();
        let uris = uris
            .iter()
            .map(|uri| for_lapin(uri.clone(), heartbeat))
            .collect();
        Self {
            endpoints,
            uris,
            connect_timeout,
            tls,
        }
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

    /// A lane that has one message in flight at a time, and waits for each as long as its patience
    /// says.
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
        LapinProbe::new(self.brokers(), self.connect_timeout)
    }

    /// Declares topologies at these brokers.
    #[must_use]
    pub fn declarer(&self) -> Declarer {
        Declarer::new(self.brokers(), self.connect_timeout)
    }

    fn brokers(&self) -> Brokers {
        Brokers::new(self.uris.clone(), self.tls.clone())
    }
}

fn endpoint(
    uri: &AMQPUri,
    window: Window,
    heartbeat: Duration,
    connect_timeout: Duration,
) -> Endpoint {
    let settings = Settings {
        credentials: credentials(uri),
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
        host: uri.authority.host.clone(),
        port: uri.authority.port,
        tls: uri.scheme == AMQPScheme::AMQPS,
    };
    Endpoint { address, settings }
}

/// lapin reads the URI's `auth_mechanism` by itself.
fn credentials(uri: &AMQPUri) -> Credentials {
    if uri.query.auth_mechanism == Some(SASLMechanism::External) {
        return Credentials::External;
    }
    let user = &uri.authority.userinfo;
    Credentials::Plain {
        user: user.username.clone(),
        password: user.password.clone(),
    }
}

/// lapin takes the broker's heartbeat of 60 s unless it is told otherwise.
fn for_lapin(mut uri: AMQPUri, heartbeat: Duration) -> AMQPUri {
    let seconds = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
    uri.query.heartbeat.get_or_insert(seconds);
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(uri: &str) -> Broker {
        let uri = uri.parse().expect("a URI");
        let window = Window {
            messages: 1000,
            bytes: 1 << 20,
        };
        Broker::new(
            &[uri],
            window,
            Duration::from_secs(10),
            Duration::from_secs(5),
            None,
        )
    }

    #[test]
    fn a_uri_says_where_and_how_to_log_in() {
        let broker = broker("amqp://me:se%2Fcret@host:1234/%2f?heartbeat=7");
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
    }

    #[test]
    fn a_uri_may_leave_the_login_to_the_client_certificate() {
        let broker = broker("amqps://host?auth_mechanism=external");
        let credentials = &broker.endpoints[0].settings.credentials;
        assert_eq!(*credentials, Credentials::External);
    }

    #[test]
    fn passwords_are_never_shown() {
        let broker = broker("amqp://me:secret@host");
        assert!(!format!("{:?}", broker.endpoints).contains("secret"));
    }
}
