//! Files that earlier versions made.

use rusqlite::Connection;

use super::super::migrations::{VERSION_1, VERSION_2};
use super::super::schema::{APPLICATION_ID, VERSION};
use super::super::{OpenError, operate};
use super::{Bench, options};
use crate::domain::{Caller, Reason, ReasonCode, RowId, Status, Turn, WallTime};
use crate::store::contract::samples::{accepting, confirmed, one, settlement, settling};
use crate::store::{
    Accepted, Batch, Filter, Lookup, PageSize, PayloadLookup, Pending, ReadStore, Replayable,
    Replayed, Tally, WriteStore,
};

/// Messages 1 to 3 are pending, 2 of them in the first partition, 4 was confirmed, 5 returned, and 6
/// to 9, confirmed before, were forgotten. Numbers are as the first version wrote them.
const ROWS: &str = "
INSERT INTO pending VALUES
    (1, 2177342782468422677, 136202048, 534, 0, 1, 0, 'log.exchange', 'key.1', NULL, 'their-id',
        x'0101000a746578742f706c61696e', CAST('12345' AS BLOB)),
    (3, 1920342328977880127, 320696218, 534, 0, 1, 0, 'log.exchange', 'key.3', NULL, NULL,
        NULL, CAST('12345' AS BLOB)),
    (1152921504606846978, 4354685564936845354, 905497645, 20534, 0, 1, 0, 'log.exchange', 'key.2',
        'order', NULL, NULL, CAST(replace(hex(zeroblob(10000)), '0', x'ab') AS BLOB));
INSERT INTO settled VALUES
    (4, 4097685111446302804, 5, 1, 2, 1, 0, 0, 7, 1, 0, 5, 113, 'log.exchange', 'key.4',
        NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 1663341875487337577, 6, 2, 2, 1, 0, 0, 8, 1, 0, 5, 132, 'log.exchange', 'key.5',
        NULL, NULL, 'no_route', 312, 'NO_ROUTE', 'nobody');
INSERT INTO payloads VALUES (5, 304003139, NULL, CAST('12345' AS BLOB));
INSERT INTO notes VALUES (1, 3);
INSERT INTO outcomes VALUES (5, 8, 113, x'050801010202');
UPDATE state SET partitions = 2, clean = 1, last_row = 9, horizon = 9, last_position = 6,
    confirmed_evicted_to = 4, confirmed = 1, returned = 1, history_bytes = 250, notes = 1,
    pending = CAST(x'02000000000000002c0400000000000001000000000000003650000000000000'
        || zeroblob(224) AS BLOB);
";

/// What the second version added: 10 is pending and 11 has failed, both of somebody with a name, the
/// first with a key.
const ROWS_OF_VERSION_2: &str = "
INSERT INTO callers VALUES (2, 'billing', 1, 0, 0, 1);
INSERT INTO pending VALUES
    (10, 3326683750974675154, 2, 3665052325, 534, 0, 1, 0, 'log.exchange', 'key.3', NULL, NULL,
        NULL, CAST('12345' AS BLOB));
INSERT INTO settled VALUES
    (11, 892340515015709927, 7, 3, 2, 4, 1, 0, 9, 1, 0, 5, 121, 'log.exchange', 'key.4',
        NULL, NULL, 'nacked', NULL, NULL, 'no', 2);
INSERT INTO payloads VALUES (11, 3338590284, NULL, CAST('12345' AS BLOB));
INSERT INTO outcomes VALUES (7, 9, 0, x'071603');
INSERT INTO idempotency_keys VALUES
    (10, 3326683750974675154, 2, 'their-key', CAST(replace(hex(zeroblob(16)), '0', x'07') AS BLOB));
UPDATE state SET last_row = 11, last_position = 7, failed = 1, history_bytes = 376,
    pending = CAST(x'03000000000000004206000000000000' || substr(pending, 17) AS BLOB);
";

fn made_by(steps: &str) -> Bench {
    let mut bench = Bench::new(options(2));
    bench.close();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(bench.beside(ending));
    }
    let file = Connection::open(bench.path()).expect("open");
    file.execute_batch(&format!(
        "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA application_id = {APPLICATION_ID}; {VERSION_1}; PRAGMA user_version = 1;
         PRAGMA journal_mode = WAL; {ROWS}; {steps}"
    ))
    .expect("a file of an earlier version");
    file.close().expect("close");
    bench
}

fn made_by_version_1() -> Bench {
    made_by("")
}

fn made_by_version_2() -> Bench {
    made_by(&format!(
        "{VERSION_2}; PRAGMA user_version = 2; {ROWS_OF_VERSION_2}"
    ))
}

