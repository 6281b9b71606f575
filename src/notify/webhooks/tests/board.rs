//! An outbox in plain maps, and the engine over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::{Names, limits};
use crate::clock;
use crate::domain::webhook::{Schedule, Secret};
use crate::domain::{Caller, MessageId, RowId, Status, WallTime};
use crate::notify::webhooks::{
    Counts, Doorbell, Engine, LaneLimits, Parts, SendLimits, Sender, Settings,
};
use crate::store::{
    Delivery, DeliveryId, DeliveryStatus, DisabledFor, EndpointId, LoggedDelivery, OutboxChange,
    OutboxStore, OutboxWriter, Recipient, Record, Settlement, StoreError, Tried, WantedEvents,
    Webhook, Writing,
};

#[derive(Default)]
struct State {
    webhooks: BTreeMap<MessageId, Webhook>,
    rows: BTreeMap<DeliveryId, Row>,
    waiting: BTreeMap<EndpointId, BTreeSet<(WallTime, DeliveryId)>>,
    /// How often a delivery of an endpoint was read.
    read: BTreeMap<EndpointId, usize>,
    /// Writes that are to fail.
    failing_writes: usize,
    delivered: BTreeMap<EndpointId, usize>,
    failed: BTreeMap<EndpointId, usize>,
}

#[derive(Clone)]
pub(super) struct Row {
    pub(super) delivery: Delivery,
    pub(super) status: DeliveryStatus,
    pub(super) tried: Vec<Tried>,
}

/// Longer than anything takes, also on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Default)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Notify,
    pub(super) doorbell: Arc<Doorbell>,
    pub(super) counts: Arc<Counts>,
}

pub(super) fn id(number: u64) -> MessageId {
    MessageId::from_parts(RowId::from_stored(number), number)
}

pub(super) fn secret(number: u64) -> Secret {
    Secret::from_random([number; 4])
}

/// The outcome of the message `number`, learned `age` ago.
fn record(number: u64, age: Duration) -> Record {
    let settled_at = clock::wall().minus(age);
    let mut record = Record {
        id: id(number),
        caller: Caller::default(),
        exchange: "".into(),
        routing_key: "key".into(),
        ordering_key: None,
        mandatory: true,
        message_id: None,
        size_bytes: 1,
        accepted_at: settled_at,
        replays: 0,
        doubt: None,
        outcome: None,
        group: None,
        deliver_at: None,
        give_up_at: None,
        trace: None,
        standing: None,
    };
    record.outcome = Some(Settlement {
        id: record.id,
        status: Status::Confirmed,
        reason: None,
        attempts: 1,
        duplicate_possible: false,
        revision: 2,
        settled_at,
    });
    record
}

impl Board {
    /// A standing webhook, whose endpoint has its number.
    pub(super) fn webhook(&self, number: u64, url: &str) {
        let webhook = Webhook {
            id: id(number),
            caller: Caller::default(),
            url: url.into(),
            events: WantedEvents::ALL,
            exchange: None,
            group: None,
            enabled: true,
            disabled_for: None,
            failing_since: None,
            secret: secret(number).reveal().into(),
            old_secret: None,
            created_at: clock::wall(),
        };
        self.state.lock().webhooks.insert(webhook.id, webhook);
    }

    pub(super) fn change(&self, number: u64, change: impl FnOnce(&mut Webhook)) {
        change(
            self.state
                .lock()
                .webhooks
                .get_mut(&id(number))
                .expect("a webhook"),
        );
    }

    pub(super) fn get(&self, number: u64) -> Webhook {
        self.state.lock().webhooks[&id(number)].clone()
    }

    /// Outcomes of these messages, for the webhook `to`.
    pub(super) fn settle(&self, to: u64, messages: impl IntoIterator<Item = u64>) {
        self.settle_old(to, messages, Duration::ZERO);
    }

    pub(super) fn settle_old(
        &self,
        to: u64,
        messages: impl IntoIterator<Item = u64>,
        age: Duration,
    ) {
        for message in messages {
            self.add(
                EndpointId(to),
                Recipient::Webhook(id(to)),
                record(message, age),
            );
        }
        self.doorbell.ring();
    }

    pub(super) fn callback(&self, endpoint: u64, url: &str, message: u64) {
        let to = Recipient::Callback(url.into());
        self.add(EndpointId(endpoint), to, record(message, Duration::ZERO));
        self.doorbell.ring();
    }

    fn add(&self, endpoint: EndpointId, to: Recipient, record: Record) {
        let mut state = self.state.lock();
        let next_at = clock::wall();
        let id = DeliveryId(state.rows.len() as u64);
        let delivery = Delivery {
            id,
            endpoint,
            to,
            record,
            attempts: 0,
            next_at,
        };
        let row = Row {
            delivery,
            status: DeliveryStatus::Waiting { next_at },
            tried: Vec::new(),
        };
        state.rows.insert(id, row);
        state
            .waiting
            .entry(endpoint)
            .or_default()
            .insert((next_at, id));
    }

    pub(super) fn rows(&self, endpoint: u64) -> Vec<Row> {
        let rows = self.state.lock().rows.values().cloned().collect::<Vec<_>>();
        let theirs = |row: &Row| row.delivery.endpoint == EndpointId(endpoint);
        rows.into_iter().filter(theirs).collect()
    }

    /// How often deliveries of an endpoint were read.
    pub(super) fn read(&self, endpoint: u64) -> usize {
        let state = self.state.lock();
        state.read.get(&EndpointId(endpoint)).copied().unwrap_or(0)
    }

    pub(super) fn fail_writes(&self, count: usize) {
        self.state.lock().failing_writes = count;
    }

