//! A connection that carries one request after the other.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
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
    let timer = HeadTimer {
        phase: Arc::clone(&seat.phase),
        head: seconds(settings.header_read_seconds_max),
        idle: seconds(settings.idle_seconds_max),
    };
    let head = timer.head;
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
    tokio::select! {
        biased;
        ended = serving.as_mut() => return Ok(ended?),
        () = seat.is_wanted() => return Err(Ended::GaveWay),
        () = stalled.clone().lasts(stall) => return Err(Ended::Stuck),
        () = stopped(shared.stop.clone()) => serving.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        ended = serving => Ok(ended?),
        () = stalled.lasts(STOPPING_STALL_MAX) => Err(Ended::Stuck),
    }
}
