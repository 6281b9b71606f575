//! Requests that hyper refuses by itself are answered with a problem, as all others are.
//!
//! What hyper cannot read as HTTP reaches no handler: hyper writes a head with 400, 414 or 431 and no
//! body, and ends the connection. The stream under it sees when that happens, and puts the problem into
//! the answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::access_log;
use super::phase::Phase;
use super::problem::{Code, MEDIA_TYPE, Problem};

/// A stream that tells its [`Phase`] what is read and written, and completes hyper's own answers.
pub(super) struct Watched<S> {
    stream: S,
    phase: Arc<Phase>,
    /// What is left of the answer that is written instead of hyper's.
    instead: Option<Bytes>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, phase: Arc<Phase>) -> Self {
        Self {
            stream,
            phase,
            instead: None,
        }
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Whether what hyper writes now is an answer of its own. It writes it at once and nothing after it,
    /// and repeats the call until it is taken.
    fn is_refusing(&mut self, written: impl FnOnce() -> Vec<u8>) -> bool {
        if self.instead.is_none() && self.phase.idle_since().is_some() {
            self.instead = answer(&written());
        }
        self.phase.writes();
        self.instead.is_some()
    }

    /// Writes the answer instead of hyper's, which has this length.
    fn poll_refuse(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        let rest = self.instead.get_or_insert_default();
        while !rest.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
        }
        Poll::Ready(Ok(length))
    }
}

/// The head that hyper has written, with a problem as its body. `None` when it is none of those that are
/// known here.
fn answer(head: &[u8]) -> Option<Bytes> {
    let head = str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let problem = match head.strip_prefix("HTTP/1.1 ")?.get(..3)? {
        "400" => Problem::new(
            Code::MalformedRequest,
            "the head of the request is not what RFC 9112 allows, so its end is not known",
        ),
        "414" => Problem::new(
            Code::UriTooLong,
            "the target of the request is longer than 65534 bytes",
        ),
        "431" => Problem::new(
            Code::HeadTooLarge,
            format!(
                "the head of the request is larger than {} bytes or has more than {} fields",
                super::serve::HEAD_BYTES_MAX,
                super::serve::HEAD_FIELDS_MAX
            ),
        ),
        _ => return None,
    };
    access_log::unparsed(problem.code);
    let body = problem.to_json();
    let length = body.len();
    let kept = head
        .split("\r\n")
        .filter(|line| !line.starts_with("content-length:"));
    let lines = kept.map(str::to_owned).chain([
        format!("content-type: {MEDIA_TYPE}"),
        format!("cache-control: {}", super::NO_STORE),
        format!("content-length: {length}\r\n\r\n"),
    ]);
    let mut answer = lines.collect::<Vec<_>>().join("\r\n").into_bytes();
    answer.extend_from_slice(&body);
    Some(answer.into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.phase.arrived();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusing(|| bytes.to_vec()) {
            return self.poll_refuse(cx, bytes.len());
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.phase.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusing(|| parts.iter().flat_map(|part| part.iter().copied()).collect()) {
            let length = parts.iter().map(|part| part.len()).sum();
            return self.poll_refuse(cx, length);
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