    /// Returns when so many deliveries of an endpoint have ended so.
    pub(super) async fn ended(&self, endpoint: u64, status: DeliveryStatus, count: usize) {
        let ended = |board: &Self| {
            let state = board.state.lock();
            let counts = match status {
                DeliveryStatus::Delivered => &state.delivered,
                _ => &state.failed,
            };
            counts.get(&EndpointId(endpoint)).copied().unwrap_or(0)
        };
        self.until(|board| ended(board) >= count).await;
    }

    /// Returns when something is so, which it comes to be by a write.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if is_so(self) {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "what was waited for did not come about");
    }

    fn apply(&self, change: OutboxChange) {
        let mut state = self.state.lock();
        let state = &mut *state;
        match change {
            OutboxChange::Tried { id, tried, status } => {
                let row = state.rows.get_mut(&id).expect("it was read");
                let waiting = state.waiting.entry(row.delivery.endpoint).or_default();
                waiting.remove(&(row.delivery.next_at, id));
                row.delivery.attempts += 1;
                row.tried.push(tried);
                row.status = status;
                let endpoint = row.delivery.endpoint;
                match status {
                    DeliveryStatus::Waiting { next_at } => {
                        row.delivery.next_at = next_at;
                        waiting.insert((next_at, id));
                    }
                    DeliveryStatus::Delivered => {
                        *state.delivered.entry(endpoint).or_default() += 1;
                    }
                    DeliveryStatus::Failed => *state.failed.entry(endpoint).or_default() += 1,
                }
            }
            OutboxChange::Failing(id, since) => {
                state
                    .webhooks
                    .get_mut(&id)
                    .expect("a webhook")
                    .failing_since = since;
            }
            OutboxChange::Disable(id, why) => {
                let webhook = state.webhooks.get_mut(&id).expect("a webhook");
                webhook.enabled = false;
                webhook.disabled_for = Some(why);
            }
            other => panic!("the engine does not write {other:?}"),
        }
    }

    /// An engine over this outbox, until it is dropped.
    pub(super) fn engine(self: &Arc<Self>, schedule: Schedule, lanes: LaneLimits) -> Running {
        let send = SendLimits {
            total: Duration::from_secs(2),
            ..limits()
        };
        let allow = "127.0.0.0/8".parse().expect("a list");
        let parts = Parts {
            outbox: Arc::<Self>::clone(self),
            writer: Arc::<Self>::clone(self),
            sender: Arc::new(Sender::new(Names::none(), None, allow, send)),
            render: Arc::new(|record: &Record| format!(r#"{{"id":"{}"}}"#, record.id).into_bytes()),
            doorbell: Arc::clone(&self.doorbell),
            callers: Box::new(|_| vec![secret(0)]),
            counts: Arc::clone(&self.counts),
        };
        let stop = watch::Sender::new(false);
        let mut running = JoinSet::new();
        let settings = Settings { schedule, lanes };
        running.spawn(Engine::run(parts, settings, stop.subscribe()));
        Running { running, stop }
    }
}

/// An engine that runs.
pub(super) struct Running {
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Tells it to stop and waits until it has.
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

pub(super) fn quick(pauses_ms: &[u64]) -> Schedule {
    Schedule {
        pauses: pauses_ms
            .iter()
            .map(|ms| Duration::from_millis(*ms))
            .collect(),
        ..Schedule::default()
    }
}

pub(super) fn is_gone(webhook: &Webhook) -> bool {
    !webhook.enabled && webhook.disabled_for == Some(DisabledFor::Gone)
}

impl OutboxStore for Board {
    fn waiting_endpoints(&self, max: usize) -> Result<Vec<(EndpointId, WallTime)>, StoreError> {
        let state = self.state.lock();
        let first = state.waiting.iter().filter_map(|(endpoint, waiting)| {
            let (at, delivery) = waiting.first()?;
            let enabled = match &state.rows[delivery].delivery.to {
                Recipient::Webhook(id) => state.webhooks.get(id).is_some_and(|hook| hook.enabled),
                Recipient::Callback(_) => true,
            };
            enabled.then_some((*endpoint, *at))
        });
        let mut first: Vec<_> = first.collect();
        first.sort_by_key(|(_, at)| *at);
        first.truncate(max);
        Ok(first)
    }

    fn waiting_deliveries(&self, max: usize) -> Result<usize, StoreError> {
        let waiting = self
            .state
            .lock()
            .waiting
            .values()
            .map(BTreeSet::len)
            .sum::<usize>();
        Ok(waiting.min(max))
    }

    fn due_deliveries(
        &self,
        endpoint: EndpointId,
        now: WallTime,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let waiting = state.waiting.get(&endpoint).into_iter().flatten();
        let due = waiting.take_while(|(at, _)| *at <= now).take(max);
        let due: Vec<_> = due.map(|(_, id)| state.rows[id].delivery.clone()).collect();
        *state.read.entry(endpoint).or_default() += due.len();
        Ok(due)
    }

    fn webhooks(&self, _: Option<&Caller>) -> Result<Vec<Webhook>, StoreError> {
        Ok(self.state.lock().webhooks.values().cloned().collect())
    }

    fn deliveries(
        &self,
        _: MessageId,
        _: Option<DeliveryId>,
        _: usize,
    ) -> Result<Vec<LoggedDelivery>, StoreError> {
        Ok(Vec::new())
    }
}

impl OutboxWriter for Board {
    fn write(&self, changes: Vec<OutboxChange>) -> Writing<'_> {
        Box::pin(async move {
            {
                let failing = &mut self.state.lock().failing_writes;
                if *failing > 0 {
                    *failing -= 1;
                    return Err(StoreError::Unavailable("on purpose".into()));
                }
            }
            for change in changes {
                self.apply(change);
            }
            self.changed.notify_waiters();
            Ok(())
        })
    }
}
