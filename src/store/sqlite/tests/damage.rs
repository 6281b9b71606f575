//! Files that are not what they were: loud and specific, never a start with less.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::OpenError;
use super::{Bench, options};
use crate::domain::WallTime;
use crate::store::contract::samples::{accepted, accepting, confirmed, settling};
use crate::store::{ReadStore, StoreError, WriteStore};

/// A closed store with 200 pending messages and 100 settled ones.
fn closed() -> Bench {
    let mut bench = Bench::new(options(1));
    let all = accepted(300);
    bench.store().commit(&accepting(&all)).expect("commit");
    bench
        .store()
        .commit(&settling(&confirmed(&all[..100])))
        .expect("commit");
    bench.close();
    bench
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("write");
}

fn refusal(bench: &mut Bench) -> OpenError {
    bench.open().map(|_| ()).expect_err("it must not open")
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let whole = fs::metadata(closed().path()).expect("there").len();
    for left in [
        0,
        50,
        100,
        4095,
        4096,
        5000,
        whole / 4096 / 2 * 4096,
        whole - 4096,
        whole - 1,
    ] {
        let mut bench = closed();
        let file = OpenOptions::new()
            .write(true)
            .open(bench.path())
            .expect("open");
        file.set_len(left).expect("cut");
        for check_bytes_max in [0, 64 << 20] {
            bench.options.check_bytes_max = check_bytes_max;
            let error = refusal(&mut bench);
            let told = matches!(error, OpenError::Damaged { .. } | OpenError::Foreign { .. });
            assert!(told, "{left} bytes of {whole}: {error}");
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_before_anything_is_made_of_it() {
    let whole = fs::metadata(closed().path()).expect("there").len();
    let mut noticed = 0;
    let mut flips = 0;
    for at in (16..whole).step_by(997) {
        let mut bench = closed();
        flip(bench.path(), at);
        if bench.open().is_err() {
            noticed += 1;
        } else {
            // What is not noticed must be unused, or in a settled record, which has no checksum.
            let all: Vec<_> = bench.pending().into_iter().map(|one| one.message).collect();
            let expected: Vec<_> = accepted(300)
                .into_iter()
                .skip(100)
                .map(|one| one.message)
                .collect();
            assert_eq!(all, expected, "byte {at}");
        }
        flips += 1;
    }
    // Each empty table and index has a page of which most is unused, so no share can be told.
    assert!(noticed >= 20, "{noticed} of {flips}");
}

#[test]
fn a_flipped_bit_in_a_payload_is_noticed_when_it_is_read_at_the_latest() {
    let mut bench = closed();
    let content = fs::read(bench.path()).expect("read");
    let payload = content
        .windows(5)
        .rposition(|bytes| bytes == b"12345")
        .expect("a payload");
    flip(bench.path(), payload as u64);
    let error = refusal(&mut bench);
    assert!(error.to_string().contains("checksum"), "{error}");
    // A file too large to be read from end to end opens, and the message is not handed out.
    bench.options.check_bytes_max = 0;
    bench.open().expect("open");
    let read = bench.reader().pending(0, None, usize::MAX, usize::MAX);
    assert!(matches!(read, Err(StoreError::Fatal(_))), "{read:?}");
}

#[test]
fn a_log_that_lost_commits_in_its_middle_is_refused() {
    let mut bench = Bench::new(options(1));
    let all = accepted(20);
    for one in &all {
        bench
            .store()
            .commit(&accepting(std::slice::from_ref(one)))
            .expect("commit");
    }
    bench.kill();
    let log = bench.beside("-wal");
    let whole = fs::read(&log).expect("read");
    let frames = (whole.len() as u64 - 32) / 4120;
    assert!(frames > 20, "{frames}");
    for frame in 0..frames - 10 {
        fs::write(&log, &whole).expect("restore");
        flip(&log, 32 + frame * 4120 + 24 + 77);
        let error = refusal(&mut bench);
        assert!(
            error.to_string().contains("lost commits"),
            "frame {frame}: {error}"
        );
    }
    flip(&log, 32 + (frames - 11) * 4120 + 24 + 77);
    // Cut off amid the last commit, as a crash leaves it: the commit was never told.
    fs::write(&log, &whole[..whole.len() - 100]).expect("restore");
    bench.open().expect("open");
    assert_eq!(bench.pending().len(), 19);
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_alone() {
    let mut bench = closed();
    fs::write(bench.path(), vec![b'x'; 8192]).expect("write");
    assert!(matches!(refusal(&mut bench), OpenError::Foreign { .. }));
    assert_eq!(fs::read(bench.path()).expect("read"), vec![b'x'; 8192]);
    fs::remove_file(bench.path()).expect("remove");
    let other = rusqlite::Connection::open(bench.path()).expect("open");
    other
        .execute_batch("CREATE TABLE theirs (x)")
        .expect("create");
    drop(other);
    let error = refusal(&mut bench);
    assert!(error.to_string().contains("another application"), "{error}");
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let mut bench = closed();
    let other = rusqlite::Connection::open(bench.path()).expect("open");
    other
        .execute_batch("PRAGMA user_version = 99")
        .expect("set");
    drop(other);
    let error = refusal(&mut bench);
    assert!(
        matches!(error, OpenError::TooNew { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn a_log_without_its_database_is_not_taken_for_a_new_store() {
    let mut bench = Bench::new(options(1));
    bench
        .store()
        .commit(&accepting(&accepted(3)))
        .expect("commit");
    bench.kill();
    fs::remove_file(bench.path()).expect("remove");
    let error = refusal(&mut bench);
    assert!(error.to_string().contains("the file has gone"), "{error}");
}

#[test]
fn a_half_made_store_is_made_anew() {
    let mut bench = closed();
    fs::remove_file(bench.path()).expect("remove");
    fs::write(bench.beside(".new"), "half").expect("write");
    bench.open().expect("open");
    bench
        .store()
        .upkeep(WallTime::from_unix_ms(1))
        .expect("upkeep");
    assert_eq!(bench.pending().len(), 0);
}

#[test]
fn counters_that_contradict_the_rows_are_refused() {
    let mut bench = closed();
    let other = rusqlite::Connection::open(bench.path()).expect("open");
    other
        .execute_batch("UPDATE state SET confirmed = 99")
        .expect("set");
    drop(other);
    let error = refusal(&mut bench);
    assert!(
        error.to_string().contains("confirmed: the counter says 99"),
        "{error}"
    );
}
