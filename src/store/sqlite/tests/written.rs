//! What a commit writes is never more than what is taken for it from the budget without a look.

use super::{Bench, options};
use crate::domain::{Status, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::sqlite::connection::used_bytes;
use crate::store::sqlite::keep::{content_bytes, written_bytes_max};
use crate::store::{Accepted, Batch, ReadStore, WriteStore};

/// Bytes of database and log.
fn used(bench: &mut Bench) -> u64 {
    let log = std::fs::metadata(bench.beside("-wal"))
        .expect("a log")
        .len();
    used_bytes(&bench.store().connection).expect("read") + log
}

/// Commits, and checks what is written against what is charged.
fn commit(bench: &mut Bench, batch: &Batch<'_>) {
    let content = content_bytes(batch.accepted);
    let most = written_bytes_max(batch, content);
    let was = used(bench);
    bench.store().commit(batch).expect("commit");
    let written = used(bench).saturating_sub(was);
    let (new, ended) = (batch.accepted.len(), batch.settled.len());
    assert!(
        written <= most,
        "{new} of {content} bytes, {ended} ended: {written} bytes, at most {most}"
    );
}

#[test]
fn a_commit_writes_no_more_than_it_is_charged_for() {
    let mut bench = Bench::new(options(1));
    let mut row = 0;
    let mut before: Vec<Accepted> = Vec::new();
    for (messages, payload_bytes) in [
        (1, 0),
        (1, 10 << 20),
        (500, 0),
        (500, 256),
        (100, 4096),
        (30, 100_000),
        (4000, 10),
        (1, 1),
        (2000, 3000),
    ] {
        for _ in 0..4 {
            let all: Vec<_> = (0..messages)
                .map(|_| {
                    row += 1;
                    one(row, vec![5; payload_bytes])
                })
                .collect();
            // Every other message of the commit before ends, so that their pages stay.
            let settled: Vec<_> = before.iter().step_by(2).cloned().collect();
            let settled = confirmed(&settled);
            let batch = Batch {
                settled: &settled,
                ..accepting(&all)
            };
            commit(&mut bench, &batch);
            before = all;
        }
    }
}

/// What is forgotten at a time is what ended at a time, and each of it may be on a page of its own.
#[test]
fn what_a_commit_forgets_is_charged_too() {
    const TOGETHER: usize = 256;
    const APART: usize = 100;
    let mut bench = Bench::new(options(1));
    let rows = (TOGETHER * APART) as u64;
    let all: Vec<_> = (1..=rows).map(|row| one(row, "x")).collect();
    for some in all.chunks(4000) {
        bench.store().commit(&accepting(some)).expect("commit");
    }
    for first in 0..APART {
        let some: Vec<_> = all.iter().skip(first).step_by(APART).cloned().collect();
        let batch = confirmed(&some);
        bench.store().commit(&settling(&batch)).expect("commit");
    }
    bench.store().options.history_bytes_max = 0;
    for row in rows + 1..rows + 20 {
        let new = [one(row, "x")];
        bench.store().commit(&accepting(&new)).expect("commit");
        commit(&mut bench, &settling(&confirmed(&new)));
    }
    let facts = bench.reader().facts().expect("facts");
    assert!(facts.confirmed < rows / 10 * 9, "nothing was forgotten");
}

#[test]
fn where_much_is_left_the_budget_is_not_looked_at_for_each_commit() {
    let mut bench = Bench::new(options(1));
    let mut sure = Vec::new();
    for row in 1..=3 {
        let all = [one(row, "x")];
        bench.store().commit(&accepting(&all)).expect("commit");
        sure.push(bench.store().due.sure_bytes);
    }
    let charged = written_bytes_max(&accepting(&[]), content_bytes(&[one(1, "x")]));
    assert!(sure[0] > 1 << 20);
    assert_eq!(sure, [sure[0], sure[0] - charged, sure[0] - 2 * charged]);
    // A payload that is kept with its message's end may have any size.
    let end = [settlement(one(1, "x").message.id, Status::Returned, 1)];
    bench.store().commit(&settling(&end)).expect("commit");
    assert_eq!(bench.store().due.sure_bytes, 0);
    // Nor is anything sure after upkeep, before the next look.
    let all = [one(4, "x")];
    bench.store().commit(&accepting(&all)).expect("commit");
    assert!(bench.store().due.sure_bytes > 1 << 20);
    let now = WallTime::from_unix_ms(1);
    bench.store().upkeep(now).expect("upkeep");
    assert_eq!(bench.store().due.sure_bytes, 0);
}