fn was_pending() -> Vec<Pending> {
    let [mut first, mut second] = [one(1, "12345"), one(2, vec![0xab; 20_000])];
    let draft = |accepted: &mut Accepted| {
        let message = std::sync::Arc::make_mut(&mut accepted.message);
        std::mem::take(&mut message.draft.properties)
    };
    let properties = draft(&mut first);
    let message = std::sync::Arc::make_mut(&mut first.message);
    message.draft.properties = crate::domain::Properties {
        content_type: Some("text/plain".into()),
        message_id: Some("their-id".into()),
        ..properties
    };
    let message = std::sync::Arc::make_mut(&mut second.message);
    message.draft.ordering_key = Some("order".into());
    let recovered = |accepted: Accepted, attempts: u32| Pending {
        turn: accepted.message.id.row().into(),
        replays: 0,
        message: accepted.message,
        duplicate_possible: attempts > 0,
        attempts,
    };
    vec![
        recovered(first, 3),
        recovered(one(3, "12345"), 0),
        recovered(second, 0),
    ]
}

#[test]
fn a_file_of_version_1_is_brought_forward_with_everything_in_it() {
    let mut bench = made_by_version_1();
    let told = operate::info(bench.path()).expect_err("an earlier version");
    assert!(matches!(told, OpenError::TooOld { found: 1, .. }), "{told}");
    bench.open().expect("open");
    assert_eq!(bench.pending(), was_pending());
    let returned = Reason::told(ReasonCode::NoRoute, 312, "NO_ROUTE", "nobody");
    let [confirmed_one, returned_one] = [4, 5].map(|row| one(row, "12345").message.id);
    let Ok(Lookup::Found(record)) = bench.reader().get(returned_one) else {
        panic!("it was returned");
    };
    let outcome = record.outcome.as_ref().expect("an outcome");
    assert_eq!(
        (outcome.status, outcome.reason.as_ref()),
        (Status::Returned, Some(&returned))
    );
    let payload = bench.reader().payload(returned_one).expect("read");
    let PayloadLookup::Found(payload) = payload else {
        panic!("it was returned");
    };
    assert_eq!(payload.bytes.as_deref(), Some(&b"12345"[..]));
    let forgotten = one(7, "12345").message.id;
    assert_eq!(bench.reader().get(forgotten), Ok(Lookup::Expired));
    // All of it is the nameless caller's, in lists and in its tally.
    let filter = Filter {
        caller: Some(Caller::default()),
        ..Filter::default()
    };
    let size = PageSize {
        records_max: 10,
        examined_max: 10,
    };
    let page = bench.reader().list(&filter, None, size).expect("read");
    let rows: Vec<_> = page
        .records
        .iter()
        .map(|record| record.id.row().get())
        .collect();
    assert_eq!(rows, [5, 4, 3, 2, 1]);
    let tally = Tally {
        pending: 3,
        confirmed: 1,
        returned: 1,
        failed: 0,
    };
    assert_eq!(bench.reader().tally(Some(&Caller::default())), Ok(tally));
    assert_eq!(bench.reader().tally(None), Ok(tally));
    let failed = Filter {
        status: Some(Status::Returned),
        ..filter
    };
    let page = bench.reader().list(&failed, None, size).expect("read");
    assert_eq!(page.records, [*record]);
    // It goes on as any other.
    let all: Vec<_> = was_pending()
        .into_iter()
        .map(|one| one.message.id)
        .collect();
    let settled = [
        settlement(all[2], Status::Failed, 9),
        settlement(confirmed_one, Status::Failed, 9),
    ];
    bench.store().commit(&settling(&settled)).expect("commit");
    let next = [one(10, "12345")];
    bench.store().commit(&accepting(&next)).expect("commit");
    let ended = confirmed(&next);
    bench.store().commit(&settling(&ended)).expect("commit");
    let payload = bench.reader().payload(all[2]).expect("read");
    assert!(
        matches!(&payload, PayloadLookup::Found(payload)
            if payload.bytes.as_deref() == Some(&vec![0xab; 20_000][..])),
        "{payload:?}"
    );
    bench.kill();
    bench.open().expect("open");
    let tally = Tally {
        pending: 2,
        confirmed: 2,
        returned: 1,
        failed: 1,
    };
    assert_eq!(bench.reader().tally(None), Ok(tally));
}

