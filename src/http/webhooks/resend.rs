//! `POST /v1/webhooks/{id}/deliveries/{delivery}/resend`: a delivery is tried again now.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::delivery_json::DeliveryJson;
use super::path::{DeliveryPath, unknown_delivery};
use crate::clock;
use crate::domain::MessageId;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::authentication::MayUseWebhooks;
use crate::http::problem::Problem;
use crate::http::query::NoQuery;
use crate::http::state::Gateway;
use crate::http::{answer, body, openapi, wait};
use crate::store::{DeliveryId, LoggedDelivery, OutboxChange};

/// Deliver again
///
/// Whatever became of it: also one that was delivered, or that waits for a later try, is tried now, with the
/// same `webhook-id`. While the webhook is disabled it waits.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/deliveries/{delivery}/resend",
    operation_id = "resendDelivery",
    tag = "webhooks",
    params(openapi::WebhookIdPath, openapi::DeliveryIdPath),
    responses(openapi::ResendResponses)
)]
pub(in crate::http) async fn resend(
    State(gateway): State<Gateway>,
    MayUseWebhooks(access): MayUseWebhooks,
    _: (NoQuery, NoAmqpHeaders),
    DeliveryPath(webhook, delivery): DeliveryPath,
    request: Request,
) -> Result<Response, Problem> {
    body::require_none(request.into_body(), &gateway).await?;
    super::find(&gateway, &access.caller, webhook).await?;
    find(&gateway, webhook, delivery).await?;
    let again = OutboxChange::Resend(delivery, clock::wall());
    gateway.webhooks.write(again).await?;
    let delivery = find(&gateway, webhook, delivery).await?;
    let told = DeliveryJson::of(&delivery);
    Ok(answer::json(StatusCode::ACCEPTED, &told))
}

/// The delivery of this id, if it is the webhook's.
async fn find(
    gateway: &Gateway,
    webhook: MessageId,
    id: DeliveryId,
) -> Result<LoggedDelivery, Problem> {
    let store = &gateway.webhooks.store;
    let behind = Some(DeliveryId(id.0 + 1));
    let found = wait::ask_of(store, move |store| store.deliveries(webhook, behind, 1)).await?;
    let found = found.into_iter().find(|delivery| delivery.id == id);
    found.ok_or_else(unknown_delivery)
}
