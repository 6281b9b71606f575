//! What is to be told of an outcome is kept with it, whatever the disk does.

use std::sync::Arc;

use super::{Bench, options};
use crate::domain::{Caller, MessageId, RowId, Terms, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settling};
use crate::store::{
    Accepted, Batch, OutboxChange, OutboxStore, ReadStore, WantedEvents, Webhook, WriteStore,
};

const MESSAGES: u64 = 20;
/// A callback and a webhook.
const EACH: usize = 2;

fn messages() -> Vec<Accepted> {
    let with_callback = |row| {
        let mut message = one(row, "payload");
        Arc::make_mut(&mut message.message).draft.terms = Terms {
            callback_url: Some("https://callbacks.example/".into()),
            ..Terms::default()
        }
        .boxed();
        message
    };
    (1..=MESSAGES).map(with_callback).collect()
}

/// A store with a webhook that wants everything, and with messages that are pending.
fn bench(messages: &[Accepted]) -> Bench {
    let mut bench = Bench::new(options(1));
    let webhook = Webhook {
        id: MessageId::from_parts(RowId::from_stored(1 << 40), 7),
        caller: Caller::default(),
        url: "https://hooks.example/".into(),
        events: WantedEvents::ALL,
        exchange: None,
        group: None,
        enabled: true,
        disabled_for: None,
        failing_since: None,
        secret: "whsec_".into(),
        old_secret: None,
        created_at: WallTime::default(),
    };
    let batch = Batch {
        outbox: &[OutboxChange::Put(Box::new(webhook))],
        ..accepting(messages)
    };
    bench.store().commit(&batch).expect("commit");
    bench
}

/// Everything that waits to be delivered.
fn waiting(bench: &Bench) -> usize {
    let reader = bench.reader();
    let endpoints = reader.waiting_endpoints(usize::MAX).expect("endpoints");
    let of = |endpoint| {
        let end = WallTime::from_unix_ms(1 << 50);
        let due = reader.due_deliveries(endpoint, end, usize::MAX);
        due.expect("deliveries").len()
    };
    endpoints.iter().map(|(endpoint, _)| of(*endpoint)).sum()
}

#[test]
fn an_outcome_and_what_is_to_be_told_of_it_are_one_sync_of_the_log() {
    let messages = messages();
    let mut bench = bench(&messages);
    let before = bench.faults.syncs();
    let settled = confirmed(&messages);
    bench.store().commit(&settling(&settled)).expect("commit");
    assert_eq!(bench.faults.syncs() - before, 1);
    assert_eq!(waiting(&bench), EACH * messages.len());
    // How much that was is seen by the next look at the budget.
    assert_eq!(bench.store().due.sure_bytes, 0);
}

#[test]
fn a_disk_that_fails_keeps_outcomes_with_what_is_to_be_told_of_them_or_neither() {
    let messages = messages();
    let mut seen = [0, 0];
    for writes in 0..60 {
        let mut bench = bench(&messages);
        bench.faults.fill_disk_after(writes);
        let kept = bench.store().commit(&settling(&confirmed(&messages)));
        bench.faults.heal();
        bench.cut_power();
        bench.open().expect("open");
        let facts = bench.reader().facts().expect("facts");
        let settled = usize::try_from(facts.confirmed).expect("few");
        assert_eq!(settled, if kept.is_ok() { messages.len() } else { 0 });
        assert_eq!(waiting(&bench), EACH * settled, "after {writes} writes");
        seen[usize::from(kept.is_ok())] += 1;
    }
    assert!(seen[0] > 2 && seen[1] > 2, "{seen:?}");
}
