//! The HTTP interface. [`router`] is its table of contents; each endpoint is one file.
//!
//! This room checks and translates: what a caller wrote becomes a [`crate::domain::Draft`], and what
//! the relay and the store know becomes an answer. It decides nothing about messages.

mod accept;
mod access_log;
mod acting;
mod amqp_headers;
mod answer;
mod authentication;
mod body;
mod cancel;
mod crowd;
mod cursor;
mod endpoints;
mod events;
mod failures;
mod filter;
mod framing;
mod front;
mod get_group;
mod get_message;
mod get_payload;
mod get_replay;
mod head_time;
mod health;
mod idempotent;
mod linger;
mod list_messages;
mod lookup;
mod loopback;
mod management;
mod media_type;
mod message_id;
mod message_json;
mod metrics;
mod openapi;
mod panics;
mod parse;
mod phase;
mod prefer;
mod problem;
mod publish_batch;
mod publish_message;
mod publish_raw;
mod query;
mod quotas;
pub mod reading;
mod replay;
mod request_counts;
mod request_id;
mod serve;
mod start_replay;
mod state;
mod stats;
mod trace;
mod unparsed;
mod wait;
mod webhooks;
mod write_stall;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use openapi::yaml as openapi_yaml;
pub use problem::{Code, Problem};
pub use serve::{Http2Limits, Listener, serve, serve_management};
pub use state::{
    Accepting, AcceptingAll, AcceptingKeyed, Acting, Backend, CallersLoaded, Gateway, Parts,
    Settings,
};
pub use webhooks::{Webhooks, message_resource};

/// Answers are about one moment and one caller.
const NO_STORE: &str = "no-store";

/// Every endpoint of this version, behind everything that concerns all of them.
fn router(gateway: Gateway) -> Router {
    Router::new()
        .route(
            publish_message::PUBLISH_MESSAGE,
            post(publish_message::publish_message).get(list_messages::list_messages),
        )
        .route("/v1/messages/batch", post(publish_batch::publish_batch))
        .route("/v1/messages/lookup", post(lookup::lookup))
        .route("/v1/messages/{id}", get(get_message::get_message))
        .route("/v1/messages/{id}/payload", get(get_payload::get_payload))
        .route("/v1/messages/{id}/cancel", post(cancel::cancel))
        .route("/v1/messages/{id}/replay", post(replay::replay))
        .route("/v1/replays", post(start_replay::start_replay))
        .route("/v1/replays/{id}", get(get_replay::get_replay))
        .route("/v1/groups/{group}", get(get_group::get_group))
        .route(
            "/v1/exchanges/{exchange}/messages",
            post(publish_raw::publish_raw),
        )
        .route("/v1/events", get(events::events))
        .route(
            "/v1/webhooks",
            post(webhooks::create::create).get(webhooks::list::list),
        )
        .route(
            "/v1/webhooks/{id}",
            get(webhooks::get::get)
                .patch(webhooks::update::update)
                .delete(webhooks::delete::delete),
        )
        .route(
            "/v1/webhooks/{id}/rotate-secret",
            post(webhooks::rotate_secret::rotate_secret),
        )
        .route(
            "/v1/webhooks/{id}/deliveries",
            get(webhooks::deliveries::deliveries),
        )
        .route(
            "/v1/webhooks/{id}/deliveries/{delivery}/resend",
            post(webhooks::resend::resend),
        )
        .route("/v1/stats", get(stats::stats))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.yaml", get(openapi::document))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(gateway.clone(), front::pass))
        .with_state(gateway)
}

async fn nothing_here() -> Problem {
    Problem::new(Code::NotFound, "there is nothing at this path")
}

async fn no_such_method() -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        "this path does not know the method; Allow names those that it knows",
    )
}

#[cfg(test)]
mod tests;
