//! A relay that accepts into a plain store and settles when the test says so.

mod backend;
mod outbox;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::{Backend, CallersLoaded, Gateway, Parts, Settings, Webhooks};
pub(super) use super::answer::Answer;
use crate::domain::access::{Callers, KeyHash};
use crate::domain::webhook::AllowList;
use crate::domain::{
    Caller, Draft, Fingerprint, IdMinter, Limits, Message, MessageId, Reason, ReasonCode, Rules,
    Status, WallTime,
};
use crate::http::endpoints::Endpoints;
use crate::metrics::Metrics;
use crate::notify::{Events, Waiters};
use crate::relay::{AcceptError, Acceptance, Cancellation, Keyed, Progress, Replay};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{
    Accepted, Audience as _, Batch, BulkReplay, KeyUse, Lookup, OutboxStore, OutboxWriter,
    ReadStore, Settlement, StoreError, WriteStore as _,
};

/// When all of its messages are accepted.
fn now() -> WallTime {
    WallTime::from_unix_ms(1_795_341_600_123)
}

/// What stands behind the gateway under test.
pub(super) struct Model {
    store: Mutex<MemoryStore>,
    minter: Mutex<IdMinter>,
    pub(super) accepted: Mutex<Vec<Arc<Message>>>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) events: Arc<Events>,
    /// How acceptance fails, if it shall.
    pub(super) refuses: Mutex<Option<AcceptError>>,
    pub(super) progress: Mutex<Progress>,
    pub(super) accepting: Mutex<bool>,
    /// What the next cancellations and replays come to, instead of being carried out.
    pub(super) cancellations: Mutex<VecDeque<Cancellation>>,
    pub(super) replayings: Mutex<VecDeque<Replay>>,
    /// By how much the wall clock steps with each end.
    pub(super) clock_step_ms: Mutex<i64>,
    /// How the next change of webhooks fails, if it shall.
    pub(super) write_fails: Mutex<Option<StoreError>>,
}

impl Model {
    /// Settles a message, and tells whoever waits.
    pub(super) fn settle(&self, id: MessageId, status: Status) {
        let reason = (status == Status::Returned)
            .then(|| Reason::told(ReasonCode::NoRoute, 312, "NO_ROUTE", "no queue matched"));
        self.end(id, status, reason);
    }

    /// Gives a message up.
    pub(super) fn expire(&self, id: MessageId) {
        let reason = Reason::own(ReasonCode::Expired, "its time is over");
        self.end(id, Status::Failed, Some(reason));
    }

    /// Settles a message with this reason, and tells whoever waits.
    fn end(&self, id: MessageId, status: Status, reason: Option<Reason>) -> Settlement {
        let settlement = Settlement {
            id,
            status,
            reason,
            attempts: 1,
            duplicate_possible: false,
            revision: 2 + 2 * self.replays(id),
            settled_at: WallTime::from_unix_ms(1_795_341_600_131),
        };
        let settled = [settlement.clone()];
        let batch = Batch {
            settled: &settled,
            clock_step_ms: *self.clock_step_ms.lock(),
            ..Batch::default()
        };
        self.commit(&batch, id);
        self.waiters.settled(&settled);
        self.events.settled();
        settlement
    }

    fn replays(&self, id: MessageId) -> u32 {
        match self.store.lock().get(id).expect("an answer") {
            Lookup::Found(record) => record.replays,
            Lookup::NotFound | Lookup::Expired => 0,
        }
    }

    /// Commits what concerns the message `id`, and tells whoever waits for its group.
    fn commit(&self, batch: &Batch<'_>, id: MessageId) {
        self.store.lock().commit(batch).expect("commit");
        let accepted = self.accepted.lock();
        let message = accepted.iter().find(|message| message.id == id);
        let draft = message.map(|message| &message.draft);
        let group = draft.and_then(|draft| Some((&draft.caller, draft.group()?)));
        self.waiters.groups_changed(&mut group.into_iter());
    }

