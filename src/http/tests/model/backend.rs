//! What the endpoints ask of the model.

use std::sync::Arc;
use std::time::Duration;

use super::super::super::{Accepting, AcceptingAll, AcceptingKeyed, Acting, Backend};
use super::{Model, now};
use crate::domain::{Draft, MessageId, Reason, ReasonCode, Status};
use crate::relay::{AcceptError, BrokerHealth, Cancellation, Health, Keyed, Progress, Replay};
use crate::store::{
    Batch, BulkReplay, Filter, ReadStore, Record, Replayable, Replayed, WriteStore as _,
};

impl Model {
    fn check(&self) -> Result<(), AcceptError> {
        self.refuses.lock().clone().map_or(Ok(()), Err)
    }

    fn cancel_one(&self, id: MessageId) -> Result<Cancellation, AcceptError> {
        self.check()?;
        if let Some(scripted) = self.cancellations.lock().pop_front() {
            return Ok(scripted);
        }
        let reason = Reason::own(ReasonCode::Cancelled, "as its caller wished");
        let settlement = self.end(id, Status::Failed, Some(reason));
        Ok(Cancellation::Cancelled(settlement))
    }

    fn replay_one(&self, id: MessageId) -> Result<Replay, AcceptError> {
        self.check()?;
        if let Some(scripted) = self.replayings.lock().pop_front() {
            return Ok(scripted);
        }
        let replayable = self.store.lock().replayable(id);
        match replayable.expect("an answer") {
            Replayable::Yes { .. } => {
                let replayed = [Replayed {
                    id,
                    turn: self.minter.lock().turn(now()),
                    partition: 0,
                    at: now().plus_ms(60_000),
                }];
                let batch = Batch {
                    replayed: &replayed,
                    ..Batch::default()
                };
                self.commit(&batch, id);
                Ok(Replay::Pending)
            }
            Replayable::No => Ok(Replay::No),
            Replayable::PayloadGone => Ok(Replay::PayloadGone),
            Replayable::Unknown => Ok(Replay::Unknown),
        }
    }

    fn start_bulk(&self, filter: Filter) -> Result<BulkReplay, AcceptError> {
        self.check()?;
        let facts = self.store.lock().facts().expect("an answer");
        let bulk = BulkReplay {
            id: self.minter.lock().mint(now(), 8),
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
        self.keep_bulk(&bulk);
        Ok(bulk)
    }
}

impl Backend for Model {
    fn accept(&self, draft: Draft) -> Accepting<'_> {
        Box::pin(async move { self.take(draft, None) })
    }

    fn accept_watched<'a>(
        &'a self,
        draft: Draft,
        queued: &'a mut (dyn FnMut(MessageId) + Send),
    ) -> Accepting<'a> {
        Box::pin(async move {
            let message = self.take(draft, None)?;
            queued(message.id);
            Ok(message)
        })
    }

    fn accept_all(&self, drafts: Vec<Draft>) -> AcceptingAll<'_> {
        let take = |draft| self.take(draft, None);
        Box::pin(async move { drafts.into_iter().map(take).collect() })
    }

    fn accept_keyed<'a>(
        &'a self,
        messages: Vec<Keyed>,
        store: &'a Arc<dyn ReadStore>,
        kept: Duration,
    ) -> AcceptingKeyed<'a> {
        let since = now().minus(kept);
        let accept = move |keyed| self.take_keyed(keyed, &**store, since);
        Box::pin(async move { messages.into_iter().map(accept).collect() })
    }

    fn cancel(&self, record: Record) -> Acting<'_, Cancellation> {
        assert!(
            record.outcome.is_none(),
            "only what is pending is cancelled"
        );
        Box::pin(async move { self.cancel_one(record.id) })
    }

    fn replay(&self, id: MessageId) -> Acting<'_, Replay> {
        Box::pin(async move { self.replay_one(id) })
    }

    fn replay_matching(&self, filter: Filter) -> Acting<'_, BulkReplay> {
        Box::pin(async move { self.start_bulk(filter) })
    }

    fn progress(&self, _: &Record) -> Progress {
        self.progress.lock().clone()
    }

    fn health(&self) -> Health {
        Health {
            accepting: *self.accepting.lock(),
            pending_messages: 0,
            broker: BrokerHealth {
                lanes_up: 4,
                lanes_blocked: 0,
                lanes: 4,
                quarantined: 0,
                reason: None,
            },
        }
    }
}
