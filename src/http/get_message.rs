//! `GET /v1/messages/{id}`: what became of a message.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::message_json::MessageJson;
use super::prefer::Preferences;
use super::problem::Problem;
use super::query::NoQuery;
use super::state::Gateway;
use super::{answer, openapi, wait};
use crate::domain::MessageId;
use crate::relay::Progress;
use crate::store::Record;

/// A commit that is under way ends sooner.
const SETTLING_MAX: Duration = Duration::from_secs(1);

/// Ask for a message
///
/// With `Prefer: wait=N` the answer waits for the final status, at most N seconds, and is 200
/// whether or not there is one by then.
#[utoipa::path(
    get,
    path = "/v1/messages/{id}",
    operation_id = "getMessage",
    tag = "asking",
    params(
        ("id" = String, Path, format = "uuid", description = "The id that publishing answered."),
        openapi::PreferWait,
    ),
    responses(openapi::GetResponses)
)]
pub(super) async fn get_message(
    State(gateway): State<Gateway>,
    _: NoQuery,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // What cannot be decoded or is no UUID is an id that nobody knows.
    let Path(id) = id.map_err(|_| wait::not_found())?;
    let id: MessageId = id.parse().map_err(|_| wait::not_found())?;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&headers, wait_seconds_max).only_wait();
    let record = match preferences.wait() {
        Some(wait) => wait::look_up_settled(&gateway, id, wait).await?,
        None => wait::look_up(&gateway, id).await?,
    };
    let (record, progress) = settle(&gateway, record).await?;
    let told = MessageJson::of_record(&record, &progress);
    Ok(answer::message(StatusCode::OK, &told, preferences))
}

/// How a pending message is getting on. One whose final status is being committed at this moment is
/// told with it: what led there is no longer known elsewhere.
async fn settle(
    gateway: &Gateway,
    record: Box<Record>,
) -> Result<(Box<Record>, Progress), Problem> {
    if record.outcome.is_some() {
        return Ok((record, Progress::default()));
    }
    let progress = gateway.backend.progress(&record);
    if !progress.settling {
        return Ok((record, progress));
    }
    let record = wait::look_up_settled(gateway, record.id, SETTLING_MAX).await?;
    let progress = match record.outcome {
        Some(_) => Progress::default(),
        None => gateway.backend.progress(&record),
    };
    Ok((record, progress))
}
