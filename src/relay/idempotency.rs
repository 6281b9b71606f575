//! Accepting with an idempotency key: one key, one message (contract, section 2.4).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::journal::admission::{Queued, Request};
use super::keys::{Attempt, Claim, Claimed};
use super::{AcceptError, Relay};
use crate::clock;
use crate::domain::{Caller, Draft, Fingerprint, Message, MessageId, WallTime};
use crate::store::{KeyUse, ReadStore, StoreError, UsedKey};

/// A message and the key that its caller gave it, if any.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyed {
    /// The message.
    pub draft: Draft,
    /// The idempotency key.
    pub key: Option<Box<str>>,
}

/// What became of a message with a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It was accepted.
    New(Arc<Message>),
    /// The same message was accepted with this key before, under this id.
    Repeat(MessageId),
}

type Answer = Result<Acceptance, AcceptError>;

/// One message of a request on its way to its answer.
struct Place {
    keyed: Option<Keyed>,
    fingerprint: Option<Fingerprint>,
    answer: Option<Answer>,
}

/// Hashing more at once would hold up the other requests of its thread.
const HASHED_AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// A place for each message; `None` when the process is ending.
async fn places(messages: Vec<Keyed>) -> Option<Vec<Place>> {
    let keyed = messages.iter().filter(|keyed| keyed.key.is_some());
    let bytes: usize = keyed.map(|keyed| keyed.draft.payload.len()).sum();
    let place = |keyed: Keyed| Place {
        fingerprint: keyed.key.as_ref().map(|_| Fingerprint::of(&keyed.draft)),
        keyed: Some(keyed),
        answer: None,
    };
    let make = move || messages.into_iter().map(place).collect();
    if bytes <= HASHED_AT_ONCE_BYTES_MAX {
        return Some(make());
    }
    tokio::task::spawn_blocking(make).await.ok()
}

impl Relay {
    /// Accepts messages that have passed the rules, in their order and each on its own. A key that was
    /// used within `kept` (as `store` knows it, or because its message is being committed) stands for
    /// the first message. Returns when all that are accepted are committed; the answers are in the
    /// order of `messages`.
    pub async fn accept_keyed(
        &self,
        messages: Vec<Keyed>,
        store: &Arc<dyn ReadStore>,
        kept: Duration,
    ) -> Vec<Answer> {
        let count = messages.len();
        let Some(mut places) = places(messages).await else {
            return vec![Err(AcceptError::Stopping); count];
        };
        while places.iter().any(|place| place.answer.is_none()) {
            self.accept_round(&mut places, store, kept).await;
        }
        let unknown = Err(AcceptError::OutcomeUnknown);
        let answer = |place: Place| place.answer.unwrap_or_else(|| unknown.clone());
        places.into_iter().map(answer).collect()
    }

    /// Accepts whatever nobody else has a claim on, and then waits for the claims of others. What was
    /// claimed in vain by others is left for another round.
    async fn accept_round(&self, places: &mut [Place], store: &Arc<dyn ReadStore>, kept: Duration) {
        let (mut claims, others) = self.claim(places);
        let since = clock::wall().minus(kept);
        match look_up(places, &claims, store, since).await {
            Ok(used) => answer_repeats(places, &mut claims, &used),
            Err(error) => {
                tracing::warn!(%error, "idempotency keys could not be looked up");
                for (at, _) in claims.drain(..) {
                    places[at].answer = Some(Err(AcceptError::StoreUnavailable));
                }
            }
        }
        let (queued, at) = self.queue(places, claims, &others);
        for (at, admitted) in at.into_iter().zip(queued.committed().await) {
            places[at].answer = Some(admitted.map(Acceptance::New));
        }
        for (at, told) in others {
            let place = &mut places[at];
            place.answer = match told.await {
                Ok(Claimed::Kept(id, of)) => Some(repeat(place.fingerprint, of, id)),
                Ok(Claimed::Free) => None,
                Err(_) => Some(Err(AcceptError::OutcomeUnknown)),
            };
        }
    }

    /// Claims every key that has no answer yet: those that are ours now, and those that others have.
    fn claim(&self, places: &[Place]) -> (Claims, Others) {
        let (mut claims, mut others) = (Vec::new(), Vec::new());
        for (at, place) in places.iter().enumerate() {
            let Some(Keyed {
                draft,
                key: Some(key),
            }) = &place.keyed
            else {
                continue;
            };
            if place.answer.is_some() {
                continue;
            }
            match self.journal.keys.claim(&draft.caller, key) {
                Attempt::Mine(claim) => claims.push((at, claim)),
                Attempt::Other(told) => others.push((at, told)),
            }
        }
        (claims, others)
    }

    /// Queues what has no answer and waits for nobody, in order. Answers where each came from.
    fn queue(&self, places: &mut [Place], claims: Claims, others: &Others) -> (Queued, Vec<usize>) {
        let (mut requests, mut from) = (Vec::new(), Vec::new());
        let mut waiting = others.iter().map(|(at, _)| *at).peekable();
        for (at, place) in places.iter_mut().enumerate() {
            if waiting.next_if_eq(&at).is_some() || place.answer.is_some() {
                continue;
            }
            let Some(Keyed { draft, key }) = place.keyed.take() else {
                continue;
            };
            let used = key.zip(place.fingerprint);
            let key = used.map(|(key, fingerprint)| Box::new(KeyUse { key, fingerprint }));
            requests.push(Request { draft, key });
            from.push(at);
        }
        let queued = self.journal.queue_all(requests.into_iter());
        let mut claims = claims.into_iter().peekable();
        for (at, admitted) in from.iter().zip(queued.admitted()) {
            // A claim whose message is not queued ends here.
            if let Some((_, claim)) = claims.next_if(|(of, _)| of == at)
                && admitted.is_ok()
            {
                claim.hand_over();
            }
        }
        (queued, from)
    }
}

/// Claims with the places of their messages, in order.
type Claims = Vec<(usize, Claim)>;

/// Messages that wait for the claims of others, in order.
type Others = Vec<(usize, oneshot::Receiver<Claimed>)>;

/// What the keys of `claims` were used for.
async fn look_up(
    places: &[Place],
    claims: &Claims,
    store: &Arc<dyn ReadStore>,
    since: WallTime,
) -> Result<Vec<Option<UsedKey>>, StoreError> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let name = |(at, _): &(usize, Claim)| {
        let keyed = places[*at].keyed.as_ref()?;
        Some((keyed.draft.caller.clone(), keyed.key.clone()?))
    };
    let names: Vec<(Caller, Box<str>)> = claims.iter().filter_map(name).collect();
    let store = Arc::clone(store);
    let asked = tokio::task::spawn_blocking(move || store.used_keys(&names, since)).await;
    asked.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
}

/// Answers what the store knows; its claims end.
fn answer_repeats(places: &mut [Place], claims: &mut Claims, used: &[Option<UsedKey>]) {
    let mut used = used.iter();
    claims.retain(|(at, _)| match used.next() {
        Some(Some(used)) => {
            let place = &mut places[*at];
            place.answer = Some(repeat(place.fingerprint, used.fingerprint, used.id));
            false
        }
        _ => true,
    });
}

fn repeat(mine: Option<Fingerprint>, theirs: Fingerprint, id: MessageId) -> Answer {
    if mine == Some(theirs) {
        Ok(Acceptance::Repeat(id))
    } else {
        Err(AcceptError::KeyReused)
    }
}
