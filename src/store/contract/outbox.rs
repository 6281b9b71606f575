//! The outbox of every store, compared with that of the store in memory.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::model::trace;
use super::operations::{CALLERS, caller};
use super::{Ending, Subject, samples};
use crate::domain::{Deliver, MessageId, Reason, ReasonCode, RowId, Status, Terms, WallTime};
use crate::store::memory::{HistoryBudget, MemoryStore};
use crate::store::{
    Accepted, Batch, Delivery, DeliveryId, DeliveryStatus, DisabledFor, LoggedDelivery,
    OutboxChange, OutboxStore, Settlement, Tried, WantedEvents, Webhook, WebhookPatch, WriteStore,
};

/// Far enough from the beginning for every step of the clock.
const NOW_MS: u64 = 1 << 20;

/// What happens to an outbox.
#[derive(Clone, Debug)]
pub(crate) enum OutboxOperation {
    /// Messages end: each with its caller, its terms and its end.
    Settle(Vec<(u8, u8, u8)>),
    Put(u8, u8),
    Patch(Index, u8),
    Rotate(Index),
    Failing(Index, Option<u64>),
    Disable(Index),
    Delete(Index),
    Tried(Index, u8),
    Resend(Index, u64),
    ClockSteps(i64),
    Upkeep,
    Reopen(Ending),
}

pub(crate) fn any_outbox_operations() -> impl Strategy<Value = Vec<OutboxOperation>> {
    use OutboxOperation as O;
    let ends = prop::collection::vec((0..CALLERS, any::<u8>(), any::<u8>()), 1..5);
    let index = any::<Index>;
    let ending = prop_oneof![
        Just(Ending::Closed),
        Just(Ending::Killed),
        Just(Ending::PowerCut)
    ];
    let one = prop_oneof![
        6 => ends.prop_map(O::Settle),
        3 => (0..CALLERS, any::<u8>()).prop_map(|(caller, kind)| O::Put(caller, kind)),
        2 => (index(), any::<u8>()).prop_map(|(which, kind)| O::Patch(which, kind)),
        1 => index().prop_map(O::Rotate),
        1 => (index(), any::<Option<u64>>()).prop_map(|(which, at)| O::Failing(which, at.map(|at| at >> 2))),
        1 => index().prop_map(O::Disable),
        1 => index().prop_map(O::Delete),
        6 => (index(), any::<u8>()).prop_map(|(which, kind)| O::Tried(which, kind)),
        1 => (index(), 0..1000_u64).prop_map(|(which, at)| O::Resend(which, at)),
        1 => (-1000..1000_i64).prop_map(O::ClockSteps),
        1 => Just(O::Upkeep),
        1 => ending.prop_map(O::Reopen),
    ];
    prop::collection::vec(one, 1..40)
}

fn at(ms: u64) -> WallTime {
    WallTime::from_unix_ms(ms)
}

/// Both stores, and the numbers of what comes next.
struct Both<'s> {
    subject: &'s mut dyn Subject,
    oracle: MemoryStore,
    rows: u64,
}

/// Runs the operations on both and compares them after each.
pub(crate) fn follow_outbox(subject: &mut dyn Subject, operations: &[OutboxOperation]) {
    let mut both = Both {
        subject,
        oracle: MemoryStore::new(HistoryBudget {
            messages_max: usize::MAX,
            bytes_max: usize::MAX,
            keys_kept: std::time::Duration::MAX,
        }),
        rows: 1 << 40,
    };
    for operation in operations {
        both.step(operation);
        both.compare();
    }
    assert_eq!(both.subject.problems(), Vec::<String>::new());
}

