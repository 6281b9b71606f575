//! The judgement at the end of `scripts/soak` can fail.

#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const COLUMNS: [&str; 12] = [
    "seconds",
    "accepted_per_second",
    "machine_median_ms",
    "machine_p99_ms",
    "memory_bytes",
    "store_bytes",
    "descriptors",
    "threads",
    "pending_messages",
    "cpu_us_per_message",
    "latency_median_ms",
    "latency_p99_ms",
];

/// Samples over an hour where everything is flat, and `growing` grows tenfold.
fn samples(growing: &str) -> String {
    const SAMPLES: usize = 720;
    let mut table = COLUMNS.join(",") + "\n";
    for number in 0..SAMPLES {
        let flat = 100_000_000 + 1_000_000 * (number % 7);
        let value = |name: &str| match name {
            "seconds" => number * 5,
            _ if name == growing => flat + 9 * flat * number / SAMPLES,
            _ => flat,
        };
        let row = COLUMNS.map(|name| value(name).to_string()).join(",");
        let _ = writeln!(table, "{row}");
    }
    table
}

/// Whether the judgement is good, and its words.
fn judge(table: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().expect("there is room");
    std::fs::write(file.path(), table).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/soak");
    let judged = Command::new(script)
        .arg("--judge")
        .arg(file.path())
        .output();
    let judged = judged.expect("bash and python3 are there");
    let words = [judged.stdout, judged.stderr].concat();
    (
        judged.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    )
}

#[test]
fn what_is_flat_is_a_plateau_and_what_grows_is_none() {
    let (good, words) = judge(&samples("nothing"));
    assert!(good && !words.contains("GREW"), "{words}");
    for growing in &COLUMNS[4..] {
        let (good, words) = judge(&samples(growing));
        assert!(
            !good && words.matches("GREW").count() == 1,
            "{growing}: {words}"
        );
    }
}

#[test]
fn a_few_samples_say_nothing() {
    let table = samples("nothing");
    let few: Vec<_> = table.lines().take(20).collect();
    let (good, words) = judge(&few.join("\n"));
    assert!(!good && words.contains("too few"), "{words}");
}
