//! A batch: everything in it in one transaction.

use super::error::Outcome;
use super::evict::{self, Limits};
use super::messages::{self, Going, With};
use super::plain::Inserts;
use super::recent::Kept;
use super::state::row_number;
use super::writer::{SqliteStore, Work};
use super::{bulk, find, keys, replay, schedule, settle};
use crate::domain::{MessageId, Status, Turn};
use crate::store::{Accepted, Batch, Settlement, StoreError};

/// Messages that one commit forgets for those that it accepts, at most.
const FORGOTTEN: usize = 1024;

impl SqliteStore {
    pub(super) fn keep(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let limits = Limits::new(&self.options, &self.due);
        // At twice the pace at which it grows, the history gets back to its size. When it makes way
        // for messages, as many bytes as they bring.
        let mut forgotten = 2 * batch.settled.len();
        if self.due.squeezed {
            let records = content_bytes(batch.accepted) / settle::RECORD_BYTES;
            forgotten += usize::try_from(records).map_or(FORGOTTEN, |some| some.min(FORGOTTEN));
        }
        self.change(|work| {
            let offset_ms = &mut work.state.clock_offset_ms;
            *offset_ms = offset_ms.saturating_add(batch.clock_step_ms);
            work.state.wall = batch.wall.or(work.state.wall);
            accept(work, batch.accepted)?;
            schedule::becomes_due(work, batch.due)?;
            for change in batch.outbox {
                let offset_ms = work.state.clock_offset_ms;
                (work.outbox).change(work.connection, work.callers, change, offset_ms)?;
            }
            settle::settle(work, batch.settled)?;
            replay::replay(work, batch.replayed)?;
            settle::note(work, batch.noted)?;
            if let Some(bulk) = batch.bulk {
                bulk::keep(work, bulk)?;
            }
            work.state.handed_to = work.state.handed_to.max(batch.handed_to);
            if limits.want(work.state) {
                evict::some(work, &limits, forgotten)?;
            }
            Ok(())
        })
    }
}

/// Bytes that messages take on disk, roughly and rather too many.
pub(super) fn content_bytes(accepted: &[Accepted]) -> u64 {
    let bytes = accepted.iter().map(|one| one.message.footprint_bytes());
    bytes.sum::<usize>() as u64
}

/// Bytes that a commit writes at most, into the log and later into the database, when its messages have so many:
/// their content twice in each, some pages for whatever changes of another message, and what every commit
/// writes. What moves other messages' payloads may write anything. Deliveries are not in it.
pub(super) fn written_bytes_max(batch: &Batch<'_>, content_bytes: u64) -> u64 {
    /// A chunk of history that is forgotten takes a quarter of it, each message on a page of its own.
    const COMMIT: u64 = 4 << 20;
    /// The lists of free pages that 16 MiB leave behind take most of it.
    const CHANGE: u64 = 64 << 10;
    let moves = |one: &Settlement| one.status != Status::Confirmed;
    let has_moved = !(batch.due.is_empty() && batch.replayed.is_empty());
    if has_moved || batch.settled.iter().any(moves) {
        return u64::MAX;
    }
    let changes = batch.settled.len() + batch.noted.len() + batch.outbox.len();
    COMMIT + 4 * content_bytes + CHANGE * changes as u64
}

fn accept(work: &mut Work<'_>, accepted: &[Accepted]) -> Outcome<()> {
    let mut plain = Inserts::new(work.connection)?;
    for one in accepted {
        let message = &*one.message;
        // Whatever comes behind the last one is new, which is every message but those of a batch that
        // is given a second time.
        let is_last = work.recent.is_new(message.id.row());
        if !is_last && is_there(work, message.id)? {
            continue;
        }
        let caller = (work.callers).accepted(work.connection, &message.draft.caller)?;
        if message.draft.terms.is_none() && one.due.is_none() {
            plain.push(message, one.partition, caller)?;
        } else {
            accept_with_terms(work, one, caller)?;
        }
        if let Some(used) = &one.key {
            keys::keep(work.connection, message, caller, used)?;
        }
        let bytes = message.footprint_bytes() as u64;
        if one.due.is_some() {
            work.state.scheduled(bytes);
            work.callers.scheduled(caller, 1);
        } else {
            work.state.has_turn(one.partition, false, bytes);
            if is_last {
                let kept = Kept::of(message, one.partition, caller);
                work.recent.push(kept);
            }
        }
        work.state.gave(message.id.row());
    }
    plain.finish()
}

fn accept_with_terms(work: &mut Work<'_>, one: &Accepted, caller: i64) -> Outcome<()> {
    let message = &*one.message;
    let label = match message.draft.group() {
        Some(label) => Some(work.groups.accepted(work.connection, caller, label)?),
        None => None,
    };
    let with = With {
        caller,
        label,
        offset_ms: work.state.clock_offset_ms,
    };
    if let Some(due) = one.due {
        return messages::insert_scheduled(work.connection, message, &with, due);
    }
    let going = Going {
        partition: one.partition,
        turn: Turn::from(message.id.row()),
        replays: 0,
        give_up_at: one.give_up_at(),
    };
    messages::insert(work.connection, message, &with, &going)
}

fn is_there(work: &mut Work<'_>, id: MessageId) -> Outcome<bool> {
    let settled = "SELECT 1 FROM settled WHERE row = ?1";
    let settled = (work.connection.prepare_cached(settled)?).exists([row_number(id.row())])?;
    Ok(settled || find::is_pending(work, id)?)
}
