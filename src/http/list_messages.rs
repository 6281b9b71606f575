//! `GET /v1/messages`: the messages that the caller may see, newest first.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::amqp_headers::NoAmqpHeaders;
use super::filter::{self, PAGE_DEFAULT};
use super::message_json::MessageJson;
use super::problem::Problem;
use super::state::Gateway;
use super::{answer, cursor, idempotent, openapi, wait};
use crate::domain::access::Access;
use crate::domain::{Caller, RowId, WallTime};
use crate::relay::Progress;
use crate::store::{Filter, Lookup, Page, PageSize, ReadStore, Record, StoreError};

/// Messages that are looked at for one page, so that a filter which matches little costs no more.
const EXAMINED_MAX: usize = 2_000;

/// A part of a list. It may be short or empty although there is more.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageList)]
pub(super) struct ListJson<'a> {
    /// Newest first by acceptance.
    messages: Vec<MessageJson<'a>>,
    /// For the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List messages
///
/// Newest first by acceptance. A page may be short or empty while there is a cursor, since the work for
/// one page is bounded; null means the end. The list goes on from a cursor also when messages come and go
/// meanwhile. With `idempotency_key` it is the one message that this key of the caller's own stands for.
#[utoipa::path(
    get,
    path = "/v1/messages",
    operation_id = "listMessages",
    tag = "asking",
    params(openapi::ListQuery),
    responses(openapi::ListResponses)
)]
pub(super) async fn list_messages(
    State(gateway): State<Gateway>,
    access: Access,
    _: NoAmqpHeaders,
    uri: Uri,
) -> Result<Response, Problem> {
    let asked = filter::read(uri.query(), access.scope().cloned())?;
    let before = asked.cursor.as_deref().map(cursor::read).transpose()?;
    let size = PageSize {
        records_max: asked.limit.unwrap_or(PAGE_DEFAULT),
        examined_max: EXAMINED_MAX,
    };
    let filter = asked.filter.clone();
    let since = idempotent::kept_since(&gateway);
    let page = wait::ask(&gateway, move |store| match asked.idempotency_key {
        Some(key) => accepted_with(store, (access.caller, key), since, &filter, before),
        None => store.list(&filter, before, size),
    });
    let page = page.await?;
    let mut followed = wait::follow(&gateway, page.records).await?;
    followed.retain(|(record, progress)| still_matches(&asked.filter, record, progress));
    let told = ListJson {
        messages: (followed.iter())
            .map(|(record, progress)| MessageJson::of_record(record, progress))
            .collect(),
        next_cursor: page.next.map(cursor::write),
    };
    Ok(answer::json(StatusCode::OK, &told))
}

/// The one message that a key stands for, if it is among those that are asked for.
fn accepted_with(
    store: &dyn ReadStore,
    key: (Caller, Box<str>),
    since: WallTime,
    filter: &Filter,
    before: Option<RowId>,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let used = store.used_keys(&[key], since)?;
    if let Some(used) = used.into_iter().flatten().next()
        && before.is_none_or(|row| used.id.row() < row)
        && let Lookup::Found(record) = store.get(used.id)?
        && filter.matches(&record)
    {
        page.records.push(*record);
    }
    Ok(page)
}

/// Whether a message is asked for as it is told. It may have settled meanwhile, and the store does not
/// know why a pending one waits.
fn still_matches(filter: &Filter, record: &Record, progress: &Progress) -> bool {
    let waits_for = progress.reason.as_ref().map(|reason| reason.code);
    filter.matches(record)
        && (record.outcome.is_some() || filter.reason.is_none_or(|code| waits_for == Some(code)))
}
