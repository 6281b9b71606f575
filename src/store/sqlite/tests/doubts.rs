//! Which pending messages count as possibly duplicated after an end of either kind.

use super::{Bench, options};
use crate::domain::Turn;
use crate::store::contract::samples::{accepted, accepting};
use crate::store::{Batch, Note, WriteStore};

fn bench() -> Bench {
    Bench::new(options(1))
}

fn turn(turn: u64) -> Turn {
    Turn::from_stored(turn)
}

#[test]
fn after_a_crash_what_may_have_been_handed_over_is_doubtful_for_ever() {
    let mut bench = bench();
    let all = accepted(10);
    let batch = Batch {
        handed_to: Some(turn(4)),
        ..accepting(&all)
    };
    bench.store().commit(&batch).expect("commit");
    let flags = |bench: &Bench| -> Vec<_> {
        bench
            .pending()
            .iter()
            .map(|one| one.duplicate_possible)
            .collect()
    };
    assert!(!flags(&bench).contains(&true));
    bench.cut_power();
    assert!(!bench.open().expect("open").was_clean);
    let expected: Vec<_> = (1..=10).map(|row| row <= 4).collect();
    assert_eq!(flags(&bench), expected);
    // A clean end afterwards does not take the doubt away, and adds none.
    let batch = Batch {
        handed_to: Some(turn(7)),
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
    bench.close();
    assert!(bench.open().expect("open").was_clean);
    assert_eq!(flags(&bench), expected);
    // A crash right after the opening adds none either.
    bench.kill();
    assert!(!bench.open().expect("open").was_clean);
    assert_eq!(flags(&bench), expected);
}

#[test]
fn a_noted_doubt_survives_a_clean_end() {
    let mut bench = bench();
    let all = accepted(3);
    let noted = [Note {
        id: all[1].message.id,
        attempts: 3,
    }];
    let batch = Batch {
        noted: &noted,
        ..accepting(&all)
    };
    bench.store().commit(&batch).expect("commit");
    bench.close();
    bench.open().expect("open");
    let found: Vec<_> = bench
        .pending()
        .iter()
        .map(|one| (one.duplicate_possible, one.attempts))
        .collect();
    assert_eq!(found, [(false, 0), (true, 3), (false, 0)]);
}