impl Both<'_> {
    fn step(&mut self, operation: &OutboxOperation) {
        match operation {
            OutboxOperation::Settle(ends) => self.settle(ends),
            OutboxOperation::Upkeep => {
                self.subject.writer().upkeep(at(1)).expect("upkeep");
            }
            OutboxOperation::Reopen(ending) => {
                if self.subject.writer().survives_restart() {
                    self.subject.reopen(*ending, 4);
                }
            }
            OutboxOperation::ClockSteps(by_ms) => self.commit(&Batch {
                clock_step_ms: *by_ms,
                ..Batch::default()
            }),
            change => {
                if let Some(change) = self.change(change) {
                    self.commit(&Batch {
                        outbox: &[change],
                        ..Batch::default()
                    });
                }
            }
        }
    }

    fn commit(&mut self, batch: &Batch<'_>) {
        let before = self.waiting();
        self.subject.writer().commit(batch).expect("commit");
        self.oracle.commit(batch).expect("commit");
        let more = !batch.settled.is_empty() && self.waiting() > before;
        assert_eq!(self.oracle.has_kept_deliveries(), more);
        assert_eq!(self.subject.writer().has_kept_deliveries(), more);
    }

    fn waiting(&self) -> usize {
        let waiting = self.oracle.waiting_deliveries(usize::MAX);
        waiting.expect("waiting")
    }

    fn settle(&mut self, ends: &[(u8, u8, u8)]) {
        let accepted: Vec<Accepted> = (ends.iter())
            .map(|(whose, terms, _)| {
                self.rows += 1;
                let mut one = samples::one(self.rows, "payload");
                let draft = &mut Arc::make_mut(&mut one.message).draft;
                draft.caller = caller(*whose);
                if terms % 5 == 0 {
                    draft.exchange = "".into();
                }
                draft.terms = Terms {
                    callback_url: (terms % 3 == 0)
                        .then(|| format!("https://host-{}/x", terms % 4).into()),
                    group: (terms % 2 == 0).then(|| "g".into()),
                    deliver: (terms % 5 == 1).then(|| Deliver::At(at(1 << 60))),
                    trace: (terms % 7 < 2).then(|| trace(*terms)),
                    ..Terms::default()
                }
                .boxed();
                one.due = one.message.due();
                one
            })
            .collect();
        let settled: Vec<_> = (accepted.iter().zip(ends))
            .map(|(one, (_, _, end))| settlement(one.message.id, *end))
            .collect();
        self.commit(&Batch {
            accepted: &accepted,
            settled: &settled,
            ..Batch::default()
        });
    }

    fn change(&mut self, operation: &OutboxOperation) -> Option<OutboxChange> {
        let hooks = self.oracle.webhooks(None).expect("webhooks");
        let hook = |index: &Index| {
            let nobody = MessageId::from_parts(RowId::from_stored(7), 7);
            hooks
                .get(index.index(hooks.len() + 1))
                .map_or(nobody, |hook| hook.id)
        };
        let known = self.known();
        let delivery = |index: &Index| match index.index(known.len() + 1) {
            0 => DeliveryId(1 << 40),
            at => known[at - 1],
        };
        Some(match operation {
            OutboxOperation::Put(whose, kind) => {
                self.rows += 1;
                OutboxChange::Put(Box::new(webhook(self.rows, *whose, *kind)))
            }
            OutboxOperation::Patch(which, kind) => {
                OutboxChange::Patch(hook(which), Box::new(patch(*kind)))
            }
            OutboxOperation::Rotate(which) => OutboxChange::Rotate {
                id: hook(which),
                secret: format!("secret {}", self.rows).into(),
                old_until: at(self.rows),
            },
            OutboxOperation::Failing(which, since) => {
                OutboxChange::Failing(hook(which), since.map(at))
            }
            OutboxOperation::Disable(which) => {
                OutboxChange::Disable(hook(which), DisabledFor::Gone)
            }
            OutboxOperation::Delete(which) => OutboxChange::Delete(hook(which)),
            OutboxOperation::Tried(which, kind) => tried(delivery(which), *kind),
            OutboxOperation::Resend(which, ms) => {
                OutboxChange::Resend(delivery(which), at(NOW_MS + ms))
            }
            _ => return None,
        })
    }

    /// Every delivery that is kept.
    fn known(&self) -> Vec<DeliveryId> {
        let hooks = self.oracle.webhooks(None).expect("webhooks");
        let logged = hooks.iter().flat_map(|hook| log(&self.oracle, hook.id));
        let mut all: Vec<_> = logged.map(|one| one.id).collect();
        all.extend(due(&self.oracle).into_iter().map(|one| one.id));
        all.sort_unstable();
        all.dedup();
        all
    }

    fn compare(&self) {
        let subject = self.subject.outbox();
        let hooks = self.oracle.webhooks(None).expect("webhooks");
        assert_eq!(subject.webhooks(None), Ok(hooks.clone()));
        for caller in (0..=CALLERS).map(caller) {
            let theirs = self.oracle.webhooks(Some(&caller));
            assert_eq!(subject.webhooks(Some(&caller)), theirs);
        }
        for hook in &hooks {
            assert_eq!(log(subject, hook.id), log(&self.oracle, hook.id));
        }
        let nobody = MessageId::from_parts(RowId::from_stored(7), 7);
        assert_eq!(subject.deliveries(nobody, None, 9), Ok(Vec::new()));
        assert_eq!(due(subject), due(&self.oracle));
        let times = |store: &dyn OutboxStore| {
            let waiting = store.waiting_endpoints(usize::MAX).expect("endpoints");
            let times: Vec<_> = waiting.iter().map(|(_, at)| *at).collect();
            assert!(times.is_sorted());
            times
        };
        assert_eq!(times(subject), times(&self.oracle));
        for max in [0, 2, usize::MAX] {
            let waiting = self.oracle.waiting_deliveries(max);
            assert_eq!(subject.waiting_deliveries(max), waiting);
        }
    }
}

