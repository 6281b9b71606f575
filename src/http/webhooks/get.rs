//! `GET /v1/webhooks/{id}`: one webhook.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::path::WebhookPath;
use super::webhook_json::WebhookJson;
use crate::clock;
use crate::domain::access::Access;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::problem::Problem;
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{answer, openapi};

/// Ask for a webhook
///
/// Its secret is not told: whoever has lost it rotates it.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{id}",
    operation_id = "getWebhook",
    tag = "webhooks",
    params(openapi::WebhookIdPath),
    responses(openapi::GetWebhookResponses)
)]
pub(in crate::http) async fn get(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
    WebhookPath(id): WebhookPath,
) -> Result<Response, Problem> {
    let webhook = super::find(&gateway, &access.caller, id).await?;
    let told = WebhookJson::of(&webhook, clock::wall());
    Ok(answer::json(StatusCode::OK, &told))
}
