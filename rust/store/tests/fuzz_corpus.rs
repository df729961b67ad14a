//! What the fuzzer found worth keeping, and what it once found, run once more: nothing of it panics or breaks a promise.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../../fuzz/src/cases/mod.rs"]
mod cases;
mod common;

use std::path::Path;

use cases::{Harness, PARTS};

#[test]
fn each_input_of_the_corpus_ends_in_an_error_or_a_sound_library() {
    for part in PARTS {
        let mut harness = Harness::new(part).unwrap();
        harness.seeds().iter().for_each(|seed| harness.run(seed));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(part);
        let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "no corpus for {part}");
        for input in inputs {
            // A panic names no file; this line, which the test prints when it fails, does.
            println!("{}", input.display());
            harness.run(&std::fs::read(&input).unwrap());
        }
    }
}
