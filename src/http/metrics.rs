//! `GET /metrics`: what operators ask about, as Prometheus reads it.
//!
//! The figures are about all callers' messages together.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::amqp_headers::NoAmqpHeaders;
use super::authentication::MaySeeAll;
use super::openapi;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use crate::metrics::MEDIA_TYPE;

/// Read the metrics
///
/// In the text format of Prometheus. The figures are about the messages of all callers, so that where there are
/// keys one of a caller who may see everybody's messages (`see = "all"`) is needed; the management listener
/// (`management_listen`) gives them without one.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operating",
    responses(openapi::MetricsResponses)
)]
pub(super) async fn metrics(
    State(gateway): State<Gateway>,
    _: MaySeeAll,
    _: (NoQuery, NoAmqpHeaders),
) -> Result<Response, Problem> {
    text(gateway).await
}

/// The same, whoever asks: for the management listener.
pub(super) async fn open(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    text(gateway).await
}

async fn text(gateway: Gateway) -> Result<Response, Problem> {
    // Some of it is read from the store, which may take its time.
    let told = tokio::task::spawn_blocking(move || gateway.metrics.text(gateway.requests()));
    let told = told.await.map_err(|error| {
        tracing::error!(%error, "the metrics could not be told");
        Problem::new(Code::StoreUnavailable, "the figures could not be read")
    })?;
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, super::NO_STORE),
    ];
    Ok((headers, told).into_response())
}
