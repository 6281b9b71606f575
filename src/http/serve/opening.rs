//! From an accepted connection to the protocol that its client speaks.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::rewind::Rewound;
use super::{Shared, Stream, seconds};
use crate::http::write_stall::{self, Stall, Watched};

/// What a client says first that speaks HTTP/2 without having asked (RFC 9113, section 3.4). No request of
/// HTTP/1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of whoever begins a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The protocol, the stream to speak it on, and whether the socket under it is stuck.
pub(super) enum Opened<'a> {
    /// HTTP/1.1 or 1.0.
    Http1(Box<dyn Stream + 'a>, Stall),
    /// HTTP/2, beginning with its preface.
    Http2(Box<dyn Stream + 'a>, Stall),
    /// Something in the clear, where TLS is spoken.
    NotTls(Box<dyn Stream + 'a>, Stall),
}

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// Nothing came, or not enough to know what it is.
    #[error("the client was silent")]
    Silence,
    /// The TLS handshake was not done in time.
    #[error("the TLS handshake took too long")]
    SlowHandshake,
    /// The connection broke, or the two could not agree on TLS.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Finds out what the client speaks, within the times that it has for that.
pub(super) async fn open<'a>(
    stream: &'a mut TcpStream,
    shared: &Shared,
) -> Result<Opened<'a>, OpenError> {
    let settings = &shared.settings;
    let Some(tls) = &shared.tls else {
        let (stream, stalled) = write_stall::watch(stream);
        let (head, idle) = (settings.header_read_seconds_max, settings.idle_seconds_max);
        return in_the_clear(stream, stalled, seconds(head), seconds(idle)).await;
    };
    let limit = seconds(settings.tls_handshake_seconds_max);
    let opening = through_tls(stream, TlsAcceptor::from(tls.clone()));
    timeout(limit, opening)
        .await
        .unwrap_or(Err(OpenError::SlowHandshake))
}

/// As soon as a byte is not the preface's, it is HTTP/1.
async fn in_the_clear(
    mut stream: Watched<&mut TcpStream>,
    stalled: Stall,
    head: Duration,
    idle: Duration,
) -> Result<Opened<'_>, OpenError> {
    let mut first = BytesMut::with_capacity(PREFACE.len()).limit(PREFACE.len());
    in_time(idle, stream.read_buf(&mut first)).await?;
    let completing = async {
        while PREFACE.starts_with(first.get_ref()) && first.has_remaining_mut() {
            if stream.read_buf(&mut first).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    in_time(head, completing).await?;
    let first = first.into_inner().freeze();
    let is_http2 = first == PREFACE;
    let stream = Box::new(Rewound::new(first, stream));
    Ok(if is_http2 {
        Opened::Http2(stream, stalled)
    } else {
        Opened::Http1(stream, stalled)
    })
}

async fn through_tls(
    stream: &mut TcpStream,
    acceptor: TlsAcceptor,
) -> Result<Opened<'_>, OpenError> {
    let mut first = [0];
    let seen = stream.peek(&mut first).await?;
    let (stream, stalled) = write_stall::watch(stream);
    if seen == 0 {
        return Err(OpenError::Silence);
    }
    if first != [HANDSHAKE] {
        return Ok(Opened::NotTls(Box::new(stream), stalled));
    }
    let stream = acceptor.accept(stream).await?;
    let agreed_on_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Box::new(stream);
    Ok(if agreed_on_http2 {
        Opened::Http2(stream, stalled)
    } else {
        Opened::Http1(stream, stalled)
    })
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, OpenError> {
    match timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(OpenError::Silence),
    }
}
