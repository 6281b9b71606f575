//! Looking messages up, now or once they are settled.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::problem::{Code, Problem};
use super::state::{Parts, stopped};
use crate::clock;
use crate::domain::MessageId;
use crate::domain::access::Access;
use crate::notify::Waiter;
use crate::relay::Progress;
use crate::store::{Lookup, ReadStore, Record, Settlement, StoreError};

/// A commit that is under way ends sooner.
const SETTLING_MAX: Duration = Duration::from_secs(1);

/// What the store answers. It may have to read a disk, which no request but this one waits for.
pub(super) async fn ask<T: Send + 'static>(
    parts: &Parts,
    question: impl FnOnce(&dyn ReadStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    ask_of(&parts.store, question).await
}

/// As [`ask`], of whatever knows the answer.
pub(super) async fn ask_of<S: ?Sized + Send + Sync + 'static, T: Send + 'static>(
    store: &Arc<S>,
    question: impl FnOnce(&S) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let store = Arc::clone(store);
    let answer = tokio::task::spawn_blocking(move || question(&*store)).await;
    let answer = answer.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())));
    answer.map_err(|error| {
        tracing::warn!(%error, "the store could not be asked");
        Problem::new(Code::StoreUnavailable, "the store could not be asked")
    })
}

/// What is kept of `id`. A message that may not be seen is as unknown as one that never was.
pub(super) async fn look_up(
    parts: &Parts,
    access: &Access,
    id: MessageId,
) -> Result<Box<Record>, Problem> {
    match ask(parts, move |store| store.get(id)).await? {
        Lookup::Found(record) if access.sees(&record.caller) => Ok(record),
        Lookup::Found(_) | Lookup::NotFound => Err(not_found()),
        Lookup::Expired => Err(expired()),
    }
}

/// What is kept of `id` once it is settled, or after `wait`, or when the process stops, whatever
/// comes first.
pub(super) async fn look_up_settled(
    parts: &Parts,
    access: &Access,
    id: MessageId,
    wait: Duration,
) -> Result<Box<Record>, Problem> {
    let mut over = pin!(tokio::time::sleep(wait));
    loop {
        // The order matters: a commit between the two is told to the waiter.
        let mut waiter = parts.waiters.register(id.row());
        let record = look_up(parts, access, id).await?;
        if record.outcome.is_some() || wait.is_zero() {
            return Ok(record);
        }
        tokio::select! {
            settlement = waiter.settled() => {
                // The end of the life before a replay, of which the record tells already, is no news.
                if record.is_ended_by(&settlement) {
                    let ended = ended(parts, access, record, settlement).await;
                    if ended.outcome.is_some() {
                        return Ok(ended);
                    }
                }
            }
            () = &mut over => return Ok(record),
            () = stopped(parts.stop.clone()) => return Ok(record),
        }
    }
}

/// The message of `record`, which was read while it was pending, with its end. Times that move along with
/// steps of the wall clock may have done so until then: they are told as they were kept with the end.
/// When the message was replayed since, it is told as it is now.
pub(super) async fn ended(
    parts: &Parts,
    access: &Access,
    mut record: Box<Record>,
    settlement: Settlement,
) -> Box<Record> {
    if record.has_moving_times()
        && let Ok(kept) = look_up(parts, access, record.id).await
    {
        return kept;
    }
    // What is not kept any more, or cannot be asked for now, is told as it is known.
    record.outcome = Some(settlement);
    record
}

/// The final status that `waiter` is told within `wait`, or before the process stops.
pub(super) async fn settled_within(
    parts: &Parts,
    mut waiter: Waiter,
    wait: Duration,
) -> Option<Settlement> {
    tokio::select! {
        settlement = waiter.settled() => Some(settlement),
        () = tokio::time::sleep(wait) => None,
        () = stopped(parts.stop.clone()) => None,
    }
}

/// What is kept of `id` once a commit that is under way has ended.
pub(super) async fn look_up_settling(
    parts: &Parts,
    access: &Access,
    id: MessageId,
) -> Result<Box<Record>, Problem> {
    look_up_settled(parts, access, id, SETTLING_MAX).await
}

/// How each of `records` is getting on. One whose final status is being committed at this moment is told
/// with it: what led there is no longer known elsewhere.
pub(super) async fn follow(
    parts: &Parts,
    records: Vec<Record>,
) -> Result<Vec<(Record, Progress)>, Problem> {
    let mut followed: Vec<_> = records
        .into_iter()
        .map(|record| {
            let progress = progress(parts, &record);
            (record, progress)
        })
        .collect();
    let mut settling: Vec<_> = (followed.iter_mut())
        .filter(|(_, progress)| progress.settling)
        .collect();
    if settling.is_empty() {
        return Ok(followed);
    }
    // The order matters here too.
    let mut waiters: Vec<_> = (settling.iter())
        .map(|(record, _)| parts.waiters.register(record.id.row()))
        .collect();
    read_anew(parts, settling.iter_mut().map(|(record, _)| record)).await?;
    let end = clock::monotonic() + SETTLING_MAX;
    let mut stale = Vec::new();
    for ((record, _), waiter) in settling.iter_mut().zip(&mut waiters) {
        if record.outcome.is_none() {
            let left = end.saturating_duration_since(clock::monotonic());
            let told = tokio::time::timeout(left, waiter.settled()).await;
            record.outcome = told.ok().filter(|told| record.is_ended_by(told));
            if record.outcome.is_some() && record.has_moving_times() {
                stale.push(record);
            }
        }
    }
    // They may have moved until the end; see `ended`.
    read_anew(parts, stale.into_iter()).await?;
    for (record, progress) in settling {
        *progress = self::progress(parts, record);
    }
    Ok(followed)
}

/// What is kept of each of `records` by now; those of which nothing is kept any more stay as they are.
async fn read_anew<'a>(
    parts: &Parts,
    records: impl Iterator<Item = &'a mut Record>,
) -> Result<(), Problem> {
    let records: Vec<_> = records.collect();
    if records.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = records.iter().map(|record| record.id).collect();
    let kept = ask(parts, move |store| store.get_many(&ids)).await?;
    for (record, kept) in records.into_iter().zip(kept) {
        if let Lookup::Found(kept) = kept {
            *record = *kept;
        }
    }
    Ok(())
}

/// How a message is getting on, if it has not ended.
pub(super) fn progress(parts: &Parts, record: &Record) -> Progress {
    match record.outcome {
        None => parts.backend.progress(record),
        Some(_) => Progress::default(),
    }
}

/// Nobody knows this id.
pub(super) fn not_found() -> Problem {
    Problem::new(Code::NotFound, "no message has this id")
}

/// Nobody knows any more.
pub(super) fn expired() -> Problem {
    Problem::new(
        Code::HistoryExpired,
        "the history of this message is no longer kept",
    )
}
