//! Time for the head of a request, apart from the time that a connection may idle.
//!
//! hyper knows one time for both. A short one closes idle connections under clients that are just
//! about to use them again; a long one lets slow heads hold connections. So the timer that hyper is
//! given rings only when bytes of a head have arrived, or when the connection has idled long enough.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream, and the timer that knows whether something has arrived on it. hyper's own time for the
/// head must be `head` too.
pub(super) fn watch(stream: TcpStream, head: Duration, idle: Duration) -> (Watched, HeadTimer) {
    let arrived = Arc::new(AtomicBool::new(false));
    let timer = HeadTimer {
        arrived: Arc::clone(&arrived),
        head,
        idle,
    };
    (Watched { stream, arrived }, timer)
}

/// A stream that remembers that something was read.
pub(super) struct Watched {
    stream: TcpStream,
    arrived: Arc<AtomicBool>,
}

/// Measures from the moment when hyper starts to expect a head.
#[derive(Clone)]
pub(super) struct HeadTimer {
    arrived: Arc<AtomicBool>,
    head: Duration,
    idle: Duration,
}

struct HeadSleep {
    timer: HeadTimer,
    tick: Pin<Box<dyn Sleep>>,
    next_tick: Instant,
    idle_end: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        // What was read before belongs to the request before.
        self.arrived.store(false, Ordering::Relaxed);
        Box::pin(HeadSleep {
            timer: self.clone(),
            tick: TokioTimer::new().sleep_until(deadline),
            next_tick: deadline,
            idle_end: self.now() + self.idle,
        })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// A head that begins just after a tick has up to twice its time, which does no harm.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.tick.as_mut().poll(cx));
            if self.timer.arrived.load(Ordering::Relaxed) || self.next_tick >= self.idle_end {
                return Poll::Ready(());
            }
            let next = (self.next_tick + self.timer.head).min(self.idle_end);
            self.next_tick = next;
            self.tick = TokioTimer::new().sleep_until(next);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.arrived.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
