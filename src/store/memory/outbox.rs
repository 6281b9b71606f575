//! Webhooks, and what waits to be delivered to them.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::domain::{Caller, MessageId, WallTime};
use crate::store::{
    Delivery, DeliveryId, DeliveryStatus, EndpointId, LoggedDelivery, OutboxChange, Recipient,
    Record, Tried, Webhook, callback_endpoint,
};

/// Deliveries of a webhook that are kept after they have ended.
const ENDED_MAX: usize = 1000;

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    webhooks: BTreeMap<MessageId, Webhook>,
    hosts: FxHashMap<Box<str>, EndpointId>,
    hooks: FxHashMap<MessageId, EndpointId>,
    /// In the order of their times.
    waiting: BTreeMap<EndpointId, BTreeSet<(WallTime, DeliveryId)>>,
    deliveries: BTreeMap<DeliveryId, Row>,
    /// Of each webhook.
    ended: FxHashMap<MessageId, BTreeSet<DeliveryId>>,
    last_delivery: u64,
    last_endpoint: u64,
    /// The last commit has added deliveries.
    pub(super) has_added: bool,
}

struct Row {
    delivery: Delivery,
    status: DeliveryStatus,
    last: Option<Tried>,
}

impl Outbox {
    /// A message has ended as `record` tells.
    pub(super) fn settled(&mut self, record: &Record, callback_url: Option<&str>, at: WallTime) {
        if let Some(url) = callback_url {
            let name = callback_endpoint(&record.caller, url);
            let endpoint = match self.hosts.get(&name) {
                Some(endpoint) => *endpoint,
                None => self.another_endpoint(),
            };
            self.hosts.insert(name, endpoint);
            self.add(Recipient::Callback(url.into()), endpoint, record, at);
        }
        let wanting = self.webhooks.values().filter(|hook| hook.wants(record));
        let wanting: Vec<_> = wanting.map(|hook| hook.id).collect();
        for id in wanting {
            if let Some(endpoint) = self.hooks.get(&id).copied() {
                self.add(Recipient::Webhook(id), endpoint, record, at);
            }
        }
    }

    fn another_endpoint(&mut self) -> EndpointId {
        self.last_endpoint += 1;
        EndpointId(self.last_endpoint)
    }

    fn add(&mut self, to: Recipient, endpoint: EndpointId, record: &Record, next_at: WallTime) {
        self.last_delivery += 1;
        self.has_added = true;
        let id = DeliveryId(self.last_delivery);
        let row = Row {
            delivery: Delivery {
                id,
                endpoint,
                to,
                record: record.clone(),
                attempts: 0,
                next_at,
            },
            status: DeliveryStatus::Waiting { next_at },
            last: None,
        };
        self.deliveries.insert(id, row);
        let waiting = self.waiting.entry(endpoint).or_default();
        waiting.insert((next_at, id));
    }

    /// The wall clock has stepped: whatever waits, waits as long as before.
    pub(super) fn step_clock(&mut self, by_ms: i64) {
        for waiting in self.waiting.values_mut() {
            let before = std::mem::take(waiting);
            let moved = (before.into_iter()).map(|(at, id)| (at.moved_by_ms(by_ms), id));
            waiting.extend(moved);
        }
        for row in self.deliveries.values_mut() {
            if let DeliveryStatus::Waiting { next_at } = &mut row.status {
                *next_at = next_at.moved_by_ms(by_ms);
                row.delivery.next_at = *next_at;
            }
        }
    }

    pub(super) fn change(&mut self, change: &OutboxChange) {
        match change {
            OutboxChange::Tried { id, tried, status } => self.tried(*id, tried, *status),
            OutboxChange::Put(webhook) => {
                let id = webhook.id;
                let endpoint = self.another_endpoint();
                self.hooks.entry(id).or_insert(endpoint);
                self.webhooks.insert(id, Webhook::clone(webhook));
            }
            OutboxChange::Patch(id, patch) => {
                self.with(*id, |hook| hook.patch(patch));
            }
            OutboxChange::Rotate {
                id,
                secret,
                old_until,
            } => self.with(*id, |hook| hook.rotate(secret, *old_until)),
            OutboxChange::Failing(id, since) => self.with(*id, |hook| hook.failing_since = *since),
            OutboxChange::Disable(id, why) => self.with(*id, |hook| {
                hook.enabled = false;
                hook.disabled_for = Some(*why);
            }),
            OutboxChange::Delete(id) => self.delete(*id),
            OutboxChange::Resend(id, at) => {
                let is_callback = |row: &Row| matches!(row.delivery.to, Recipient::Callback(_));
                if !self.deliveries.get(id).is_none_or(is_callback) {
                    self.moves(*id, DeliveryStatus::Waiting { next_at: *at });
                }
            }
        }
    }

