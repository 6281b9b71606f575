//! What the options mean: from the values that were given to a [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::given::Given;
use super::mistakes::{ConfigError, Mistakes};
use super::options::Values;
use super::{BrokerTls, BrokerUrls, Config, IdentityFiles, StoreUrl, callers};
use crate::domain::webhook::AllowList;
use crate::domain::{Limits, RetrySchedule};
use crate::http;

/// The configuration that was given.
///
/// # Errors
/// All mistakes: those found so far and those found here.
pub(super) fn check(given: &Given, mut mistakes: Mistakes) -> Result<Config, ConfigError> {
    let values = Values::of(given);
    let callers = callers::read(given, &values, &mut mistakes);
    // Keys that are faulty were meant to be there.
    let is_open = !callers.are_this_machine()
        || !values.api_keys.is_empty()
        || mistakes.concern("api_keys")
        || mistakes.concern("api_keys_file");
    let mut wrong = |key: &str, words: &str| mistakes.of(given, key, words);
    let listen = listen(&values.listen, is_open, &mut wrong);
    let management_listen = management_listen(&values.management_listen, &mut wrong);
    let otlp_endpoint = otlp_endpoint(&values.otlp_endpoint, &mut wrong);
    let webhook_allow = values.webhook_allow.parse().unwrap_or_else(|error| {
        wrong("webhook_allow", &format!("{error}"));
        AllowList::default()
    });
    let store = StoreUrl::parse(&values.store_url);
    let store = store.map_err(|words| wrong("store_url", &words));
    let brokers = BrokerUrls::parse(&values.broker_url);
    let brokers = brokers.map_err(|words| wrong("broker_url", &words));
    let (https, broker_tls) = (https(&values, &mut wrong), broker_tls(&values, &mut wrong));
    if let Ok(brokers) = &brokers {
        check_login(brokers, &broker_tls, &mut wrong);
    }
    check_relations(&values, &mut wrong);
    let (Ok(brokers), Ok(store)) = (brokers, store) else {
        return Err(mistakes.into());
    };
    mistakes.none(Config {
        listen,
        management_listen,
        https,
        brokers,
        broker_tls,
        store,
        topology_file: path(&values.topology_file),
        history_age: seconds(values.history_seconds),
        store_bytes_max: values.store_bytes_max,
        lane_memory_messages_max: values.lane_memory_messages_max,
        lane_memory_bytes_max: values.lane_memory_bytes_max,
        callers,
        log_format: values.log_format,
        log_filter: values.log_filter.clone(),
        otlp_endpoint,
        lanes: values.lanes,
        window_messages: values.window_messages,
        window_bytes: values.window_bytes,
        shutdown_delay: seconds(values.shutdown_delay_seconds),
        shutdown_grace: seconds(values.shutdown_grace_seconds),
        retry: RetrySchedule {
            tries_max: values.retry_tries_max,
            pause_min: Duration::from_millis(values.retry_pause_ms_min),
            pause_max: Duration::from_millis(values.retry_pause_ms_max),
        },
        exchange_known: seconds(values.exchange_known_seconds),
        stall_after: Duration::from_millis(values.stall_after_ms.into()),
        connect_timeout: seconds(values.connect_timeout_seconds),
        heartbeat: seconds(values.heartbeat_seconds.into()),
        webhook_allow,
        http: settings(&values),
        limits: limits(&values),
    })
}

/// What one option alone cannot be wrong about.
fn check_relations(values: &Values, wrong: &mut impl FnMut(&str, &str)) {
    if values.bodies_bytes_max < values.body_bytes_max {
        wrong("bodies_bytes_max", "must not be below body_bytes_max");
    }
    if values.retry_pause_ms_min > values.retry_pause_ms_max {
        wrong("retry_pause_ms_min", "must not be above retry_pause_ms_max");
    }
}

/// Whoever can reach it may read it, which is what it is for.
fn management_listen(text: &str, wrong: &mut impl FnMut(&str, &str)) -> Option<SocketAddr> {
    if text.is_empty() {
        return None;
    }
    let address = text.parse().ok();
    if address.is_none() {
        let words = format!(
            "must be empty, or an address and a port, such as 127.0.0.1:9464, and is {text:?}"
        );
        wrong("management_listen", &words);
    }
    address
}

fn listen(text: &str, is_open: bool, wrong: &mut impl FnMut(&str, &str)) -> SocketAddr {
    let Ok(address) = text.parse::<SocketAddr>() else {
        let words = format!(
            "must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080, and is {text:?}"
        );
        wrong("listen", &words);
        return SocketAddr::from(([127, 0, 0, 1], 8080));
    };
    if !address.ip().to_canonical().is_loopback() && !is_open {
        let words = format!(
            "is {address}, which other machines can reach, and there are no callers: listen on \
             127.0.0.1, give callers keys by AMQPOST_API_KEYS, or set AMQPOST_ALLOW_ANONYMOUS=true \
             to serve everybody"
        );
        wrong("listen", &words);
    }
    address
}

