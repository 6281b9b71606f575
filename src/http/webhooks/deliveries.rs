//! `GET /v1/webhooks/{id}/deliveries`: what became of what a webhook was told.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::delivery_json::DeliveryJson;
use super::path::WebhookPath;
use crate::domain::access::Access;
use crate::http::amqp_headers::NoAmqpHeaders;
use crate::http::filter::{self, PAGE_DEFAULT};
use crate::http::parse::Faults;
use crate::http::problem::Problem;
use crate::http::state::Gateway;
use crate::http::{answer, cursor, openapi, query, wait};

/// The query parameters, which the document of the API is compared with.
pub(in crate::http) const PARAMETERS: [&str; 2] = ["limit", "cursor"];

/// A part of the deliveries of a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryList)]
pub(in crate::http) struct DeliveryListJson<'a> {
    /// Newest first by outcome.
    deliveries: Vec<DeliveryJson<'a>>,
    /// For the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List deliveries
///
/// What the webhook was told or is to be told, newest first: all that waits, and the last thousand that
/// have ended. What receivers answered besides the status is not kept.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{id}/deliveries",
    operation_id = "listDeliveries",
    tag = "webhooks",
    params(openapi::WebhookIdPath, openapi::DeliveriesQuery),
    responses(openapi::DeliveriesResponses)
)]
pub(in crate::http) async fn deliveries(
    State(gateway): State<Gateway>,
    access: Access,
    _: NoAmqpHeaders,
    WebhookPath(id): WebhookPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let [limit, before] = query::read(uri.query(), &PARAMETERS, &mut faults);
    let limit = filter::limit(limit.as_deref(), &mut faults);
    query::refuse(faults)?;
    let before = before.as_deref().map(cursor::read_delivery).transpose()?;
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    super::find(&gateway, &access.caller, id).await?;
    let store = &gateway.webhooks.store;
    let page = wait::ask_of(store, move |store| store.deliveries(id, before, limit + 1)).await?;
    let (told, more) = page.split_at(limit.min(page.len()));
    let last = told.last().filter(|_| !more.is_empty());
    let told = DeliveryListJson {
        deliveries: told.iter().map(DeliveryJson::of).collect(),
        next_cursor: last.map(|last| cursor::write_delivery(last.id)),
    };
    Ok(answer::json(StatusCode::OK, &told))
}
