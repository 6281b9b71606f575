//! Messages with an idempotency key: what a repeat is answered (contract, section 2.4).
//!
//! A repeat speaks of a message that was accepted before. Whatever cannot be learned of that one now
//! does not change this: it is told as pending, and asking for it tells the rest.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use super::message_json::MessageJson;
use super::prefer::Preferences;
use super::problem::{Code, Problem};
use super::state::{Gateway, Parts};
use super::{accept, acting, wait};
use crate::clock;
use crate::domain::access::Access;
use crate::domain::{MessageId, Status, WallTime};
use crate::relay::{AcceptError, Acceptance, Keyed};
use crate::store::{Lookup, Record};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Accepts a message unless one with its key is there, and answers for the one that is.
pub(super) async fn one(
    gateway: &Gateway,
    access: &Access,
    keyed: Keyed,
    room: impl Send,
    preferences: Preferences,
) -> Result<Response, Problem> {
    let accepted = all(gateway, vec![keyed]).await.pop();
    drop(room);
    match accepted.unwrap_or(Err(AcceptError::OutcomeUnknown)) {
        Ok(Acceptance::New(message)) => {
            Ok(accept::accepted(gateway, access, message, preferences).await)
        }
        Ok(Acceptance::Repeat(id)) => repeated(gateway, access, id, preferences).await,
        Err(error) => Err(accept::refused(&error)),
    }
}

/// Accepts those whose keys were not used before, and tells which others were.
pub(super) async fn all(
    gateway: &Gateway,
    messages: Vec<Keyed>,
) -> Vec<Result<Acceptance, AcceptError>> {
    (gateway.backend)
        .accept_keyed(messages, &gateway.store, kept_for(gateway))
        .await
}

/// Keys that were used before this time stand for nothing.
pub(super) fn kept_since(parts: &Parts) -> WallTime {
    clock::wall().minus(kept_for(parts))
}

/// How long a key stands for its message.
pub(super) fn kept_for(parts: &Parts) -> Duration {
    Duration::from_secs(parts.settings.idempotency_seconds.into())
}

/// The present status of each of `ids`, which were accepted before; `None` for one whose history is no
/// longer kept.
pub(super) async fn statuses(parts: &Parts, ids: Vec<MessageId>) -> Vec<Option<Status>> {
    if ids.is_empty() {
        return Vec::new();
    }
    let count = ids.len();
    let Ok(found) = wait::ask(parts, move |store| store.get_many(&ids)).await else {
        return vec![Some(Status::Pending); count];
    };
    (found.into_iter())
        .map(|found| match found {
            Lookup::Found(record) => Some(acting::status(&record)),
            Lookup::NotFound | Lookup::Expired => None,
        })
        .collect()
}

/// The answer to a message that was accepted before and of which nothing more is kept.
pub(super) fn expired(id: MessageId) -> Problem {
    Problem::new(
        Code::HistoryExpired,
        format!("this message was accepted before as {id}, whose history is no longer kept"),
    )
}

async fn repeated(
    parts: &Parts,
    access: &Access,
    id: MessageId,
    preferences: Preferences,
) -> Result<Response, Problem> {
    let wait = preferences.wait().unwrap_or_default();
    let mut response = match wait::look_up_settled(parts, access, id, wait).await {
        Ok(record) => {
            let record = followed(parts, record).await;
            let progress = wait::progress(parts, &record);
            accept::answer_with(&MessageJson::of_record(&record, &progress), preferences)
        }
        Err(problem) if problem.code == Code::StoreUnavailable => {
            accept::answer_pending(id, preferences)
        }
        Err(_) => return Err(expired(id)),
    };
    let replayed = HeaderValue::from_static("true");
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, replayed);
    Ok(response)
}

/// The same with the final status that is being committed at this moment, if one is.
async fn followed(parts: &Parts, record: Box<Record>) -> Box<Record> {
    let known = record.clone();
    match wait::follow(parts, vec![*record]).await {
        Ok(followed) => (followed.into_iter().next()).map_or(known, |(record, _)| Box::new(record)),
        Err(_) => known,
    }
}
