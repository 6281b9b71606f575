//! `POST /v1/replays`: whatever matches is sent again.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::amqp_headers::NoAmqpHeaders;
use super::authentication::MayReplay;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use super::state::Gateway;
use super::{acting, answer, body, media_type, openapi, parse};
use crate::store::BulkReplay;

/// How far the sending again of many messages has come.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
pub(super) struct ReplayJson {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: String,
    /// `done` once everything that matched at the start has been looked at.
    #[schema(value_type = String, pattern = "^(running|done)$")]
    state: &'static str,
    /// Messages that matched at the start, of those that were looked at so far.
    matched: u64,
    /// Messages that are sent again.
    replayed: u64,
    /// Messages that matched and are not sent again: they were cancelled, their payload is no longer kept,
    /// their own caller may not publish them any more, or they were replayed in another way meanwhile.
    skipped: u64,
}

impl ReplayJson {
    pub(super) fn of(bulk: &BulkReplay) -> Self {
        Self {
            id: bulk.id.to_string(),
            state: if bulk.done { "done" } else { "running" },
            matched: bulk.matched,
            replayed: bulk.replayed,
            skipped: bulk.skipped,
        }
    }
}

/// Send many messages again
///
/// All messages of the given status that the caller may see and that match every given filter, of which
/// there must be at least one. What matches is fixed at the start: what ends later is not sent again. They
/// are sent in the order of their acceptance, in the background; the work goes on after a crash where it
/// stopped. (There is no filter by idempotency key, since a key stands for one message.)
#[utoipa::path(
    post,
    path = "/v1/replays",
    operation_id = "startReplay",
    tag = "acting",
    request_body = inline(openapi::ReplayRequest),
    responses(openapi::StartReplayResponses)
)]
pub(super) async fn start_replay(
    State(gateway): State<Gateway>,
    MayReplay(access): MayReplay,
    _: (NoQuery, NoAmqpHeaders),
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    media_type::require_json(&head.headers)?;
    let mut body = body::read(body, &gateway).await?;
    let scope = access.scope().cloned();
    let parsed = body.parse(move |bytes| parse::replay_filter(bytes, scope));
    let filter = parsed
        .await?
        .map_err(|refusal| refusal.problem(Code::InvalidRequest))?;
    drop(body);
    let wish = gateway.backend.replay_matching(filter).await;
    let bulk = wish.map_err(|error| acting::not_done(&error))?;
    let mut response = answer::json(StatusCode::ACCEPTED, &ReplayJson::of(&bulk));
    // A path of letters, digits and hyphens is always a header value.
    if let Ok(location) = HeaderValue::from_maybe_shared(format!("/v1/replays/{}", bulk.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
