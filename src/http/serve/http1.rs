//! A connection that carries one request after the other.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::joined::Joined;
use super::{Ended, HEAD_BYTES_MAX, STOPPING_STALL_MAX, Shared, Stream, seconds};
use crate::http::crowd::Seat;
use crate::http::endpoints::Endpoints;
use crate::http::head_time::HeadTimer;
use crate::http::problem::{Code, Problem};
use crate::http::state::stopped;
use crate::http::unparsed;
use crate::http::write_stall::Stall;

/// Answers what comes until the client leaves, is too slow, or the gateway stops.
pub(super) async fn serve(
    stream: impl Stream,
    stalled: Stall,
    seat: &Seat,
    shared: &Shared,
) -> Result<(), Ended> {
    answer(stream, stalled, seat, shared, &shared.endpoints).await
}

/// Says once that this is the wrong protocol, in the words of the protocol that the client seems to speak.
pub(super) async fn refuse(
    stream: impl Stream,
    stalled: Stall,
    seat: &Seat,
    shared: &Shared,
) -> Result<(), Ended> {
    let refusal = || async {
        let detail = "TLS is spoken here: the address begins with https://";
        let close = [(hyper::header::CONNECTION, "close")];
        (close, Problem::new(Code::MalformedRequest, detail))
    };
    answer(
        stream,
        stalled,
        seat,
        shared,
        &Router::new().fallback(refusal).into(),
    )
    .await
}

async fn answer(
    stream: impl Stream,
    stalled: Stall,
    seat: &Seat,
    shared: &Shared,
    endpoints: &Endpoints,
) -> Result<(), Ended> {
    let settings = &shared.settings;
    let head = seconds(settings.header_read_seconds_max);
    let idle = seconds(settings.idle_seconds_max);
    let timer = HeadTimer::new(Arc::clone(&seat.phase), head, idle);
    let stream = Joined::new(unparsed::Watched::new(stream, Arc::clone(&seat.phase)));
    let service = service_fn(async |request: Request<Incoming>| {
        seat.phase.serve();
        Ok::<_, Infallible>(endpoints.answer(request.map(Body::new)).await)
    });
    let serving = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let stall = seconds(settings.write_stall_seconds_max);
    let told = async {
        tokio::select! {
            () = seat.is_wanted() => Err(Ended::GaveWay),
            () = stalled.clone().lasts(stall) => Err(Ended::Stuck),
            () = stopped(shared.stop.clone()) => Ok(()),
        }
    };
    // To poll them takes the locks of whoever may wake them, of which one is that of all connections: so they
    // are polled when they were woken, and not with each request.
    let mut told = FuturesUnordered::from_iter([told]);
    tokio::select! {
        biased;
        ended = serving.as_mut() => return Ok(ended?),
        Some(stops) = told.next() => stops?,
    }
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        ended = serving => Ok(ended?),
        () = stalled.clone().lasts(STOPPING_STALL_MAX) => Err(Ended::Stuck),
    }
}
