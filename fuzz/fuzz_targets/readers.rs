//! One target for all readers: `READER` names the one to fuzz, so that they share one build.
#![no_main]

use std::sync::LazyLock;

#[path = "../../tests/it/hostile/readers.rs"]
mod readers;

/// The reader that the environment names.
static READER: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("READER").expect("READER names the reader to fuzz, as in `READER=page`");
    let found = readers::READERS.iter().find(|(known, _)| *known == name);
    found.expect("there is a reader of that name in tests/it/hostile/readers.rs").1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (*READER)(bytes));