    /// Keeps how far a bulk replay has come.
    pub(super) fn keep_bulk(&self, bulk: &BulkReplay) {
        let batch = Batch {
            bulk: Some(bulk),
            ..Batch::default()
        };
        self.store.lock().commit(&batch).expect("commit");
    }

    /// The only message that was accepted.
    pub(super) fn only(&self) -> Arc<Message> {
        let accepted = self.accepted.lock();
        assert_eq!(accepted.len(), 1);
        Arc::clone(&accepted[0])
    }

    /// Payloads in the order of acceptance.
    pub(super) fn payloads(&self) -> Vec<String> {
        let text =
            |message: &Arc<Message>| String::from_utf8_lossy(&message.draft.payload).into_owned();
        self.accepted.lock().iter().map(text).collect()
    }

    /// Accepts a message, unless the test or its routing key wants it otherwise.
    fn take(&self, draft: Draft, key: Option<Box<KeyUse>>) -> Result<Arc<Message>, AcceptError> {
        assert_ne!(&*draft.routing_key, "panic", "as the test wants it");
        if let Some(error) = self.refuses.lock().clone() {
            return Err(error);
        }
        match &*draft.routing_key {
            "full" => return Err(AcceptError::Full),
            "unknown" => return Err(AcceptError::OutcomeUnknown),
            _ => {}
        }
        let now = now();
        let message = Arc::new(Message {
            id: self.minter.lock().mint(now, 7),
            accepted_at: now,
            draft,
        });
        let accepted = [Accepted {
            message: Arc::clone(&message),
            partition: 0,
            key,
            due: message.due().filter(|due| due.at > now),
            clock_step_ms: 0,
        }];
        let batch = Batch {
            accepted: &accepted,
            ..Batch::default()
        };
        self.accepted.lock().push(Arc::clone(&message));
        self.commit(&batch, message.id);
        Ok(message)
    }

    /// As the relay does where nothing races: the store says what a key stands for.
    fn take_keyed(
        &self,
        Keyed { draft, key }: Keyed,
        store: &dyn ReadStore,
        since: WallTime,
    ) -> Result<Acceptance, AcceptError> {
        let Some(key) = key else {
            return self.take(draft, None).map(Acceptance::New);
        };
        let fingerprint = Fingerprint::of(&draft);
        let used = store.used_keys(&[(draft.caller.clone(), key.clone())], since);
        match used.map_err(|_| AcceptError::StoreUnavailable)?.remove(0) {
            Some(used) if used.fingerprint == fingerprint => Ok(Acceptance::Repeat(used.id)),
            Some(_) => Err(AcceptError::KeyReused),
            None => {
                let key = Box::new(KeyUse { key, fingerprint });
                self.take(draft, Some(key)).map(Acceptance::New)
            }
        }
    }
}

/// The header of one caller.
pub(super) const ALICE: &str = "Bearer key-of-alice-0123456789";
/// The header of another.
pub(super) const BOB: &str = "Bearer key-of-bob-0123456789";
/// The same with the key that comes next.
pub(super) const BOB_NEW: &str = "Bearer key-of-bob-9876543210";

/// A gateway under test.
pub(super) struct Rig {
    pub(super) model: Arc<Model>,
    pub(super) gateway: Gateway,
    pub(super) endpoints: Endpoints,
    pub(super) leaving: watch::Sender<bool>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) callers: watch::Sender<Arc<Callers>>,
    pub(super) reloads: watch::Sender<CallersLoaded>,
}

