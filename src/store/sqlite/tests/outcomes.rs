//! Reading on from a position, over rows of the record that are whole, rewritten or gone.

use super::{Bench, Options, options};
use crate::domain::{Status, WallTime};
use crate::store::contract::samples::{accepting, one, settlement, settling};
use crate::store::{Accepted, KeptSince, ReadStore as _, WriteStore as _};

/// Accepts so many, and settles them in commits of so many: every tenth is returned.
fn settled(bench: &mut Bench, count: u64, of_a_commit: usize) -> Vec<Accepted> {
    let all: Vec<_> = (1..=count).map(|row| one(row, "payload")).collect();
    bench.store().commit(&accepting(&all)).expect("commit");
    for some in all.chunks(of_a_commit) {
        let ended: Vec<_> = some.iter().map(ended).collect();
        bench.store().commit(&settling(&ended)).expect("commit");
    }
    all
}

fn ended(accepted: &Accepted) -> crate::store::Settlement {
    let row = accepted.message.id.row().get();
    settlement(accepted.message.id, status(row), row)
}

fn status(row: u64) -> Status {
    if row.is_multiple_of(10) {
        Status::Returned
    } else {
        Status::Confirmed
    }
}

/// The positions behind one, page by page; rows are settled in their order, so that they are the same.
fn walk(bench: &Bench, mut after: u64, entries_max: usize) -> Vec<u64> {
    let mut positions = Vec::new();
    loop {
        let page = bench.reader().outcomes(after, entries_max).expect("read");
        assert!(page.outcomes.len() <= entries_max);
        for (position, record) in page.outcomes {
            assert_eq!(record.id.row().get(), position);
            let ended = record.outcome.expect("an outcome");
            assert_eq!(ended.status, status(position));
            positions.push(position);
        }
        assert!(page.reached <= page.last);
        if page.reached == page.last {
            return positions;
        }
        assert!(page.reached > after, "no progress");
        after = page.reached;
    }
}

fn kept(bench: &Bench) -> KeptSince {
    bench.reader().outcomes(0, 1).expect("read").kept
}

fn shrink(bench: &mut Bench, budget: u64) {
    bench.store().options.history_bytes_max = budget;
    let now = WallTime::from_unix_ms(1);
    while bench.store().upkeep(now).expect("upkeep").more {}
}

#[test]
fn pages_of_any_size_from_any_position_are_all_that_was_settled_behind_it() {
    let mut bench = Bench::new(options(3));
    // More than one row of the record has room for, and less.
    for of_a_commit in [1, 7, 300] {
        bench = Bench::new(bench.options.clone());
        settled(&mut bench, 600, of_a_commit);
        for after in [
            0,
            1,
            6,
            7,
            8,
            255,
            256,
            257,
            299,
            300,
            301,
            599,
            600,
            601,
            u64::MAX,
        ] {
            for entries_max in [1, 7, 256, 1000] {
                let expected: Vec<_> = (1..=600).filter(|row| *row > after).collect();
                assert_eq!(walk(&bench, after, entries_max), expected, "{after}");
            }
        }
    }
    assert_eq!(kept(&bench), KeptSince::default());
}

#[test]
fn what_is_left_of_forgotten_history_comes_in_order_and_the_store_says_since_when_all_is_kept() {
    let mut bench = Bench::new(options(1));
    settled(&mut bench, 600, 8);
    let full = bench.reader().facts().expect("facts").history_bytes;
    let (mut last, mut some_were_gone) = (KeptSince::default(), false);
    for budget in (0..full).rev().step_by(500).chain([0]) {
        shrink(&mut bench, budget);
        let kept = kept(&bench);
        assert!(kept.unconfirmed <= kept.all && kept.all <= 600, "{kept:?}");
        assert!(kept.all >= last.all && kept.unconfirmed >= last.unconfirmed);
        last = kept;
        let found = walk(&bench, 0, 50);
        for position in 1..=600 {
            let complete_after = match status(position) {
                Status::Confirmed => kept.all,
                _ => kept.unconfirmed,
            };
            let is_there = found.contains(&position);
            assert!(
                is_there || position <= complete_after,
                "{position}: {kept:?}"
            );
            // Not told as missing without need: where all has gone up to there.
            if is_there && status(position) == Status::Confirmed {
                assert!(position > kept.all, "{position}: {kept:?}");
            }
        }
        let returned = found.iter().filter(|position| **position % 10 == 0).count();
        some_were_gone |= kept.all > kept.unconfirmed && returned == 60;
        assert_eq!(
            walk(&bench, kept.all, 50),
            (kept.all + 1..=600).collect::<Vec<_>>()
        );
    }
    assert!(some_were_gone, "confirmed ones go before the others");
    assert_eq!((last.all, last.unconfirmed), (600, 600));
    assert_eq!(walk(&bench, 0, 50), Vec::<u64>::new());
}

#[test]
fn positions_go_on_where_they_were_after_a_power_cut_with_an_empty_record() {
    let options = Options {
        history_bytes_max: 0,
        ..options(1)
    };
    let mut bench = Bench::new(options);
    settled(&mut bench, 20, 5);
    shrink(&mut bench, 0);
    bench.cut_power();
    bench.open().expect("open");
    let page = bench.reader().outcomes(3, 10).expect("read");
    assert_eq!((page.outcomes.len(), page.reached, page.last), (0, 20, 20));
    assert_eq!((page.kept.all, page.kept.unconfirmed), (20, 20));
    bench.store().options.history_bytes_max = 1 << 20;
    let next = [one(21, "payload")];
    bench.store().commit(&accepting(&next)).expect("commit");
    let ended = [ended(&next[0])];
    bench.store().commit(&settling(&ended)).expect("commit");
    assert_eq!(walk(&bench, 3, 10), [21]);
    assert_eq!(walk(&bench, 21, 10), Vec::<u64>::new());
}
