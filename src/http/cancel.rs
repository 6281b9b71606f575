//! `POST /v1/messages/{id}/cancel`: the gateway stops trying.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::amqp_headers::NoAmqpHeaders;
use super::authentication::MayCancel;
use super::message_json::MessageJson;
use super::prefer::Preferences;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{acting, answer, body, openapi, wait};
use crate::domain::MessageId;
use crate::domain::access::Access;
use crate::relay::{Cancellation, Progress};
use crate::store::Record;

/// How often a message that ends at this very moment is looked at again. It can only go on pending
/// because somebody has replayed it between two looks.
const LOOKS_MAX: usize = 3;

/// Cancel a message
///
/// A pending message becomes `failed` with the reason `cancelled`, whenever it is not with the broker at
/// that moment: while it waits for its time, for the broker, or between two tries. Then
/// `duplicate_possible` tells whether an earlier try may have been delivered. A repeat is answered the
/// same. While it is in flight the answer is 409 `message_in_flight`, which may be tried again; once it has
/// ended otherwise, 409 `not_cancellable`. There is no body.
#[utoipa::path(
    post,
    path = "/v1/messages/{id}/cancel",
    operation_id = "cancelMessage",
    tag = "acting",
    params(openapi::IdPath, openapi::PreferMinimal),
    responses(openapi::CancelResponses)
)]
pub(super) async fn cancel(
    State(gateway): State<Gateway>,
    MayCancel(access): MayCancel,
    _: (NoQuery, NoAmqpHeaders),
    id: MessageId,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    body::require_none(body, &gateway).await?;
    let wait_seconds_max = gateway.rules.limits.wait_seconds_max;
    let preferences = Preferences::of(&head.headers, wait_seconds_max).only_return();
    let record = cancelled(&gateway, &access, id).await?;
    let no_more = Progress::default();
    let told = MessageJson::of_record(&record, &no_more);
    Ok(answer::message(StatusCode::OK, &told, preferences))
}

/// The message as it is once it is cancelled.
async fn cancelled(
    gateway: &Gateway,
    access: &Access,
    id: MessageId,
) -> Result<Box<Record>, Problem> {
    let mut record = wait::look_up(gateway, access, id).await?;
    for _ in 0..LOOKS_MAX {
        if record.outcome.is_some() {
            break;
        }
        let wish = gateway.backend.cancel(Record::clone(&record)).await;
        match wish.map_err(|error| acting::not_done(&error))? {
            Cancellation::Cancelled(settlement) if record.is_ended_by(&settlement) => {
                record = wait::ended(gateway, access, record, settlement).await;
            }
            // It was replayed since it was looked at.
            Cancellation::Cancelled(_) => record = wait::look_up(gateway, access, id).await?,
            Cancellation::InFlight => {
                return Err(Problem::new(
                    Code::MessageInFlight,
                    "the message is with the broker at this moment, and how that ends is not known yet",
                ));
            }
            Cancellation::Ended => record = wait::look_up_settling(gateway, access, id).await?,
        }
    }
    match &record.outcome {
        Some(_) if acting::is_cancelled(&record) => Ok(record),
        Some(outcome) => Err(Problem::new(
            Code::NotCancellable,
            format!("the message is {} already", outcome.status.as_str()),
        )),
        None => Err(Problem::new(
            Code::MessageInFlight,
            "the message is just ending, and its final status is not stored yet",
        )),
    }
}
