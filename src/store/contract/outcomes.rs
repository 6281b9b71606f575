//! What was settled behind a position, in the order of settlement.

use proptest::sample::Index;

use super::Subject;
use super::model::{Model, Place};
use super::questions::is_forgotten;
use crate::domain::Status;
use crate::store::{KeptSince, OutcomesPage, Record};

/// All pages come to what the model has behind the position: each message once, with its last outcome. What
/// is missing was forgotten, and the store says up to where that can be.
pub(super) fn follow(subject: &dyn Subject, model: &Model, after: Index, entries_max: usize) {
    // Also from positions that were never reached.
    let positions = usize::try_from(model.positions).expect("few");
    let start = after.index(positions + 3) as u64;
    let (mut after, mut found) = (start, Vec::new());
    let kept = loop {
        let page = (subject.reader().outcomes(after, entries_max)).expect("read");
        check(subject, model, &page, after, entries_max);
        found.extend(page.outcomes);
        if page.reached == page.last {
            break page.kept;
        }
        after = page.reached;
    };
    let mut expected = Vec::new();
    for (position, record) in ended(model, start) {
        if is_forgotten(subject, &record) {
            let status = record.outcome.as_ref().map(|outcome| outcome.status);
            let missing_to = match status {
                Some(Status::Confirmed) => kept.all,
                _ => kept.unconfirmed,
            };
            assert!(position <= missing_to, "{position} is missing: {kept:?}");
        } else {
            expected.push((position, record));
        }
    }
    assert_eq!(found, expected);
}

fn check(
    subject: &dyn Subject,
    model: &Model,
    page: &OutcomesPage,
    after: u64,
    entries_max: usize,
) {
    assert_eq!(page.last, model.positions);
    assert!(page.kept.unconfirmed <= page.kept.all && page.kept.all <= page.last);
    assert!(page.outcomes.len() <= entries_max.max(1));
    assert!(
        page.reached == page.last || page.reached > after,
        "no progress"
    );
    let told = |position: u64| position > after && position <= page.reached;
    assert!(page.outcomes.iter().all(|(position, _)| told(*position)));
    if subject.keeps_everything() {
        assert_eq!(page.kept, KeptSince::default());
        assert!(page.reached <= after.max(page.last).min(after + entries_max.max(1) as u64));
    }
}

/// The last outcomes behind a position.
fn ended(model: &Model, after: u64) -> Vec<(u64, Record)> {
    let at = |place: &Place| match place {
        Place::Ended(_, position) => Some(*position).filter(|position| *position > after),
        _ => None,
    };
    let mut ended: Vec<_> = (model.kept.iter())
        .filter_map(|kept| Some((at(&kept.place)?, kept.record())))
        .collect();
    ended.sort_by_key(|(position, _)| *position);
    ended
}
