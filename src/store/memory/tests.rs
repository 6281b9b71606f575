use super::super::contract::samples;
use super::*;

fn store(messages_max: usize, bytes_max: usize) -> MemoryStore {
    MemoryStore::new(HistoryBudget {
        messages_max,
        bytes_max,
        keys_kept: Duration::MAX,
    })
}

#[test]
fn history_is_bounded_and_pending_messages_are_never_forgotten() {
    let mut store = store(3, usize::MAX);
    let all = samples::accepted(10);
    store.commit(&samples::accepting(&all)).expect("commit");
    let settled = samples::confirmed(&all[1..]);
    store.commit(&samples::settling(&settled)).expect("commit");
    let get = |index: usize| store.get(all[index].message.id).expect("read");
    assert!(matches!(get(0), Lookup::Found(_)));
    assert_eq!(get(1), Lookup::Expired);
    assert_eq!(get(6), Lookup::Expired);
    assert!(matches!(get(7), Lookup::Found(_)));
    assert_eq!(store.kept.lock().rows.len(), 4);
}

#[test]
fn history_is_bounded_in_bytes_too() {
    let all = samples::accepted(10);
    let mut store = store(usize::MAX, 4 * all[0].message.footprint_bytes());
    let settled = samples::confirmed(&all);
    let batch = Batch {
        accepted: &all,
        settled: &settled,
        ..Batch::default()
    };
    store.commit(&batch).expect("commit");
    assert_eq!(store.kept.lock().rows.len(), 4);
}