#[test]
fn operators_read_a_file_that_was_brought_forward() {
    let mut bench = made_by_version_1();
    bench.options.vfs = None;
    bench.open().expect("open");
    let none: Vec<String> = Vec::new();
    assert_eq!(operate::check(bench.path()).expect("check"), none);
    let info = operate::info(bench.path()).expect("info");
    assert_eq!(
        (info.schema_version, info.facts.pending_messages()),
        (VERSION, 3)
    );
    assert_eq!(info.facts.last_row, Some(RowId::from_stored(9)));
    let listed = operate::list_pending(bench.path(), 0, None, 9).expect("list");
    assert_eq!(listed, was_pending()[..2]);
    let copy = bench.beside(".copy");
    operate::backup(bench.path(), &copy).expect("backup");
    assert_eq!(operate::check(&copy).expect("check"), none);
}

#[test]
fn a_migration_that_finds_the_disk_full_leaves_the_file_as_it_was() {
    let mut bench = made_by_version_1();
    bench.faults.fill_disk_after(3);
    let error = bench.open().map(|_| ()).expect_err("no room");
    assert!(matches!(error, OpenError::Full { .. }), "{error}");
    bench.open = None;
    bench.faults.heal();
    let told = operate::info(bench.path()).expect_err("still the earlier version");
    assert!(matches!(told, OpenError::TooOld { found: 1, .. }), "{told}");
    bench.open().expect("open");
    assert_eq!(bench.pending(), was_pending());
}

/// A message of somebody with a name, as it was accepted.
fn of_billing(row: u64) -> Accepted {
    let mut one = one(row, "12345");
    let draft = &mut std::sync::Arc::make_mut(&mut one.message).draft;
    draft.caller = Caller::named("billing").expect("a name");
    one
}

#[test]
fn a_file_of_version_2_is_brought_forward_with_everything_in_it() {
    let mut bench = made_by_version_2();
    let told = operate::info(bench.path()).expect_err("an earlier version");
    assert!(matches!(told, OpenError::TooOld { found: 2, .. }), "{told}");
    bench.open().expect("open");
    let [pending, failed] = [10, 11].map(of_billing);
    let all = bench.pending();
    let messages: Vec<_> = all.iter().map(|one| &one.message).collect();
    let first = was_pending();
    let [one, two, three] = &first[..] else {
        panic!("three were pending");
    };
    let expected = [one, two].map(|one| &one.message).into_iter();
    let expected: Vec<_> = (expected.chain([&pending.message, &three.message])).collect();
    assert_eq!(messages, expected);
    assert_eq!((all[0].attempts, all[2].replays), (3, 0));
    let billing = pending.message.draft.caller.clone();
    let keys = [(billing.clone(), Box::from("their-key"))];
    let used = bench.reader().used_keys(&keys, WallTime::default());
    let used = used.expect("read")[0].expect("it was used");
    assert_eq!((used.id, used.fingerprint.0), (pending.message.id, [7; 32]));
    let Ok(Lookup::Found(record)) = bench.reader().get(failed.message.id) else {
        panic!("it has failed");
    };
    assert_eq!(
        (record.group, record.deliver_at, record.give_up_at),
        (None, None, None)
    );
    // What failed before can be sent again now.
    let answer = bench.store().replayable(failed.message.id);
    let whole = Replayable::Yes {
        message: failed.message.clone(),
        replays: 0,
        duplicate_possible: true,
    };
    assert_eq!(answer, Ok(whole));
    let replayed = [Replayed {
        id: failed.message.id,
        turn: Turn::from_stored(12),
        partition: 1,
        at: WallTime::from_unix_ms(20),
    }];
    let batch = Batch {
        replayed: &replayed,
        ..Batch::default()
    };
    bench.store().commit(&batch).expect("commit");
    let tally = Tally {
        pending: 2,
        ..Tally::default()
    };
    assert_eq!(bench.reader().tally(Some(&billing)), Ok(tally));
    bench.kill();
    // The opening checks everything.
    bench.open().expect("open");
    let last = bench.pending().pop().expect("it is pending");
    assert_eq!((&last.message, last.turn.get()), (&failed.message, 12));
    assert_eq!((last.replays, last.duplicate_possible), (1, true));
}

#[test]
fn a_message_of_version_2_that_was_altered_is_noticed_after_it_was_brought_forward() {
    let mut bench = made_by_version_2();
    let file = Connection::open(bench.path()).expect("open");
    file.execute_batch("UPDATE pending SET exchange = 'another' WHERE key = 10")
        .expect("alter");
    file.close().expect("close");
    let error = bench.open().map(|_| ()).expect_err("it is damaged");
    assert!(error.to_string().contains("checksum"), "{error}");
}
