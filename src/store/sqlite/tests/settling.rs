//! Settling many at once, on what the writer remembers: it may be wrong, and then nothing is lost of it.

use super::{Bench, alter, options};
use crate::store::contract::samples::{accepted, accepting, confirmed, settling};
use crate::store::sqlite::state::key;
use crate::store::{Accepted, Lookup, ReadStore as _, WriteStore as _};

/// Who of these has ended.
fn ended(bench: &Bench, all: &[Accepted]) -> Vec<bool> {
    let ended = |one: &Accepted| match bench.reader().get(one.message.id) {
        Ok(Lookup::Found(record)) => record.outcome.is_some(),
        _ => false,
    };
    all.iter().map(ended).collect()
}

#[test]
fn a_message_that_is_not_where_it_is_remembered_does_not_keep_the_others_from_ending() {
    let mut bench = Bench::new(options(1));
    let all = accepted(40);
    bench.store().commit(&accepting(&all)).expect("commit");
    let gone = all[17].message.id;
    let place = key(0, gone.row().into());
    alter(&bench, &format!("DELETE FROM pending WHERE key = {place}"));
    let settled = confirmed(&all);
    bench.store().commit(&settling(&settled)).expect("commit");
    let mut expected = vec![true; 40];
    expected[17] = false;
    assert_eq!(ended(&bench, &all), expected);
    let page = bench.reader().outcomes(0, 1000).expect("an answer");
    let positions: Vec<_> = page
        .outcomes
        .iter()
        .map(|(position, _)| *position)
        .collect();
    assert_eq!(positions, (1..=39).collect::<Vec<u64>>());
    let facts = bench.reader().facts().expect("an answer");
    assert_eq!((facts.confirmed, facts.last_position), (39, 39));
    // What was settled does not end a second time, whatever is remembered.
    bench.store().commit(&settling(&settled)).expect("commit");
    let again = bench.reader().facts().expect("an answer");
    assert_eq!((again.confirmed, again.last_position), (39, 39));
}
