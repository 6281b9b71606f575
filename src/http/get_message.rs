//! `GET /v1/messages/{id}`: what became of a message.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::amqp_headers::NoAmqpHeaders;
use super::message_json::MessageJson;
use super::prefer::Preferences;
use super::problem::Problem;
use super::query::NoQuery;
use super::state::Gateway;
use super::{answer, openapi, wait};
use crate::domain::MessageId;
use crate::domain::access::Access;

/// Ask for a message
///
/// With `Prefer: wait=N` the answer waits for the final status, at most N seconds, and is 200
/// whether or not there is one by then.
#[utoipa::path(
    get,
    path = "/v1/messages/{id}",
    operation_id = "getMessage",
    tag = "asking",
    params(openapi::IdPath, openapi::PreferWait,),
    responses(openapi::GetResponses)
)]
pub(super) async fn get_message(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
    id: MessageId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&headers, wait_seconds_max).only_wait();
    let record = match preferences.wait() {
        Some(wait) => wait::look_up_settled(&gateway, &access, id, wait).await?,
        None => wait::look_up(&gateway, &access, id).await?,
    };
    let followed = wait::follow(&gateway, vec![*record]).await?;
    let (record, progress) = followed.into_iter().next().ok_or_else(wait::not_found)?;
    let told = MessageJson::of_record(&record, &progress);
    Ok(answer::message(StatusCode::OK, &told, preferences))
}
