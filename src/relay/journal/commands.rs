//! What callers want of messages that were accepted before, on its way to the writer.
//!
//! The writer decides all of it: nothing is committed between its look into the store and its
//! decision, so of two that race for a message one comes second and sees what the first has done.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Journal, Phase};
use crate::clock;
use crate::domain::{MessageId, RowId};
use crate::relay::{AcceptError, Cancellation, Replay};
use crate::store::{BulkReplay, Filter};

/// Commands that wait for the writer at most.
const COMMANDS_MAX: usize = 16_384;

/// Who is told what came of a command. Whoever has left no longer needs the answer.
pub(super) type Tell<T> = oneshot::Sender<Result<T, AcceptError>>;

/// See the module.
pub(super) enum Command {
    Cancel {
        id: MessageId,
        /// When it was wanted.
        since: Instant,
        tell: Tell<Cancellation>,
    },
    Replay {
        id: MessageId,
        tell: Tell<Replay>,
    },
    Begin {
        filter: Filter,
        tell: Tell<BulkReplay>,
    },
    Step(Box<Step>),
}

/// The next part of a bulk replay.
pub(in crate::relay) struct Step {
    /// As it stands.
    pub(in crate::relay) bulk: BulkReplay,
    /// What matches, in the order of acceptance, and how often each was replayed before.
    pub(in crate::relay) page: Vec<(MessageId, u32)>,
    /// Behind which row the next page starts.
    pub(in crate::relay) next: Option<RowId>,
    /// How it stands after the commit.
    pub(in crate::relay) tell: SyncSender<Result<BulkReplay, AcceptError>>,
}

impl Command {
    /// Nothing came of it.
    pub(super) fn refuse(self, error: AcceptError) {
        match self {
            Self::Cancel { tell, .. } => drop(tell.send(Err(error))),
            Self::Replay { tell, .. } => drop(tell.send(Err(error))),
            Self::Begin { tell, .. } => drop(tell.send(Err(error))),
            Self::Step(step) => drop(step.tell.try_send(Err(error))),
        }
    }
}

impl Journal {
    /// Cancels the message, unless it is in flight; returns when that is committed.
    pub(in crate::relay) async fn cancel(
        &self,
        id: MessageId,
    ) -> Result<Cancellation, AcceptError> {
        let (tell, told) = oneshot::channel();
        let since = clock::monotonic();
        self.command(Command::Cancel { id, since, tell });
        told.await.unwrap_or(Err(AcceptError::OutcomeUnknown))
    }

    /// Sends the message again if it can be; returns when that is committed.
    pub(in crate::relay) async fn replay(&self, id: MessageId) -> Result<Replay, AcceptError> {
        let (tell, told) = oneshot::channel();
        self.command(Command::Replay { id, tell });
        told.await.unwrap_or(Err(AcceptError::OutcomeUnknown))
    }

    /// Begins to send again whatever matches; returns when the beginning is committed.
    pub(in crate::relay) async fn replay_matching(
        &self,
        filter: Filter,
    ) -> Result<BulkReplay, AcceptError> {
        let (tell, told) = oneshot::channel();
        self.command(Command::Begin { filter, tell });
        told.await.unwrap_or(Err(AcceptError::OutcomeUnknown))
    }

    /// Goes on with a bulk replay.
    pub(in crate::relay) fn step(&self, step: Step) {
        self.command(Command::Step(Box::new(step)));
    }

    fn command(&self, command: Command) {
        let mut queue = self.queue.lock();
        let is_new = !matches!(command, Command::Cancel { .. });
        let refused = match queue.phase {
            Phase::Ending => Some(AcceptError::Stopping),
            Phase::Closed if is_new => Some(AcceptError::Stopping),
            _ if queue.commands.len() >= COMMANDS_MAX => Some(AcceptError::Full),
            _ => None,
        };
        if let Some(refused) = refused {
            drop(queue);
            command.refuse(refused);
            return;
        }
        queue.commands.push_back(command);
        self.work.notify_one();
    }
}
