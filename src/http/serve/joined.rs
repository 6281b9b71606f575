//! A stream to which small pieces are written as one.
//!
//! hyper hands the head and the body of an answer over as two pieces. A system call with several pieces costs
//! more than to copy some hundred bytes (docs/performance.md). hyper could do that itself, but then it does so
//! with every answer, however large, and keeps the room for the largest until its connection ends.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than this is written in the pieces that it has: most answers about one message are smaller.
const JOINED_BYTES_MAX: usize = 2048;

/// See the module.
pub(super) struct Joined<S>(S);

impl<S> Joined<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Joined<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Joined<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut length = 0;
        for part in parts {
            let Some(room) = joined.get_mut(length..length + part.len()) else {
                return Pin::new(&mut self.0).poll_write_vectored(cx, parts);
            };
            room.copy_from_slice(part);
            length += part.len();
        }
        Pin::new(&mut self.0).poll_write(cx, &joined[..length])
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    /// Remembers how it was written to, and takes a few bytes of each call.
    #[derive(Default)]
    struct Taker {
        calls: Vec<usize>,
        taken: Vec<u8>,
    }

    const TAKEN_AT_ONCE_MAX: usize = 1000;

    impl AsyncWrite for Taker {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = &bytes[..bytes.len().min(TAKEN_AT_ONCE_MAX)];
            self.calls.push(1);
            self.taken.extend_from_slice(taken);
            Poll::Ready(Ok(taken.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.calls.push(parts.len());
            for part in parts {
                self.taken.extend_from_slice(part);
            }
            Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    }

    /// What a stream was given when all of these parts were written to it, and in how many parts each time.
    async fn written(parts: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut stream = Joined::new(Taker::default());
        let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        while rest.iter().any(|part| !part.is_empty()) {
            let taken = stream.write_vectored(rest).await.expect("it is taken");
            IoSlice::advance_slices(&mut rest, taken);
        }
        (stream.0.taken, stream.0.calls)
    }

    #[tokio::test]
    async fn small_parts_are_written_as_one_and_large_ones_as_they_are() {
        let part = |byte, length| vec![byte; length];
        for (parts, calls) in [
            (vec![part(b'a', 300), part(b'b', 200)], vec![1]),
            (vec![part(b'a', 300), Vec::new(), part(b'c', 1)], vec![1]),
            // The first time takes 1000 of them.
            (vec![part(b'a', 300), part(b'b', 1748)], vec![1, 1, 1]),
            (vec![part(b'a', 300), part(b'b', 1749)], vec![2]),
            (vec![part(b'a', 100_000), part(b'b', 10)], vec![2]),
        ] {
            let lengths: Vec<_> = parts.iter().map(Vec::len).collect();
            let (taken, called) = written(&parts).await;
            assert_eq!(called, calls, "{lengths:?}");
            assert!(taken == parts.concat(), "{lengths:?} arrived otherwise");
        }
    }
}
