//! What is in progress on one connection of HTTP/2.
//!
//! hyper tells nothing of the streams of a connection, so each request carries a mark that is dropped with
//! it, and each answer notes when the client was given something and asks for more. Whether the connection
//! may go on is read off that.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::clock;
use crate::http::phase::Phase;

/// A request that is taken back later was waited for.
const TAKEN_BACK_SOON: Duration = Duration::from_secs(1);

/// Answers are handed over in pieces of so many bytes at most. The last piece is out of sight, so this is
/// also what a client that takes none of it makes h2 keep.
const PIECE_BYTES: usize = 16 << 10;

/// Why a connection shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is in progress.
    Idle,
    /// The client gives an answer no room, although it could be sent.
    Stuck,
    /// The client takes back too much of what it asks for.
    Harmful,
    /// Nothing is in progress, and another connection needs the room.
    Unwanted,
    /// The process stops.
    Stop,
}

/// Those of one connection.
pub(super) struct Streams {
    /// Shared with all connections.
    requests: Arc<Semaphore>,
    resets_max: u64,
    phase: Arc<Phase>,
    harmful: Notify,
    state: Mutex<State>,
}

struct State {
    open: usize,
    /// Since when none is open.
    idle_since: Instant,
    /// The pieces that were handed over and after which nothing was asked for, oldest first.
    unsent: BTreeMap<u64, Instant>,
    pieces: u64,
    answered: u64,
    taken_back: u64,
}

impl Streams {
    pub(super) fn new(resets_max: u64, requests: Arc<Semaphore>, phase: Arc<Phase>) -> Arc<Self> {
        Arc::new(Self {
            requests,
            resets_max,
            phase,
            harmful: Notify::new(),
            state: Mutex::new(State {
                open: 0,
                idle_since: clock::monotonic(),
                unsent: BTreeMap::new(),
                pieces: 0,
                answered: 0,
                taken_back: 0,
            }),
        })
    }

    /// A request has come.
    pub(super) fn open(self: &Arc<Self>) -> OpenStream {
        let mut state = self.state.lock();
        state.open += 1;
        self.phase.serve();
        drop(state);
        OpenStream {
            streams: Arc::clone(self),
            permit: Arc::clone(&self.requests).try_acquire_owned().ok(),
            began: clock::monotonic(),
            is_answered: false,
            unsent: None,
        }
    }

    /// Returns when the connection shall end.
    pub(super) async fn verdict(&self, idle: Duration, stall: Duration) -> Verdict {
        loop {
            // Whatever begins after this look takes one of the two times at least.
            let now = clock::monotonic();
            let (idle_end, stall_end) = {
                let state = self.state.lock();
                let since = if state.open == 0 {
                    state.idle_since
                } else {
                    now
                };
                let oldest = state.unsent.values().next().copied();
                (since + idle, oldest.unwrap_or(now) + stall)
            };
            if now >= stall_end {
                return Verdict::Stuck;
            }
            if now >= idle_end {
                return Verdict::Idle;
            }
            tokio::select! {
                () = self.harmful.notified() => return Verdict::Harmful,
                () = tokio::time::sleep_until(idle_end.min(stall_end).into()) => {}
            }
        }
    }

    /// Returns when for so long, from now on, nothing was in progress that could go on.
    pub(super) async fn nothing_moves(&self, limit: Duration) {
        let began = clock::monotonic();
        loop {
            let now = clock::monotonic();
            let end = {
                let state = self.state.lock();
                let moves = state.unsent.len() < state.open;
                let since = match state.unsent.values().next_back() {
                    _ if moves => now,
                    Some(newest) => *newest,
                    None => state.idle_since,
                };
                since.max(began) + limit
            };
            if now >= end {
                return;
            }
            tokio::time::sleep_until(end.into()).await;
        }
    }
}

/// One request, from its head to the last piece of its answer.
pub(super) struct OpenStream {
    streams: Arc<Streams>,
    permit: Option<OwnedSemaphorePermit>,
    began: Instant,
    is_answered: bool,
    unsent: Option<u64>,
}

impl OpenStream {
    /// Whether there is room for it.
    pub(super) fn is_allowed(&self) -> bool {
        self.permit.is_some()
    }

    /// There is an answer.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
        self.streams.state.lock().answered += 1;
    }

    fn handed_over(&mut self) {
        let mut state = self.streams.state.lock();
        state.pieces += 1;
        let piece = state.pieces;
        state.unsent.insert(piece, clock::monotonic());
        self.unsent = Some(piece);
    }

    fn asked_for_more(&mut self) {
        if let Some(piece) = self.unsent.take() {
            self.streams.state.lock().unsent.remove(&piece);
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.asked_for_more();
        let now = clock::monotonic();
        let mut state = self.streams.state.lock();
        state.open -= 1;
        if state.open == 0 {
            state.idle_since = now;
            self.streams.phase.expect_head(now);
        }
        if !self.is_answered && now < self.began + TAKEN_BACK_SOON {
            state.taken_back += 1;
            if state.taken_back > self.streams.resets_max + state.answered {
                self.streams.harmful.notify_one();
            }
        }
    }
}

/// The body of an answer, in pieces, with the mark of its request.
pub(super) struct SentBody {
    body: Body,
    rest: Bytes,
    stream: OpenStream,
}

impl SentBody {
    pub(super) fn new(body: Body, stream: OpenStream) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            stream,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        self.stream.handed_over();
        let fits = self.rest.len().min(PIECE_BYTES);
        Frame::data(self.rest.split_to(fits))
    }
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.stream.asked_for_more();
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(data) => {
                    self.rest = data;
                    self.piece()
                }
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    const IDLE: Duration = Duration::from_secs(75);
    const STALL: Duration = Duration::from_secs(30);

    fn over(requests: Arc<Semaphore>) -> Arc<Streams> {
        Streams::new(3, requests, Arc::new(Phase::new(clock::monotonic())))
    }

    fn streams() -> Arc<Streams> {
        over(Arc::new(Semaphore::new(2)))
    }

    #[tokio::test]
    async fn a_body_comes_whole_and_in_small_pieces() {
        let whole: Vec<u8> = (0..=255).cycle().take(PIECE_BYTES * 2 + 7).collect();
        let mut body = SentBody::new(Body::from(whole.clone()), streams().open());
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.expect("a piece").into_data().expect("data");
            assert!(data.len() <= PIECE_BYTES);
            read.extend_from_slice(&data);
            let rest = (whole.len() - read.len()) as u64;
            assert_eq!(body.size_hint().exact(), Some(rest));
        }
        assert_eq!(read, whole);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn requests_are_counted_over_all_connections_and_for_as_long_as_their_answers() {
        let one = streams();
        let other = over(Arc::clone(&one.requests));
        let (first, second) = (one.open(), other.open());
        assert!(first.is_allowed() && second.is_allowed());
        assert!(!one.open().is_allowed(), "there are two at most");
        drop(SentBody::new(Body::empty(), first));
        assert!(one.open().is_allowed());
    }

    #[tokio::test]
    async fn taking_back_is_harmful_beyond_what_was_answered_and_the_limit() {
        let streams = streams();
        let verdict = async || {
            let soon = Duration::from_millis(50);
            tokio::time::timeout(soon, streams.verdict(IDLE, STALL))
                .await
                .ok()
        };
        let mut answered = streams.open();
        answered.answered();
        drop(answered);
        for _ in 0..4 {
            drop(streams.open());
        }
        assert_eq!(verdict().await, None, "three, and one for the answered one");
        drop(streams.open());
        assert_eq!(verdict().await, Some(Verdict::Harmful));
    }
}
