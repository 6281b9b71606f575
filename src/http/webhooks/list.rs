//! `GET /v1/webhooks`: the caller's webhooks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::webhook_json::WebhookJson;
use crate::clock;
use crate::domain::access::Access;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::problem::Problem;
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{answer, openapi};

/// The webhooks of a caller.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookList)]
pub(in crate::http) struct WebhookListJson<'a> {
    /// Oldest first, without their secrets.
    webhooks: Vec<WebhookJson<'a>>,
}

/// List webhooks
///
/// All of the caller's, of which there is a limited number, oldest first. Secrets are not told.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    operation_id = "listWebhooks",
    tag = "webhooks",
    responses(openapi::ListWebhooksResponses)
)]
pub(in crate::http) async fn list(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
) -> Result<Response, Problem> {
    let webhooks = gateway.webhooks.of(&access.caller).await?;
    let now = clock::wall();
    let told = WebhookListJson {
        webhooks: webhooks
            .iter()
            .map(|one| WebhookJson::of(one, now))
            .collect(),
    };
    Ok(answer::json(StatusCode::OK, &told))
}
