//! The ids in the paths of webhooks.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::delivery_json;
use crate::domain::MessageId;
use crate::http::problem::{Code, Problem};
use crate::store::DeliveryId;

/// The id of a webhook.
pub(in crate::http) struct WebhookPath(pub(super) MessageId);

/// The ids of a webhook and of one of its deliveries.
pub(in crate::http) struct DeliveryPath(pub(super) MessageId, pub(super) DeliveryId);

impl<S: Send + Sync> FromRequestParts<S> for WebhookPath {
    type Rejection = Problem;

    /// What cannot be decoded or is no UUID is an id that nobody knows.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        let id = id.ok().and_then(|Path(id)| id.parse().ok());
        id.map(Self).ok_or_else(unknown_webhook)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DeliveryPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ids = Path::<(String, String)>::from_request_parts(parts, state).await;
        let (webhook, delivery) = ids.map_err(|_| unknown_webhook())?.0;
        let webhook = webhook.parse().map_err(|_| unknown_webhook())?;
        let delivery = delivery_json::read_id(&delivery).ok_or_else(unknown_delivery)?;
        Ok(Self(webhook, delivery))
    }
}

/// Nobody knows this webhook, or it is somebody else's.
pub(super) fn unknown_webhook() -> Problem {
    Problem::new(Code::NotFound, "no webhook has this id")
}

/// It was never there, or is no longer kept.
pub(super) fn unknown_delivery() -> Problem {
    Problem::new(Code::NotFound, "no delivery of this webhook has this id")
}
