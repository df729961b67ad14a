//! Coverage-guided fuzzing of everything that reads bytes from elsewhere: the pack and each of its sections, sealed
//! containers, deltas that are applied, the library's record. `cargo xtask fuzz` builds and runs it.
//!
//! libFuzzer gives the bytes and keeps those that reach new code. `cases` makes a whole file of them, with hashes and
//! signatures that match, so that hostile bytes are not stopped at the first checksum, and does with it what a device does.
//! Which part it is stands in `LOREKIT_FUZZ_PART`; `LOREKIT_FUZZ_SEEDS` names a folder that its seeds are written to.

#![no_main]
#![allow(clippy::unwrap_used)]

mod cases;
#[path = "../../store/tests/common/mod.rs"]
mod common;

use std::cell::RefCell;

use cases::Harness;

thread_local! {
    static HARNESS: RefCell<Harness> = RefCell::new(start());
}

fn start() -> Harness {
    let part = std::env::var("LOREKIT_FUZZ_PART").unwrap_or_default();
    let harness = Harness::new(&part).unwrap_or_else(|| panic!("LOREKIT_FUZZ_PART is one of {:?}", cases::PARTS));
    if let Some(folder) = std::env::var_os("LOREKIT_FUZZ_SEEDS") {
        for (number, seed) in harness.seeds().into_iter().enumerate() {
            std::fs::write(std::path::Path::new(&folder).join(format!("seed-{number}")), seed).unwrap();
        }
    }
    harness
}

libfuzzer_sys::fuzz_target!(
    init: HARNESS.with_borrow(|_| ()),
    |data: &[u8]| HARNESS.with_borrow_mut(|harness| harness.run(data))
);