/// A URL to which `/v1/traces` can be added. What is in it may be a secret, so it is not told.
fn otlp_endpoint(text: &str, wrong: &mut impl FnMut(&str, &str)) -> Option<String> {
    let given = Some(text).filter(|text| !text.is_empty())?;
    if !cfg!(feature = "otlp") {
        let words = "is given, and this program has no traces built in: leave it empty, or build with \
                     cargo build --features otlp";
        wrong("otlp_endpoint", words);
        return None;
    }
    let is_plain = |url: &url::Url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    if !url::Url::parse(given).is_ok_and(|url| is_plain(&url)) {
        let words = "must be empty, or an http or https URL without user, query and fragment, such as \
                     http://127.0.0.1:4318";
        wrong("otlp_endpoint", words);
    }
    Some(given.to_owned())
}

/// As for the other options, an empty text is none.
fn path(text: &str) -> Option<PathBuf> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(PathBuf::from)
}

fn https(values: &Values, wrong: &mut impl FnMut(&str, &str)) -> Option<IdentityFiles> {
    let files = [&values.tls_cert_file, &values.tls_key_file];
    identity(["tls_cert_file", "tls_key_file"], files, wrong)
}

fn broker_tls(values: &Values, wrong: &mut impl FnMut(&str, &str)) -> BrokerTls {
    let files = [&values.broker_cert_file, &values.broker_key_file];
    BrokerTls {
        ca_file: path(&values.broker_ca_file),
        identity: identity(["broker_cert_file", "broker_key_file"], files, wrong),
    }
}

/// A certificate and its key go together.
fn identity(
    keys: [&str; 2],
    files: [&String; 2],
    wrong: &mut impl FnMut(&str, &str),
) -> Option<IdentityFiles> {
    let ([cert_key, key_key], [cert, key]) = (keys, files.map(|file| path(file)));
    match (cert, key) {
        (Some(cert), Some(key)) => return Some(IdentityFiles { cert, key }),
        (Some(_), None) => wrong(cert_key, &format!("is given without {key_key}")),
        (None, Some(_)) => wrong(key_key, &format!("is given without {cert_key}")),
        (None, None) => {}
    }
    None
}

/// What is there for TLS and not used was meant to protect something.
fn check_login(brokers: &BrokerUrls, tls: &BrokerTls, wrong: &mut impl FnMut(&str, &str)) {
    if brokers.want_external() && tls.identity.is_none() {
        let words = "says auth_mechanism=external, and there is no certificate to log in with: give \
                     broker_cert_file and broker_key_file";
        wrong("broker_url", words);
    }
    let unused = "is given, and no address of broker_url begins with amqps://";
    if !brokers.speak_tls() && tls.ca_file.is_some() {
        wrong("broker_ca_file", unused);
    }
    if !brokers.speak_tls() && tls.identity.is_some() {
        wrong("broker_cert_file", unused);
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn settings(values: &Values) -> http::Settings {
    http::Settings {
        connections_max: values.connections_max,
        bodies_bytes_max: values.bodies_bytes_max,
        header_read_seconds_max: values.header_read_seconds_max,
        idle_seconds_max: values.idle_seconds_max,
        body_read_seconds_max: values.body_read_seconds_max,
        write_stall_seconds_max: values.write_stall_seconds_max,
        tls_handshake_seconds_max: values.tls_handshake_seconds_max,
        http2: http::Http2Limits {
            streams_max: values.http2_streams_max,
            requests_max: values.http2_requests_max,
            header_bytes_max: values.http2_header_bytes_max,
            resets_max: values.http2_resets_max,
            keep_alive_seconds: values.http2_keep_alive_seconds,
            stream_window_bytes: values.http2_stream_window_bytes,
            connection_window_bytes: values.http2_connection_window_bytes,
        },
        event_streams_max: values.event_streams_max,
        idempotency_seconds: values.idempotency_seconds,
        webhooks_per_caller_max: values.webhooks_per_caller_max,
        webhook_secret_overlap_seconds: values.webhook_secret_overlap_seconds,
    }
}

fn limits(values: &Values) -> Limits {
    Limits {
        body_bytes_max: values.body_bytes_max,
        batch_items_max: values.batch_items_max,
        payload_bytes_max: values.payload_bytes_max,
        headers_bytes_max: values.headers_bytes_max,
        json_depth_max: values.json_depth_max,
        wait_seconds_max: values.wait_seconds_max,
        schedule_seconds_max: values.schedule_seconds_max,
        pending_messages_max: values.pending_messages_max,
        pending_bytes_max: values.pending_bytes_max,
        history_messages_max: values.history_messages_max,
        history_bytes_max: values.history_bytes_max,
    }
}
