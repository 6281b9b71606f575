//! What comes of commands about accepted messages.
//!
//! It is decided on the writer's thread, where nothing is committed meanwhile. Whoever asks about a
//! message of which something is on its way into the store waits until it is there.

use std::time::{Duration, Instant};

use super::commands::{Command, Step, Tell};
use super::going::{TellBulk, ToReplay};
use super::times::Look;
use super::writing::{Room, Writing};
use crate::clock;
use crate::domain::{MessageId, RowId};
use crate::relay::bulk_replays::UNDER_WAY_MAX;
use crate::relay::dispatch::{self, Why, Withdrawal};
use crate::relay::{AcceptError, Cancellation, Replay};
use crate::store::{BulkReplay, Filter, Lookup, Replayable, StoreError};

/// Bytes of the messages that a part of a bulk replay sends again at most, a single larger one apart.
const STEP_BYTES_MAX: usize = 4 << 20;
/// So long a message may be ending before whoever wants it cancelled is sent to the store.
const ENDING_MAX: Duration = Duration::from_secs(1);

impl Writing<'_> {
    pub(super) fn decide(
        &mut self,
        commands: Vec<Command>,
        room: Room,
        look: &Look,
    ) -> Result<(), StoreError> {
        for command in commands {
            match command {
                Command::Cancel { id, since, tell } => self.cancel(id, since, tell, look)?,
                Command::Replay { id, tell } => self.replay(id, tell)?,
                Command::Begin { filter, tell } => self.begin(filter, tell),
                Command::Step(step) => self.step(step, room)?,
            }
        }
        Ok(())
    }

    fn cancel(
        &mut self,
        id: MessageId,
        since: Instant,
        tell: Tell<Cancellation>,
        look: &Look,
    ) -> Result<(), StoreError> {
        if self.under_way.contains(&id) {
            self.deferred.push(Command::Cancel { id, since, tell });
            return Ok(());
        }
        if let Some(message) = self.store.scheduled(id)? {
            let at = super::moment(look);
            self.batch.withdraw(dispatch::never_due(&message, at));
            self.batch.freed.scheduled += 1;
            self.batch.cancelled(tell);
            self.under_way.insert(id);
            return Ok(());
        }
        let record = match self.reader.get(id) {
            Ok(Lookup::Found(record)) if record.outcome.is_none() => record,
            Ok(_) => {
                // Whoever has left no longer needs the answer.
                let _ = tell.send(Ok(Cancellation::Ended));
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(%error, "a message that is to be cancelled could not be looked up");
                let _ = tell.send(Err(AcceptError::StoreUnavailable));
                return Ok(());
            }
        };
        let mut settled = Vec::new();
        let at = super::moment(look);
        match self
            .lanes
            .withdraw(&record, Why::Cancelled, at, &mut settled)
        {
            Withdrawal::Settled => {
                self.batch.withdraw(settled);
                self.batch.cancelled(tell);
                self.under_way.insert(id);
            }
            Withdrawal::InFlight => drop(tell.send(Ok(Cancellation::InFlight))),
            // Its end is on its way to the store.
            Withdrawal::Ended if clock::monotonic() < since + ENDING_MAX => {
                self.deferred.push(Command::Cancel { id, since, tell });
            }
            Withdrawal::Ended => drop(tell.send(Ok(Cancellation::Ended))),
        }
        Ok(())
    }

    fn replay(&mut self, id: MessageId, tell: Tell<Replay>) -> Result<(), StoreError> {
        if self.under_way.contains(&id) {
            self.deferred.push(Command::Replay { id, tell });
            return Ok(());
        }
        let no = match self.store.replayable(id)? {
            Replayable::Yes { message, .. } if !self.journal.may_publish(&message) => {
                Replay::Forbidden
            }
            Replayable::Yes {
                message,
                replays,
                duplicate_possible,
            } => {
                self.under_way.insert(id);
                self.decided.replays.push(ToReplay {
                    message,
                    replays,
                    duplicate_possible,
                    tell: Some(tell),
                });
                return Ok(());
            }
            Replayable::No => Replay::No,
            Replayable::PayloadGone => Replay::PayloadGone,
            Replayable::Unknown => Replay::Unknown,
        };
        // Whoever has left no longer needs the answer.
        let _ = tell.send(Ok(no));
        Ok(())
    }

    fn begin(&mut self, filter: Filter, tell: Tell<BulkReplay>) {
        if self.bulk_under_way {
            self.deferred.push(Command::Begin { filter, tell });
            return;
        }
        let refused = match self.reader.facts() {
            _ if self.journal.jobs.count() >= UNDER_WAY_MAX => AcceptError::Full,
            Ok(facts) => {
                let bulk = BulkReplay {
                    id: MessageId::from_parts(RowId::default(), 0),
                    filter: Filter {
                        settled_to: Some(facts.last_position),
                        ..filter
                    },
                    through: None,
                    matched: 0,
                    replayed: 0,
                    skipped: 0,
                    done: false,
                };
                self.bulk_under_way = true;
                self.decided.bulk = Some((bulk, TellBulk::Begun(tell)));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the store could not be asked, and no bulk replay begins");
                AcceptError::StoreUnavailable
            }
        };
        // Whoever has left no longer needs the answer.
        let _ = tell.send(Err(refused));
    }

    /// As many of a page as there is room for, in their order; the rest is asked for again.
    fn step(&mut self, step: Box<Step>, mut room: Room) -> Result<(), StoreError> {
        if self.bulk_under_way {
            self.deferred.push(Command::Step(step));
            return Ok(());
        }
        let mut bytes_left = STEP_BYTES_MAX;
        let Step {
            bulk,
            page,
            next,
            tell,
        } = *step;
        let mut after = bulk.clone();
        let mut is_whole = true;
        for (id, replays_before) in page.iter().copied() {
            let again = self.may_go(id, replays_before)?;
            let bytes = again
                .as_ref()
                .map_or(0, |one| one.message.footprint_bytes());
            let is_first = after.replayed == bulk.replayed;
            let fits =
                room.messages > 0 && bytes <= room.bytes && (bytes <= bytes_left || is_first);
            if self.under_way.contains(&id) || (again.is_some() && !fits) {
                is_whole = false;
                break;
            }
            after.matched += 1;
            after.through = Some(id.row());
            match again {
                Some(one) => {
                    room.messages -= 1;
                    room.bytes -= bytes;
                    bytes_left = bytes_left.saturating_sub(bytes);
                    after.replayed += 1;
                    self.under_way.insert(id);
                    self.decided.replays.push(one);
                }
                None => after.skipped += 1,
            }
        }
        if is_whole {
            after.through = next.or(after.through);
            after.done = next.is_none();
        }
        if after == bulk {
            let _ = tell.try_send(Err(AcceptError::Full));
            return Ok(());
        }
        self.bulk_under_way = true;
        self.decided.bulk = Some((after, TellBulk::Stepped(tell)));
        Ok(())
    }

    /// The message, unless somebody has replayed it before, or it cannot be or may not be.
    fn may_go(
        &mut self,
        id: MessageId,
        replays_before: u32,
    ) -> Result<Option<ToReplay>, StoreError> {
        Ok(match self.store.replayable(id)? {
            Replayable::Yes {
                message,
                replays,
                duplicate_possible,
            } if replays == replays_before && self.journal.may_publish(&message) => {
                Some(ToReplay {
                    message,
                    replays,
                    duplicate_possible,
                    tell: None,
                })
            }
            _ => None,
        })
    }
}
