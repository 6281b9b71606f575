//! A connection that carries many requests at once.
//!
//! hyper and h2 bound what one client can make them keep; what they leave open is bounded here: a client
//! that asks for nothing is idle, one that gives its answers no room holds them, one that takes back what
//! it asks for makes work. To each the connection ends, and what else is in progress on it is finished
//! first, unless the client does harm.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::streams::{OpenStream, SentBody, Streams, Verdict};
use super::{Ended, STOPPING_STALL_MAX, Shared, Stream, seconds};
use crate::http::crowd::Seat;
use crate::http::endpoints::Endpoints;
use crate::http::problem::{Code, Problem};
use crate::http::state::{Settings, stopped};
use crate::http::write_stall::Stall;

/// Bytes of one answer that are kept for a client which does not take them.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Requests that were taken back before they were looked at, after which the connection ends. That many
/// come together only from who means harm.
const RESETS_AT_ONCE_MAX: usize = 20;

/// Answers what comes until the client leaves, is too slow, does harm, or the gateway stops.
pub(super) async fn serve(
    stream: impl Stream,
    stalled: Stall,
    seat: &Seat,
    shared: &Shared,
) -> Result<(), Ended> {
    let settings = &shared.settings;
    let (idle, stall) = (
        seconds(settings.idle_seconds_max),
        seconds(settings.write_stall_seconds_max),
    );
    let streams = Streams::new(
        settings.http2.resets_max,
        Arc::clone(&shared.http2_requests),
        Arc::clone(&seat.phase),
    );
    let (counted, endpoints) = (Arc::clone(&streams), shared.endpoints.clone());
    let service = service_fn(move |request| answer(request, counted.open(), endpoints.clone()));
    let serving = builder(settings).serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let verdict = tokio::select! {
        biased;
        ended = serving.as_mut() => return Ok(ended?),
        () = stalled.clone().lasts(stall) => return Err(Ended::Stuck),
        verdict = streams.verdict(idle, stall) => verdict,
        () = seat.is_wanted() => Verdict::Unwanted,
        () = stopped(shared.stop.clone()) => Verdict::Stop,
    };
    let patience = match verdict {
        Verdict::Harmful => return Err(Ended::TooManyResets),
        Verdict::Idle | Verdict::Stuck | Verdict::Unwanted => stall,
        // The process has a time of its own for all that is in progress.
        Verdict::Stop => Duration::MAX,
    };
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        ended = serving => Ok(ended?),
        () = stalled.lasts(STOPPING_STALL_MAX) => Err(Ended::Stuck),
        () = streams.nothing_moves(STOPPING_STALL_MAX) => Err(Ended::Stuck),
        () = tokio::time::sleep(patience) => Err(Ended::Stuck),
    }
}

fn builder(settings: &Settings) -> http2::Builder<TokioExecutor> {
    let limits = &settings.http2;
    // Tasks that hyper starts for requests end with their connection.
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(limits.header_bytes_max)
        .max_pending_accept_reset_streams(RESETS_AT_ONCE_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .keep_alive_interval(seconds(limits.keep_alive_seconds))
        .keep_alive_timeout(seconds(settings.header_read_seconds_max));
    builder
}

async fn answer(
    request: Request<Incoming>,
    mut stream: OpenStream,
    endpoints: Endpoints,
) -> Result<Response<SentBody>, Infallible> {
    let response = if stream.is_allowed() {
        endpoints.answer(request.map(Body::new)).await
    } else {
        let detail = "too many requests are in progress at the same time; nothing was accepted";
        Problem::new(Code::Overloaded, detail).into_response()
    };
    stream.answered();
    Ok(response.map(|body| SentBody::new(body, stream)))
}
