//! `POST /v1/webhooks/{id}/rotate-secret`: a new secret, beside which the old one signs for a while.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::path::WebhookPath;
use super::webhook_json::WebhookJson;
use crate::clock;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::authentication::MayUseWebhooks;
use crate::http::problem::Problem;
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{answer, body, openapi};
use crate::store::OutboxChange;

/// Rotate a webhook's secret
///
/// The answer has the new secret, which is told this once. The old one signs as well until
/// `old_secret_expires_at`, so that receivers can be changed in their own time; the one before that signs
/// no more.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/rotate-secret",
    operation_id = "rotateWebhookSecret",
    tag = "webhooks",
    params(openapi::WebhookIdPath),
    responses(openapi::RotateSecretResponses)
)]
pub(in crate::http) async fn rotate_secret(
    State(gateway): State<Gateway>,
    MayUseWebhooks(access): MayUseWebhooks,
    _: (NoQuery, NoAmqpHeaders),
    WebhookPath(id): WebhookPath,
    request: Request,
) -> Result<Response, Problem> {
    body::require_none(request.into_body(), &gateway).await?;
    super::find(&gateway, &access.caller, id).await?;
    let secret = super::new_secret();
    let overlap_seconds = gateway.settings.webhook_secret_overlap_seconds;
    let now = clock::wall();
    let rotate = OutboxChange::Rotate {
        id,
        secret: secret.reveal().into(),
        old_until: now.plus_ms(u64::from(overlap_seconds) * 1000),
    };
    gateway.webhooks.write(rotate).await?;
    let webhook = super::find(&gateway, &access.caller, id).await?;
    let told = WebhookJson::of(&webhook, now).with_secret(&secret);
    Ok(answer::json(StatusCode::OK, &told))
}
