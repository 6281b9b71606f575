//! One connection at work: the loop between a socket, the protocol core and the feed.
//!
//! Reading and writing go on side by side in one task: a socket that takes no more never stops the
//! reading of acks, and whatever has come in is dealt with before more goes out.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::Sleep;

use super::protocol::{Connection, End};
use crate::broker::{Feed, Handover, LaneEvent, Room};
use crate::clock;

/// Bytes of one read.
const READ_BYTES: usize = 32 << 10;
/// Messages of one pull, so that writing begins before a whole window is encoded.
const PULL_MESSAGES_MAX: usize = 256;
/// A connection that nobody wants is closed after this time.
const UNWANTED_MAX: Duration = Duration::from_secs(30);
/// How long the timer sleeps when nothing is due.
const IDLE: Duration = Duration::from_hours(1);

/// Works until the connection is over, and says why. Everything that was pulled has then been
/// reported. `stop` closes it politely.
pub(super) async fn drive<S, F>(
    name: &str,
    socket: &mut S,
    connection: &mut Connection,
    feed: &mut F,
    stop: &mut watch::Receiver<bool>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Feed,
{
    let call = feed.call();
    let mut called = pin!(call.notified());
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let mut stopping = false;
    let mut timer = pin!(tokio::time::sleep(IDLE));
    let mut turn = Turn {
        socket,
        connection,
        feed,
        scratch: vec![0; READ_BYTES],
        batch: Vec::new(),
        wanted_at: clock::monotonic(),
        unflushed: false,
        name,
    };
    poll_fn(|cx| {
        while called.as_mut().poll(cx).is_ready() {
            called.set(call.notified());
        }
        if !stopping && stopped.as_mut().poll(cx).is_ready() {
            stopping = true;
            turn.connection.close(clock::monotonic());
        }
        loop {
            let now = clock::monotonic();
            while turn.once(cx, now) {}
            if let Some(end) = turn.connection.ended() {
                return Poll::Ready(end.clone());
            }
            if !rearm(timer.as_mut(), turn.deadline(), cx) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Sets the timer to `deadline`; true when that has passed already. A timer that would fire too
/// early is left alone, which saves touching it for every message.
fn rearm(mut timer: Pin<&mut Sleep>, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
    let deadline = deadline.unwrap_or_else(|| clock::monotonic() + IDLE);
    if timer.deadline().into_std() > deadline || timer.is_elapsed() {
        timer.as_mut().reset(deadline.into());
    }
    timer.poll(cx).is_ready()
}

struct Turn<'a, S, F> {
    socket: &'a mut S,
    connection: &'a mut Connection,
    feed: &'a mut F,
    scratch: Vec<u8>,
    batch: Vec<Handover>,
    wanted_at: Instant,
    /// The socket (TLS) holds bytes back that it has taken.
    unflushed: bool,
    name: &'a str,
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Feed> Turn<'_, S, F> {
    /// Reads, reports, pulls and writes once; true when there may be more to do at once.
    fn once(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = self.read(cx, now);
        self.connection.tick(now);
        self.report(now);
        if self.feed.is_stalled(now, self.connection.slow_until()) {
            self.connection.stalled();
        }
        progress |= self.pull(now);
        progress |= self.write(cx, now);
        self.report(now);
        progress && self.connection.ended().is_none()
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut into = ReadBuf::new(&mut self.scratch);
        match Pin::new(&mut *self.socket).poll_read(cx, &mut into) {
            Poll::Pending => return false,
            Poll::Ready(Err(error)) => self.connection.lost(End::Lost(error.to_string())),
            Poll::Ready(Ok(())) if into.filled().is_empty() => {
                self.connection
                    .lost(End::Lost("the broker closed the socket".into()));
            }
            Poll::Ready(Ok(())) => {
                self.connection.input().extend_from_slice(into.filled());
                self.connection.received(now);
            }
        }
        true
    }

    fn pull(&mut self, now: Instant) -> bool {
        let room = self.connection.room();
        let room = Room {
            messages: room.messages.min(PULL_MESSAGES_MAX),
            ..room
        };
        if !room.empty {
            self.wanted_at = now;
        }
        if room.messages == 0 {
            return false;
        }
        self.feed.pull(now, room, &mut self.batch);
        let pulled = !self.batch.is_empty();
        for handover in self.batch.drain(..) {
            self.connection.submit(handover);
        }
        if pulled || self.feed.wanted() {
            self.wanted_at = now;
        } else if now >= self.wanted_at + UNWANTED_MAX {
            self.connection.close(now);
        }
        pulled
    }

    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        while self.connection.has_output() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.connection.output(&mut slices);
            let written = match &slices[..count] {
                [one] => Pin::new(&mut *self.socket).poll_write(cx, one),
                several => Pin::new(&mut *self.socket).poll_write_vectored(cx, several),
            };
            match written {
                Poll::Ready(Ok(0)) => {
                    self.connection
                        .lost(End::Lost("the socket takes no bytes".into()));
                    break;
                }
                Poll::Ready(Ok(count)) => {
                    self.connection.wrote(count, now);
                    progress = true;
                }
                Poll::Ready(Err(error)) => {
                    self.connection.lost(End::Lost(error.to_string()));
                    break;
                }
                Poll::Pending => break,
            }
        }
        self.unflushed |= progress;
        self.flush(cx);
        progress
    }

    /// TLS may have taken bytes that the socket under it has no room for yet.
    fn flush(&mut self, cx: &mut Context<'_>) {
        if !self.unflushed {
            return;
        }
        match Pin::new(&mut *self.socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => {
                self.unflushed = false;
                self.connection.lost(End::Lost(error.to_string()));
            }
            Poll::Pending => {}
        }
    }

    fn report(&mut self, now: Instant) {
        let events = self.connection.events();
        if events.contains(&LaneEvent::Up) {
            tracing::info!(connection = self.name, "connected to the broker");
        }
        if !events.is_empty() {
            self.feed.report(now, events);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        // Without room nothing is pulled, and a deadline that has passed would pass again and again.
        let room = self.connection.room().messages > 0;
        let unwanted = (room && !self.feed.wanted()).then(|| self.wanted_at + UNWANTED_MAX);
        let feed = if room { self.feed.deadline() } else { None };
        self.connection
            .deadline()
            .into_iter()
            .chain(feed)
            .chain(self.feed.stall_check())
            .chain(unwanted)
            .min()
    }
}

#[cfg(test)]
mod tests;
