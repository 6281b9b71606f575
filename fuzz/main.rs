//! The fuzz targets behind libFuzzer, which owns `main`. `AMQPOST_FUZZ_TARGET` says which one.

#![no_main]

mod checks;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let check = TARGET.get_or_init(|| {
        let wanted = std::env::var("AMQPOST_FUZZ_TARGET").unwrap_or_default();
        let target = checks::TARGETS.iter().find(|(name, _)| *name == wanted);
        target.expect("AMQPOST_FUZZ_TARGET names a target").1
    });
    check(bytes);
});
