//! `POST /v1/messages/{id}/replay`: a message that has ended is sent again.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::amqp_headers::NoAmqpHeaders;
use super::authentication::MayReplay;
use super::message_json::MessageJson;
use super::prefer::Preferences;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{accept, acting, answer, body, openapi, wait};
use crate::domain::access::Access;
use crate::domain::{MessageId, Status};
use crate::relay::Replay;
use crate::store::Record;

/// Send a message again
///
/// A returned or failed message is `pending` again under its id, as if it were accepted now: its tries and
/// the time to give up begin anew, and it takes its place in the order now. `replays` counts, and
/// `duplicate_possible` stays. The answer leaves after that is safe in the store, and tells the message as
/// it stands then. Pending, confirmed and cancelled messages are a 409 `not_replayable`; when the payload
/// is not kept any more, it is a 410; when its own caller may not publish it any more, a 403. There is no
/// body.
#[utoipa::path(
    post,
    path = "/v1/messages/{id}/replay",
    operation_id = "replayMessage",
    tag = "acting",
    params(openapi::IdPath, openapi::PreferMinimal),
    responses(openapi::ReplayMessageResponses)
)]
pub(super) async fn replay(
    State(gateway): State<Gateway>,
    MayReplay(access): MayReplay,
    _: (NoQuery, NoAmqpHeaders),
    id: MessageId,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    body::require_none(body, &gateway).await?;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&head.headers, wait_seconds_max).only_return();
    let record = wait::look_up(&gateway, &access, id).await?;
    refuse_unless_replayable(&record)?;
    gateway.quotas().take_messages(&access, 1)?;
    let wish = gateway.backend.replay(id).await;
    match wish.map_err(|error| acting::not_done(&error))? {
        Replay::Pending => Ok(replayed(&gateway, &access, id, preferences).await),
        Replay::No => {
            // Somebody else has replayed it in the meantime.
            let record = wait::look_up(&gateway, &access, id).await?;
            refuse_unless_replayable(&record)?;
            Err(not_replayable("the message has just been sent again"))
        }
        Replay::Forbidden => Err(Problem::new(
            Code::Forbidden,
            "the caller whose message it is may not publish it (any more)",
        )),
        Replay::PayloadGone => Err(Problem::new(
            Code::PayloadNotKept,
            "the message is kept and its payload is not, so it cannot be sent again",
        )),
        Replay::Unknown => Err(wait::expired()),
    }
}

/// Once a message is replayed, nothing may turn the answer into an error.
async fn replayed(
    gateway: &Gateway,
    access: &Access,
    id: MessageId,
    preferences: Preferences,
) -> Response {
    let mut response = match wait::look_up(gateway, access, id).await {
        Ok(record) => {
            let progress = wait::progress(gateway, &record);
            let told = MessageJson::of_record(&record, &progress);
            answer::message(StatusCode::ACCEPTED, &told, preferences)
        }
        Err(_) => answer::accepted_as(StatusCode::ACCEPTED, id, preferences),
    };
    accept::tell_place(&mut response, id);
    response
}

fn refuse_unless_replayable(record: &Record) -> Result<(), Problem> {
    match acting::status(record) {
        Status::Failed if acting::is_cancelled(record) => Err(not_replayable(
            "the message was cancelled: its caller did not want it any more",
        )),
        Status::Returned | Status::Failed => Ok(()),
        Status::Pending => Err(not_replayable(
            "the message is pending: it will be sent anyway",
        )),
        Status::Confirmed => Err(not_replayable("the message is confirmed")),
    }
}

fn not_replayable(detail: &'static str) -> Problem {
    Problem::new(Code::NotReplayable, detail)
}