/// `alice`, who has [`ALICE`], and `bob`, who has [`BOB`] and [`BOB_NEW`].
pub(super) fn alice_and_bob() -> Callers {
    let mut callers = Callers::default();
    for (name, key) in [("alice", ALICE), ("bob", BOB), ("bob", BOB_NEW)] {
        let key = key.strip_prefix("Bearer ").expect("a key");
        let caller = Caller::named(name).expect("a name");
        let hash = KeyHash::of_chosen(key).expect("a good key");
        callers.add_key(&caller, hash).expect("a new key");
    }
    callers
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Limits::default(), Settings::default())
    }

    pub(super) fn with(limits: Limits, settings: Settings) -> Self {
        let store = MemoryStore::new(HistoryBudget {
            keys_kept: std::time::Duration::from_hours(24),
            messages_max: limits.history_messages_max,
            bytes_max: limits.history_bytes_max,
        });
        let reader: Arc<dyn ReadStore> = Arc::new(store.clone());
        Self::over(store, reader, limits, settings)
    }

    /// With keys of `alice`, which is [`ALICE`], and of `bob`, which are [`BOB`] and [`BOB_NEW`].
    pub(super) fn with_keys(allow_anonymous: bool) -> Self {
        let mut callers = alice_and_bob();
        callers.allow_anonymous = allow_anonymous;
        Self::with_callers(callers)
    }

    /// With these callers.
    pub(super) fn with_callers(callers: Callers) -> Self {
        let settings = Settings {
            // The model's messages are always of the same day, so their keys live for long.
            idempotency_seconds: u32::MAX,
            ..Settings::default()
        };
        let rig = Self::with(Limits::default(), settings);
        rig.callers.send_replace(Arc::new(callers));
        rig
    }

    /// With something else than the store to ask.
    pub(super) fn over(
        store: MemoryStore,
        reader: Arc<dyn ReadStore>,
        limits: Limits,
        settings: Settings,
    ) -> Self {
        let rules = Rules {
            limits,
            broker_user: Some("guest".into()),
            webhook_allow: AllowList::default(),
        };
        Self::ruled(store, reader, rules, settings)
    }

    fn ruled(
        store: MemoryStore,
        reader: Arc<dyn ReadStore>,
        rules: Rules,
        settings: Settings,
    ) -> Self {
        let outbox: Arc<dyn OutboxStore> = Arc::new(store.clone());
        let model = Arc::new(Model {
            store: Mutex::new(store),
            minter: Mutex::default(),
            accepted: Mutex::default(),
            waiters: Arc::default(),
            events: Arc::new(Events::new(settings.event_streams_max)),
            refuses: Mutex::default(),
            progress: Mutex::default(),
            accepting: Mutex::new(true),
            cancellations: Mutex::default(),
            replayings: Mutex::default(),
            clock_step_ms: Mutex::default(),
            write_fails: Mutex::default(),
        });
        let (leaving, is_leaving) = watch::channel(false);
        let (stop, stopping) = watch::channel(false);
        let callers = watch::Sender::<Arc<Callers>>::default();
        let reloads = watch::Sender::new(CallersLoaded::default());
        let gateway = Gateway::new(Parts {
            backend: Arc::clone(&model) as Arc<dyn Backend>,
            store: reader,
            waiters: Arc::clone(&model.waiters),
            events: Arc::clone(&model.events),
            rates: Arc::default(),
            metrics: Metrics::default(),
            webhooks: Webhooks::new(outbox, Arc::clone(&model) as Arc<dyn OutboxWriter>),
            callers: callers.subscribe(),
            reloads: reloads.subscribe(),
            rules,
            settings,
            topology: watch::Sender::default().subscribe(),
            leaving: is_leaving,
            stop: stopping,
        });
        Self {
            leaving,
            model,
            endpoints: Endpoints::of_api(gateway.clone()),
            gateway,
            stop,
            callers,
            reloads,
        }
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.endpoints.answer(request).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Publishes with further headers.
    pub(super) async fn publish_with(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let json = [("content-type", "application/json")];
        self.post("/v1/messages", &[&json[..], headers].concat(), body)
            .await
    }

    /// Posts JSON.
    pub(super) async fn post_json(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.post(path, &[("content-type", "application/json")], body)
            .await
    }

    /// Posts anything.
    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::post(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).expect("a request"))
            .await
    }

    /// Posts nothing.
    pub(super) async fn act(&self, path: &str) -> Answer {
        self.post(path, &[], "").await
    }

    pub(super) async fn publish(&self, body: impl Into<Body>) -> Answer {
        self.publish_with(&[], body).await
    }

    /// Asks with further headers.
    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }
}
