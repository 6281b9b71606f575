//! One HTTP/1.1 connection, driven by whoever uses it.
//!
//! There is no task behind a connection: while it idles nobody looks at it, and before it is used again
//! it is looked at once, which tells whether the receiver has closed it meanwhile.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::connect::{Failure, Stream};
use crate::domain::webhook::ErrorClass;

/// Bytes of an answer's status line and headers.
const HEAD_BYTES_MAX: usize = 64 << 10;

type Connection = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// A connection with at most one request under way.
pub(super) struct Link {
    requests: http1::SendRequest<Full<Bytes>>,
    connection: Connection,
    /// The connection has come to its end and must not be polled again.
    ended: bool,
}

/// Why a request got no answer on a link.
pub(super) struct NoAnswer {
    pub(super) failure: Failure,
    /// The link broke before any byte of an answer came, as it does when the receiver closes a
    /// connection that idled too long just when it is used again.
    pub(super) unheard: bool,
}

impl Link {
    /// Speaks HTTP over `stream`.
    pub(super) async fn open(stream: Box<dyn Stream>) -> Result<Self, Failure> {
        let (requests, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::new(ErrorClass::Protocol, &error))?;
        Ok(Self {
            requests,
            connection,
            ended: false,
        })
    }

    /// Whether another request may be sent, as far as is known without waiting.
    pub(super) async fn is_usable(&mut self) -> bool {
        poll_fn(|cx| {
            self.advance(cx);
            Poll::Ready(!self.ended && self.requests.is_ready())
        })
        .await
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn ask(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let answering = pin!(self.requests.send_request(request));
        let answer = drive(&mut self.connection, &mut self.ended, answering).await;
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(NoAnswer {
                unheard: error.is_canceled() || error.is_incomplete_message() || is_reset(&error),
                failure: Failure::new(ErrorClass::Protocol, &error),
            }),
            None => Err(NoAnswer {
                failure: Failure::new(ErrorClass::Protocol, &"the connection was closed"),
                unheard: true,
            }),
        }
    }

    /// Reads an answer's body and drops it, so that the connection can be used again; `false` when it
    /// cannot, because the body is longer than `bytes_max` or broke off.
    pub(super) async fn drain(&mut self, mut body: Incoming, bytes_max: usize) -> bool {
        let mut bytes = 0;
        loop {
            let frame = pin!(body.frame());
            match drive(&mut self.connection, &mut self.ended, frame).await {
                Some(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Some(Some(Err(_))) | None => return false,
                Some(None) => return self.is_usable().await,
            }
            if bytes > bytes_max {
                return false;
            }
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) {
        self.ended = self.ended || Pin::new(&mut self.connection).poll(cx).is_ready();
    }
}

/// Runs `waiting` while the connection is driven; `None` when the connection has ended and what was
/// waited for will not come.
async fn drive<F: Future>(
    connection: &mut Connection,
    ended: &mut bool,
    mut waiting: Pin<&mut F>,
) -> Option<F::Output> {
    poll_fn(|cx| {
        if let Poll::Ready(done) = waiting.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if !*ended && Pin::new(&mut *connection).poll(cx).is_pending() {
            return Poll::Pending;
        }
        *ended = true;
        match waiting.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        }
    })
    .await
}

fn is_reset(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    let source = std::error::Error::source(error);
    let io = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| matches!(io.kind(), BrokenPipe | ConnectionReset | NotConnected))
}