    fn with(&mut self, id: MessageId, change: impl FnOnce(&mut Webhook)) {
        if let Some(webhook) = self.webhooks.get_mut(&id) {
            change(webhook);
        }
    }

    fn tried(&mut self, id: DeliveryId, tried: &Tried, status: DeliveryStatus) {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return;
        };
        row.delivery.attempts += 1;
        row.last = Some(tried.clone());
        self.moves(id, status);
    }

    fn moves(&mut self, id: DeliveryId, status: DeliveryStatus) {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return;
        };
        let was = std::mem::replace(&mut row.status, status);
        let endpoint = row.delivery.endpoint;
        let waiting = self.waiting.entry(endpoint).or_default();
        if let DeliveryStatus::Waiting { next_at } = was {
            waiting.remove(&(next_at, id));
        }
        let to = row.delivery.to.clone();
        match (status, to) {
            (DeliveryStatus::Waiting { next_at }, to) => {
                row.delivery.next_at = next_at;
                waiting.insert((next_at, id));
                if let Recipient::Webhook(hook) = to {
                    self.ended.entry(hook).or_default().remove(&id);
                }
            }
            (_, Recipient::Callback(_)) => {
                self.deliveries.remove(&id);
            }
            (_, Recipient::Webhook(hook)) => {
                let ended = self.ended.entry(hook).or_default();
                ended.insert(id);
                if ended.len() > ENDED_MAX
                    && let Some(oldest) = ended.pop_first()
                {
                    self.deliveries.remove(&oldest);
                }
            }
        }
    }

    fn delete(&mut self, id: MessageId) {
        self.webhooks.remove(&id);
        self.ended.remove(&id);
        if let Some(endpoint) = self.hooks.remove(&id) {
            self.waiting.remove(&endpoint);
        }
        self.deliveries
            .retain(|_, row| row.delivery.to != Recipient::Webhook(id));
    }

    fn is_enabled(&self, to: &Recipient) -> bool {
        match to {
            Recipient::Callback(_) => true,
            Recipient::Webhook(id) => self.webhooks.get(id).is_some_and(|hook| hook.enabled),
        }
    }

    pub(super) fn waiting_endpoints(&self, max: usize) -> Vec<(EndpointId, WallTime)> {
        let first = |(endpoint, waiting): (&EndpointId, &BTreeSet<(WallTime, DeliveryId)>)| {
            let (next_at, id) = waiting.first()?;
            let row = self.deliveries.get(id)?;
            self.is_enabled(&row.delivery.to)
                .then_some((*endpoint, *next_at))
        };
        let mut all: Vec<_> = self.waiting.iter().filter_map(first).collect();
        all.sort_by_key(|(endpoint, at)| (*at, *endpoint));
        all.truncate(max);
        all
    }

    pub(super) fn waiting_deliveries(&self) -> usize {
        self.waiting.values().map(BTreeSet::len).sum()
    }

    pub(super) fn due_deliveries(
        &self,
        endpoint: EndpointId,
        now: WallTime,
        max: usize,
    ) -> Vec<Delivery> {
        let waiting = self.waiting.get(&endpoint).into_iter().flatten();
        let due = waiting.take_while(|(next_at, _)| *next_at <= now);
        due.filter_map(|(_, id)| self.deliveries.get(id))
            .filter(|row| self.is_enabled(&row.delivery.to))
            .take(max)
            .map(|row| row.delivery.clone())
            .collect()
    }

    pub(super) fn webhooks(&self, caller: Option<&Caller>) -> Vec<Webhook> {
        let theirs = |hook: &&Webhook| caller.is_none_or(|caller| *caller == hook.caller);
        self.webhooks.values().filter(theirs).cloned().collect()
    }

    pub(super) fn log(
        &self,
        webhook: MessageId,
        before: Option<DeliveryId>,
        max: usize,
    ) -> Vec<LoggedDelivery> {
        let to = Recipient::Webhook(webhook);
        let end = before.unwrap_or(DeliveryId(u64::MAX));
        let rows = self.deliveries.range(..end).rev().map(|(_, row)| row);
        let theirs = rows.filter(|row| row.delivery.to == to).take(max);
        theirs.filter_map(Row::logged).collect()
    }
}

impl Row {
    fn logged(&self) -> Option<LoggedDelivery> {
        let outcome = self.delivery.record.outcome.as_ref()?;
        Some(LoggedDelivery {
            id: self.delivery.id,
            message: self.delivery.record.id,
            revision: outcome.revision,
            outcome: outcome.status,
            status: self.status,
            attempts: self.delivery.attempts,
            last: self.last.clone(),
        })
    }
}
