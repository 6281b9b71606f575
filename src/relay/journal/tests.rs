//! How long the writer gathers what is to be committed together.

use super::batch::tests::ended_at;
use super::*;
use crate::relay::tests::anybody;
use crate::relay::tests::bench::{AMPLE, Nobody, draft};

/// Longer than enough takes to come.
const LATE: Duration = Duration::from_secs(20);

fn journal() -> Journal {
    let start = Start::default();
    Journal::new(AMPLE, 4, &start, true, Arc::new(Nobody), anybody())
}

fn request(journal: &Journal) {
    let one = std::iter::once(draft("a").into());
    assert_eq!(journal.queue_all(one).admitted().count(), 1);
}

#[tokio::test]
async fn many_requests_end_the_gathering_before_its_time() {
    let journal = journal();
    let until = clock::monotonic() + LATE;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut queue = journal.queue.lock();
            journal.gather(&mut queue, until);
            queue.replies.len()
        });
        for _ in 0..GATHERED_MAX {
            request(&journal);
        }
        let gathered = writer.join().expect("no panic");
        assert_eq!(gathered, GATHERED_MAX);
    });
    assert!(clock::monotonic() < until);
    // Afterwards each wakes the writer.
    assert!(journal.queue.lock().has_enough());
}

#[tokio::test]
async fn few_requests_wait_until_it_is_time() {
    let journal = journal();
    request(&journal);
    let until = clock::monotonic() + Duration::from_millis(5);
    journal.gather(&mut journal.queue.lock(), until);
    assert!(clock::monotonic() >= until);
}

#[tokio::test]
async fn outcomes_end_the_gathering_only_when_somebody_waits_for_them() {
    let journal = journal();
    let mut settled = (1..=GATHERED_MAX as u64)
        .map(|row| ended_at(row, 1))
        .collect();
    journal.settle(&mut settled);
    let mut queue = journal.queue.lock();
    queue.enough = GATHERED_MAX;
    assert!(!queue.has_enough());
    queue.urgent = true;
    assert!(queue.has_enough());
}
