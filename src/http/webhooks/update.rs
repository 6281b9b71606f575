//! `PATCH /v1/webhooks/{id}`: what its owner wants of a webhook from now on.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::path::WebhookPath;
use super::webhook_json::WebhookJson;
use crate::clock;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::authentication::MayUseWebhooks;
use crate::http::parse::webhook::{Purpose, webhook};
use crate::http::problem::{Code, Problem};
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{answer, body, media_type, openapi};
use crate::store::OutboxChange;

/// Change a webhook
///
/// What is absent stays, also in `filter`; null clears (RFC 7396): `events` to all of them, `filter` or a
/// member of it to no filter. What waits is delivered as the webhook is then. To set `enabled` to true also
/// forgets why the gateway has disabled it.
#[utoipa::path(
    patch,
    path = "/v1/webhooks/{id}",
    operation_id = "updateWebhook",
    tag = "webhooks",
    params(openapi::WebhookIdPath),
    request_body = inline(openapi::WebhookPatchRequest),
    responses(openapi::UpdateWebhookResponses)
)]
pub(in crate::http) async fn update(
    State(gateway): State<Gateway>,
    MayUseWebhooks(access): MayUseWebhooks,
    _: (NoQuery, NoAmqpHeaders),
    WebhookPath(id): WebhookPath,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    media_type::require_json(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let rules = gateway.clone();
    let parsed =
        body.parse(move |bytes| webhook(bytes, Purpose::Change, &rules.rules.webhook_allow));
    let patch = parsed
        .await?
        .map_err(|refusal| refusal.problem(Code::InvalidRequest))?;
    drop(body);
    super::find(&gateway, &access.caller, id).await?;
    let patch = OutboxChange::Patch(id, Box::new(patch));
    gateway.webhooks.write(patch).await?;
    // What it is now: another change may have come between.
    let webhook = super::find(&gateway, &access.caller, id).await?;
    let told = WebhookJson::of(&webhook, clock::wall());
    Ok(answer::json(StatusCode::OK, &told))
}
