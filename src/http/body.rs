//! Reading a request's body within its limits of size, time and memory, and without holding others up.
//!
//! The limit for one body times the number of connections is more memory than any machine has, so
//! all large bodies share a budget; small ones are free, and bounded by the numbers of connections and of
//! requests over HTTP/2.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::accept;
use super::parse::Faults;
use super::problem::{Code, Problem};
use super::state::Gateway;
use crate::relay::AcceptError;

/// What a body has free, and the unit that it takes from the budget beyond.
const UNIT_BYTES: usize = 64 << 10;

/// Making sense of a larger body would hold up the other requests of its thread.
const PARSED_AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// Memory for bodies, shared by all requests.
pub(super) struct BodyBudget(Semaphore);

impl BodyBudget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self(Semaphore::new(
            (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS),
        ))
    }
}

/// A body, and the room that it takes for as long as it is kept.
pub(super) struct Read<'a> {
    pub(super) bytes: Bytes,
    /// Whether `bytes` are alone in their memory, rather than in the buffer of a connection.
    alone: bool,
    held: Vec<SemaphorePermit<'a>>,
}

impl<'a> Read<'a> {
    /// What `parse` makes of the bytes, which are gone afterwards. Large ones are given to a thread that
    /// serves no connections.
    pub(super) async fn parse<T: Send + 'static>(
        &mut self,
        parse: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() <= PARSED_AT_ONCE_BYTES_MAX {
            return Ok(parse(&bytes));
        }
        // In a box, so that the room for it is not copied with every request.
        Box::pin(elsewhere(move || parse(&bytes))).await
    }

    /// The room without the bytes.
    pub(super) fn without_bytes(self) -> impl Send + use<'a> {
        self.held
    }

    /// The bytes, to be kept for as long as the message is, and the room. A part of a connection's
    /// buffer is copied, since it would keep all of the buffer.
    pub(super) fn into_payload(self) -> (Bytes, impl Send + use<'a>) {
        let bytes = if self.alone {
            self.bytes
        } else {
            Bytes::copy_from_slice(&self.bytes)
        };
        (bytes, self.held)
    }
}

/// What `work` comes to on a thread that serves no connections.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            // The layer above answers it as any other.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(accept::refused(&AcceptError::Stopping)),
        },
    }
}

/// The whole body. What is announced as too large is refused before any of it is read; what is not
/// announced is cut off at the limit.
pub(super) async fn read(body: Body, gateway: &Gateway) -> Result<Read<'_>, Problem> {
    let max = gateway.rules.limits.body_bytes_max;
    if body.size_hint().lower() > max as u64 {
        return Err(too_large(max));
    }
    let seconds = gateway.settings.body_read_seconds_max;
    let limit = Duration::from_secs(seconds.into());
    let mut collecting = pin!(collect(body, max, gateway.bodies()));
    // Most bodies have come with their heads, and need no timer.
    let at_once = poll_fn(|cx| Poll::Ready(collecting.as_mut().poll(cx)));
    if let Poll::Ready(read) = at_once.await {
        return read;
    }
    match tokio::time::timeout(limit, collecting).await {
        Ok(read) => read,
        Err(_) => Err(Problem::new(
            Code::RequestTimeout,
            format!("the body must arrive within {seconds} seconds"),
        )),
    }
}

/// Refuses a body that holds anything: what is written there would silently mean nothing.
pub(super) async fn require_none(body: Body, gateway: &Gateway) -> Result<(), Problem> {
    let unexpected = || {
        let mut faults = Faults::default();
        faults.push("", "no body is expected here, and there is one");
        Problem::faulty(Code::InvalidRequest, faults)
    };
    if body.size_hint().lower() > 0 {
        return Err(unexpected());
    }
    if read(body, gateway).await?.bytes.is_empty() {
        Ok(())
    } else {
        Err(unexpected())
    }
}

async fn collect(mut body: Body, max: usize, budget: &BodyBudget) -> Result<Read<'_>, Problem> {
    let mut held = Vec::new();
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(Code::IncompleteBody, "the body broke off before its end"))?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let size = first.len() + all.len() + data.len();
        if size > max {
            return Err(too_large(max));
        }
        while (held.len() + 1) * UNIT_BYTES < size {
            held.push(budget.0.try_acquire().map_err(|_| overloaded())?);
        }
        // Most bodies are one piece, which needs no copy.
        if size == data.len() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    let alone = !all.is_empty();
    let bytes = if alone { exact(all) } else { first };
    Ok(Read { bytes, alone, held })
}

/// Without the room to grow.
fn exact(all: BytesMut) -> Bytes {
    Vec::from(all).into_boxed_slice().into()
}

fn too_large(max: usize) -> Problem {
    Problem::new(
        Code::BodyTooLarge,
        format!("at most {max} bytes are allowed"),
    )
}

fn overloaded() -> Problem {
    Problem::new(
        Code::Overloaded,
        "too many large bodies are being received; nothing was accepted",
    )
}
