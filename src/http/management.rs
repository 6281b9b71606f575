//! The management listener: metrics and health without a key, and nothing else.
//!
//! It is for where only Prometheus and probes can reach it, and goes on answering while the gateway drains.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use super::state::Gateway;
use super::{front, health, metrics, no_such_method, nothing_here};

/// Connections that are open at the same time; more wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// Everything that it answers.
pub(super) fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/metrics", get(metrics::open))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(gateway.clone(), front::pass_management))
        .with_state(gateway)
}
