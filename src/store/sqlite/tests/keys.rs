//! Idempotency keys live as long as they shall, whatever else goes.

use std::time::Duration;

use super::{Bench, Options, options};
use crate::domain::{Caller, Fingerprint, Status, WallTime};
use crate::store::contract::samples::{accepting, one, settlement, settling};
use crate::store::{Accepted, KeyUse, ReadStore, UsedKey, WriteStore};

const DAY: Duration = Duration::from_hours(24);

/// A message at this row, accepted with a key.
fn keyed(row: u64, key: &str) -> Accepted {
    let used = KeyUse {
        key: key.into(),
        fingerprint: Fingerprint([7; 32]),
    };
    Accepted {
        key: Some(Box::new(used)),
        ..one(row, "payload")
    }
}

/// The first row of a millisecond.
fn row(ms: u64) -> u64 {
    ms << 12
}

fn used(bench: &Bench, key: &str) -> Option<UsedKey> {
    let keys = [(Caller::default(), key.into())];
    let used = bench.reader().used_keys(&keys, WallTime::default());
    used.expect("read")[0]
}

fn upkeep(bench: &mut Bench, ms: u64) {
    let now = WallTime::from_unix_ms(ms);
    while bench.store().upkeep(now).expect("upkeep").more {}
}

fn day() -> u64 {
    u64::try_from(DAY.as_millis()).expect("few")
}

#[test]
fn a_key_is_forgotten_after_its_time_and_not_earlier() {
    let mut bench = Bench::new(Options {
        keys_kept: DAY,
        ..options(1)
    });
    // More than go at once.
    let mut all: Vec<_> = (0..3000)
        .map(|number| keyed(row(5000) + number, &number.to_string()))
        .collect();
    all.push(keyed(row(6000), "later"));
    bench.store().commit(&accepting(&all)).expect("commit");
    upkeep(&mut bench, 5000 + day());
    for key in ["0", "2999", "later"] {
        assert!(used(&bench, key).is_some(), "{key}");
    }
    upkeep(&mut bench, 6000 + day());
    for key in ["0", "1500", "2999"] {
        assert_eq!(used(&bench, key), None, "{key}");
    }
    assert!(used(&bench, "later").is_some());
    upkeep(&mut bench, 7000 + day());
    assert_eq!(used(&bench, "later"), None);
}

#[test]
fn a_key_outlives_the_history_of_its_message() {
    let mut bench = Bench::new(Options {
        keys_kept: DAY,
        history_age: Duration::from_secs(1),
        ..options(1)
    });
    let accepted = [keyed(row(5000), "k")];
    let id = accepted[0].message.id;
    bench.store().commit(&accepting(&accepted)).expect("commit");
    let settled = [settlement(id, Status::Confirmed, 5001)];
    bench.store().commit(&settling(&settled)).expect("commit");
    upkeep(&mut bench, 60_000);
    let gone = bench.reader().get(id).expect("read");
    assert_eq!(gone, crate::store::Lookup::Expired);
    assert_eq!(used(&bench, "k").map(|used| used.id), Some(id));
}