/// All that waits for nothing but to be tried, by number; where it waits is every store's own matter.
fn due(store: &dyn OutboxStore) -> Vec<Delivery> {
    let endpoints = store.waiting_endpoints(usize::MAX).expect("endpoints");
    let mut all = Vec::new();
    for (endpoint, first) in endpoints {
        let theirs = store.due_deliveries(endpoint, at(1 << 61), usize::MAX);
        let theirs = theirs.expect("deliveries");
        assert!(theirs.is_sorted_by_key(|one| (one.next_at, one.id)));
        assert_eq!(theirs.first().map(|one| one.next_at), Some(first));
        assert!(theirs.iter().all(|one| one.endpoint == endpoint));
        let two = store.due_deliveries(endpoint, at(1 << 61), 2);
        assert_eq!(two.as_deref(), Ok(&theirs[..theirs.len().min(2)]));
        let now = store.due_deliveries(endpoint, first, usize::MAX);
        let at_first = theirs.iter().filter(|one| one.next_at == first).count();
        assert_eq!(now.expect("deliveries").len(), at_first);
        all.extend(theirs);
    }
    all.sort_by_key(|one| one.id);
    for one in &mut all {
        one.endpoint = crate::store::EndpointId(0);
    }
    all
}

/// All pages of a webhook's log.
fn log(store: &dyn OutboxStore, webhook: MessageId) -> Vec<LoggedDelivery> {
    let (mut all, mut before): (Vec<LoggedDelivery>, _) = (Vec::new(), None);
    loop {
        let page = store.deliveries(webhook, before, 3).expect("deliveries");
        assert!(page.len() <= 3);
        let Some(last) = page.last() else {
            return all;
        };
        before = Some(last.id);
        all.extend(page);
    }
}

fn settlement(id: MessageId, end: u8) -> Settlement {
    let status = match end % 3 {
        0 => Status::Confirmed,
        1 => Status::Returned,
        _ => Status::Failed,
    };
    Settlement {
        reason: (status != Status::Confirmed)
            .then(|| Reason::told(ReasonCode::NoRoute, 312, "NO_ROUTE", "nobody")),
        duplicate_possible: end > 100,
        ..samples::settlement(id, status, NOW_MS + u64::from(end))
    }
}

fn webhook(row: u64, whose: u8, kind: u8) -> Webhook {
    Webhook {
        id: MessageId::from_parts(RowId::from_stored(row), row * 3),
        caller: caller(whose),
        url: format!("https://hook-{kind}/").into(),
        events: events(kind),
        exchange: kind.is_multiple_of(4).then(|| "log.exchange".into()),
        group: kind.is_multiple_of(5).then(|| "g".into()),
        enabled: !kind.is_multiple_of(7),
        disabled_for: kind.is_multiple_of(14).then_some(DisabledFor::Failing),
        failing_since: kind.is_multiple_of(3).then(|| at(row)),
        secret: format!("whsec {kind}").into(),
        old_secret: kind.is_multiple_of(2).then(|| ("old".into(), at(row + 1))),
        created_at: at(row),
    }
}

fn events(kind: u8) -> WantedEvents {
    WantedEvents {
        confirmed: kind & 1 == 0,
        returned: kind & 2 == 0,
        failed: kind & 4 == 0,
    }
}

fn patch(kind: u8) -> WebhookPatch {
    let to = |bit: u8, text: &str| (kind >> bit & 1 == 1).then(|| Box::<str>::from(text));
    WebhookPatch {
        url: to(0, "https://elsewhere/"),
        events: (kind & 2 != 0).then(|| events(kind)),
        exchange: (kind & 4 != 0).then(|| to(5, "other")),
        group: (kind & 8 != 0).then(|| to(6, "h")),
        enabled: (kind & 16 != 0).then_some(kind & 128 != 0),
    }
}

fn tried(id: DeliveryId, kind: u8) -> OutboxChange {
    let ms = u64::from(kind);
    OutboxChange::Tried {
        id,
        tried: Tried {
            at: at(ms),
            status_code: kind.is_multiple_of(2).then_some(500 + u16::from(kind)),
            error: (!kind.is_multiple_of(2)).then(|| "timeout".into()),
        },
        status: match kind % 3 {
            0 => DeliveryStatus::Delivered,
            1 => DeliveryStatus::Failed,
            _ => DeliveryStatus::Waiting {
                next_at: at(NOW_MS + ms * 10),
            },
        },
    }
}
