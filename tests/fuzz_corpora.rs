//! What the fuzzer found worth keeping, once more. `scripts/fuzz` looks for more.

#![allow(clippy::panic, reason = "a failed expectation ends a test by a panic")]
#![allow(unreachable_pub, reason = "the fuzzer and this test share the file")]

#[path = "../fuzz/checks.rs"]
mod checks;

use std::path::Path;

#[test]
fn every_input_that_is_kept_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, check) in checks::TARGETS {
        let inputs = std::fs::read_dir(corpora.join(target)).expect("every target has a corpus");
        let mut checked = 0;
        for input in inputs {
            check(&std::fs::read(input.expect("a file").path()).expect("a file"));
            checked += 1;
        }
        assert!(checked > 0, "{target} has no inputs");
    }
}
