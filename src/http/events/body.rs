//! The body of a stream: made as it is taken, so that who takes nothing holds nothing.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};

use super::seeing::Seeing;
use crate::http::message_json::MessageJson;
use crate::http::state::stopped;
use crate::notify::events::{Event, Listener, Next};
use crate::relay::Progress;

/// Proxies end connections on which nothing passes, most of them after a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is there at once is sent in frames of about this size, since each costs both sides more than the
/// events in it. hyper holds sixteen of them for a connection that takes nothing.
const FRAME_BYTES: usize = 4096;

/// Milliseconds after which clients shall come back when the connection has ended.
const RETRY_MS: u32 = 2000;

/// See the module.
pub(super) enum EventsBody {
    Ready(Box<Stream>),
    Waiting(Waiting),
    Ended,
}

type Waiting = Pin<Box<dyn Future<Output = Option<Box<Stream>>> + Send>>;

impl EventsBody {
    pub(super) fn new(listener: Listener, seeing: Seeing, stop: watch::Receiver<bool>) -> Self {
        let position = listener.position();
        Self::Ready(Box::new(Stream {
            opening: Some(format!("retry: {RETRY_MS}\nid: {position}\n\n").into()),
            told: position,
            listener,
            heartbeat: Box::pin(sleep(HEARTBEAT)),
            heartbeat_due: false,
            seeing,
            stop,
        }))
    }
}

impl Body for EventsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Self::Ready(stream) = &mut *self
                && stream.seeing.has_ended()
            {
                *self = Self::Ended;
            }
            match &mut *self {
                Self::Ready(stream) => match stream.next() {
                    Some(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    None => {
                        if let Self::Ready(stream) = mem::replace(&mut *self, Self::Ended) {
                            *self = Self::Waiting(Box::pin(stream.more()));
                        }
                    }
                },
                Self::Waiting(waiting) => {
                    let stream = ready!(waiting.as_mut().poll(cx));
                    *self = stream.map_or(Self::Ended, Self::Ready);
                }
                Self::Ended => return Poll::Ready(None),
            }
        }
    }
}

/// What is to be sent next.
pub(super) struct Stream {
    opening: Option<Bytes>,
    listener: Listener,
    /// The last position that the client knows of.
    told: u64,
    heartbeat: Pin<Box<Sleep>>,
    heartbeat_due: bool,
    seeing: Seeing,
    stop: watch::Receiver<bool>,
}

impl Stream {
    /// What can be sent at once, but for what is too much for one frame.
    fn next(&mut self) -> Option<Bytes> {
        let first = self.block()?;
        let Some(second) = self.block() else {
            return Some(first);
        };
        let mut frame = BytesMut::with_capacity(2 * FRAME_BYTES);
        frame.extend_from_slice(&first);
        frame.extend_from_slice(&second);
        while frame.len() < FRAME_BYTES
            && let Some(block) = self.block()
        {
            frame.extend_from_slice(&block);
        }
        Some(frame.freeze())
    }

    /// The next block.
    fn block(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        if mem::take(&mut self.heartbeat_due) {
            return Some(self.heartbeat());
        }
        if *self.stop.borrow() {
            return None;
        }
        Some(match self.listener.take()? {
            Next::Event(event) => {
                self.told = event.position;
                event.told(tell)
            }
            // Its id would be the one before: whoever comes back now misses the same.
            Next::Gap { from, to } => {
                format!("event: gap\ndata: {{\"from\":{from},\"to\":{to}}}\n\n").into()
            }
        })
    }

    /// Returns when there may be something to send, and nothing when the stream ends.
    async fn more(mut self: Box<Self>) -> Option<Box<Self>> {
        tokio::select! {
            biased;
            () = stopped(self.stop.clone()) => return None,
            () = self.seeing.ended() => return None,
            () = &mut self.heartbeat => {
                self.heartbeat = Box::pin(sleep(HEARTBEAT));
                self.heartbeat_due = true;
            }
            more = self.listener.more() => {
                if let Err(error) = more {
                    tracing::warn!(%error, "a stream of events ends: the store could not be asked");
                    return None;
                }
            }
        }
        Some(self)
    }

    fn heartbeat(&mut self) -> Bytes {
        let position = self.listener.position();
        if position == self.told {
            return Bytes::from_static(b": keep-alive\n\n");
        }
        self.told = position;
        format!(": keep-alive\nid: {position}\n\n").into()
    }
}

/// An event as it is sent to everybody.
fn tell(event: &Event) -> Bytes {
    let (position, ended) = (event.position, Progress::default());
    let told = MessageJson::of_record(&event.record, &ended);
    let status = told.status.as_str();
    // Strings and numbers always have a JSON form, in which a line end is never bare.
    let data = serde_json::to_string(&told).unwrap_or_default();
    format!("event: message.{status}\nid: {position}\ndata: {data}\n\n").into()
}
