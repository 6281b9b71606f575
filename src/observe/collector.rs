//! How spans get to the collector: one HTTP request for each batch, from the exporter's own thread.
//!
//! A collector that does not answer is told of once, and again once it does; what it did not take is lost.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use super::CannotExport;
use crate::tls::{self, Roots};

/// A request as a whole, from connecting to the end of the answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Bytes of an answer, of which nothing but the status matters.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// See the module.
pub(super) struct Collector {
    /// The exporter's thread blocks anyway.
    runtime: Runtime,
    /// For https.
    tls: Option<Arc<ClientConfig>>,
    is_lost: AtomicBool,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collector")
    }
}

impl Collector {
    /// The one at `endpoint`; only whether that is https matters here.
    pub(super) fn new(endpoint: &str) -> Result<Self, CannotExport> {
        let failed = |error: &dyn fmt::Display| CannotExport(error.to_string());
        let tls = endpoint.starts_with("https:").then(|| {
            let roots = Roots::of_system()?;
            tls::client(roots, None)
        });
        Ok(Self {
            runtime: (Builder::new_current_thread().enable_all().build())
                .map_err(|error| failed(&error))?,
            tls: tls.transpose().map_err(|error| failed(&error))?,
            is_lost: AtomicBool::new(false),
        })
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri();
        let host = uri.host().ok_or("the endpoint names no host")?;
        // Bare, for the resolver and for TLS.
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = uri.port_u16();
        let port = port.unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let socket = TcpStream::connect((bare.as_str(), port)).await?;
        match &self.tls {
            None => exchange(socket, request).await,
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(tls));
                let socket = connector
                    .connect(ServerName::try_from(bare)?, socket)
                    .await?;
                exchange(socket, request).await
            }
        }
    }

    fn note(&self, failure: Option<&dyn fmt::Display>) {
        let was_lost = self.is_lost.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_lost => {
                tracing::warn!(%error, "the collector takes no traces; they are lost meanwhile");
            }
            None if was_lost => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let limited = async {
            (tokio::time::timeout(REQUEST_LIMIT, self.post(request)).await)
                .unwrap_or_else(|_| Err("no answer in time".into()))
        };
        // The thread that exports is no one of tokio's.
        let answer = self.runtime.block_on(limited);
        match &answer {
            Ok(answer) if answer.status().is_success() => self.note(None),
            Ok(answer) => self.note(Some(&answer.status())),
            Err(error) => self.note(Some(error)),
        }
        answer
    }
}

/// Sends `request` over `socket`, and reads the answer.
async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let asking = async {
        let (head, body) = request.into_parts();
        let mut wanted = Request::new(Full::new(body));
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        *wanted.method_mut() = head.method;
        *wanted.uri_mut() = path.parse()?;
        *wanted.headers_mut() = head.headers;
        let host = head.uri.authority().ok_or("the endpoint names no host")?;
        (wanted.headers_mut()).insert(HOST, HeaderValue::from_str(host.as_str())?);
        let (head, body) = sender.send_request(wanted).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    // What ends the connection too early is told by what waits for the answer.
    let driving = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = asking => answer,
        never = driving => never,
    }
}
