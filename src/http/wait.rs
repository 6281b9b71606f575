//! Looking a message up, now or once it is settled.

use std::sync::Arc;
use std::time::Duration;

use super::problem::{Code, Problem};
use super::state::{Parts, stopped};
use crate::domain::MessageId;
use crate::store::{Lookup, Record, StoreError};

/// What is kept of `id`. A store may have to read a disk, which no request but this one waits for.
pub(super) async fn look_up(parts: &Parts, id: MessageId) -> Result<Box<Record>, Problem> {
    let store = Arc::clone(&parts.store);
    let looked_up = tokio::task::spawn_blocking(move || store.get(id)).await;
    let looked_up =
        looked_up.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())));
    match looked_up {
        Ok(Lookup::Found(record)) => Ok(record),
        Ok(Lookup::NotFound) => Err(not_found()),
        Ok(Lookup::Expired) => Err(Problem::new(
            Code::HistoryExpired,
            "the history of this message is no longer kept",
        )),
        Err(error) => {
            tracing::warn!(%error, "a message could not be looked up");
            Err(Problem::new(
                Code::StoreUnavailable,
                "the message could not be looked up",
            ))
        }
    }
}

/// What is kept of `id` once it is settled, or after `wait`, or when the process stops, whatever
/// comes first.
pub(super) async fn look_up_settled(
    parts: &Parts,
    id: MessageId,
    wait: Duration,
) -> Result<Box<Record>, Problem> {
    // The order matters: a commit between the two is told to the waiter.
    let mut waiter = parts.waiters.register(id.row());
    let mut record = look_up(parts, id).await?;
    if record.outcome.is_some() || wait.is_zero() {
        return Ok(record);
    }
    tokio::select! {
        settlement = waiter.settled() => record.outcome = Some(settlement),
        () = tokio::time::sleep(wait) => {}
        () = stopped(parts.stop.clone()) => {}
    }
    Ok(record)
}

/// Nobody knows this id.
pub(super) fn not_found() -> Problem {
    Problem::new(Code::NotFound, "no message has this id")
}
