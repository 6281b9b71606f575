//! `GET /v1/replays/{id}`: how far the sending again of many messages has come.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::amqp_headers::NoAmqpHeaders;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::start_replay::ReplayJson;
use super::state::Gateway;
use super::{answer, openapi, wait};
use crate::domain::MessageId;
use crate::domain::access::Access;
use crate::store::BulkReplay;

/// Ask for a replay
///
/// How far it has come. Of those that are done, at least the last thousand of the gateway are kept.
#[utoipa::path(
    get,
    path = "/v1/replays/{id}",
    operation_id = "getReplay",
    tag = "acting",
    params(openapi::ReplayIdPath),
    responses(openapi::ReplayResponses)
)]
pub(super) async fn get_replay(
    State(gateway): State<Gateway>,
    access: Access,
    _: (NoQuery, NoAmqpHeaders),
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::NotFound, "no replay has this id");
    let id: Option<MessageId> = id.ok().and_then(|Path(id)| id.parse().ok());
    let id = id.ok_or_else(unknown)?;
    let bulk = wait::ask(&gateway, move |store| store.bulk_replay(id)).await?;
    // One about messages that may not be seen is as unknown as one that never was.
    let seen = |bulk: &BulkReplay| match &bulk.filter.caller {
        Some(owner) => access.sees(owner),
        None => access.scope().is_none(),
    };
    let bulk = bulk.filter(seen);
    let bulk = bulk.ok_or_else(unknown)?;
    Ok(answer::json(StatusCode::OK, &ReplayJson::of(&bulk)))
}
