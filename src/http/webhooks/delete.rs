//! `DELETE /v1/webhooks/{id}`: nothing more is told there.

use axum::extract::{Request, State};
use axum::http::StatusCode;

use super::path::WebhookPath;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::authentication::MayUseWebhooks;
use crate::http::problem::Problem;
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{body, openapi};
use crate::store::OutboxChange;

/// Delete a webhook
///
/// With everything that waits for it, and the log of its deliveries. A try that is under way ends by itself.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{id}",
    operation_id = "deleteWebhook",
    tag = "webhooks",
    params(openapi::WebhookIdPath),
    responses(openapi::DeleteWebhookResponses)
)]
pub(in crate::http) async fn delete(
    State(gateway): State<Gateway>,
    MayUseWebhooks(access): MayUseWebhooks,
    _: (NoQuery, NoAmqpHeaders),
    WebhookPath(id): WebhookPath,
    request: Request,
) -> Result<StatusCode, Problem> {
    body::require_none(request.into_body(), &gateway).await?;
    super::find(&gateway, &access.caller, id).await?;
    gateway.webhooks.write(OutboxChange::Delete(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
