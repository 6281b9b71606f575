//! Whether a connection takes what is written to it.
//!
//! An answer that nobody reads holds its connection and what was made of it, and at the stop it would be
//! waited for. hyper knows no time for writing; so the stream under it remembers since when it has been
//! full, and whoever runs the connection ends it when that lasts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::clock;

/// A stream, and the way to learn whether it is stuck.
pub(super) fn watch<S>(stream: S) -> (Watched<S>, Stall) {
    let (full_since, watched) = watch::channel(None);
    (Watched { stream, full_since }, Stall(watched))
}

/// A stream that remembers since when nothing more goes in.
pub(super) struct Watched<S> {
    stream: S,
    full_since: watch::Sender<Option<Instant>>,
}

/// See [`watch`].
#[derive(Clone)]
pub(super) struct Stall(watch::Receiver<Option<Instant>>);

impl Stall {
    /// Returns when nothing has gone into the stream for so long although there was something.
    pub(super) async fn lasts(mut self, limit: Duration) {
        loop {
            let since = *self.0.borrow_and_update();
            let changed = self.0.changed();
            let ended = match since {
                None => changed.await.is_err(),
                Some(since) => {
                    let end = tokio::time::Instant::from_std(since + limit);
                    match tokio::time::timeout_at(end, changed).await {
                        Ok(changed) => changed.is_err(),
                        Err(_) => return,
                    }
                }
            };
            if ended {
                // The connection has gone.
                return std::future::pending().await;
            }
        }
    }
}

impl<S> Watched<S> {
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let was_full = self.full_since.borrow().is_some();
        if written.is_pending() != was_full {
            let now = written.is_pending().then(clock::monotonic);
            self.full_since.send_replace(now);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const LIMIT: Duration = Duration::from_millis(50);

    async fn lasts(stall: &Stall) -> bool {
        let lasts = stall.clone().lasts(LIMIT);
        tokio::time::timeout(LIMIT * 4, lasts).await.is_ok()
    }

    #[tokio::test]
    async fn a_stream_is_stuck_when_it_takes_nothing_although_there_is_something() {
        let (stream, mut peer) = duplex(8);
        let (mut stream, stall) = watch(stream);
        assert!(!lasts(&stall).await, "nothing was written");
        stream.write_all(b"12345678").await.expect("room");
        assert!(!lasts(&stall).await, "all of it was taken");
        let writing = async {
            stream.write_all(b"9").await.expect("room, later");
            stream
        };
        let reading = async {
            assert!(lasts(&stall).await, "there is no room");
            peer.read_exact(&mut [0; 4])
                .await
                .expect("there is something");
        };
        let (stream, ()) = tokio::join!(writing, reading);
        assert!(!lasts(&stall).await, "it was taken in the end");
        drop(stream);
        assert!(!lasts(&stall).await, "it has ended");
    }
}
