//! The project's own commands. `cargo xtask` lists them.

use std::process::ExitCode;

mod aar;
mod accept;
mod bindings;
mod elf;
mod errors;
mod fuzz;
mod jvm;
mod kotlin;
mod main_job;
mod process;
mod scale;
mod size;
mod swift;
mod targets;
mod test;
mod xcframework;

const USAGE: &str = "\
cargo xtask main-job [--small] [--offline]   models, a sample pack, three questions, on this machine
cargo xtask test [--quick]                   formatter, lints, every test; --quick leaves the models out
cargo xtask test-arm [--all]                 kernels' tests for arm64 under emulation; --all: model and store too
cargo xtask check-targets [TARGET…]          types of the SDK's crates for Apple's and Android's systems
cargo xtask test-kotlin [--maven]            the Kotlin library on a JVM: API, scenarios, samples, examples
cargo xtask kotlin-console PACK EMBEDDER MODEL QUESTION…   the console example on files of your own
cargo xtask test-swift                       the Swift package on a Linux toolchain: scenarios, samples, examples
cargo xtask swift-console PACK EMBEDDER MODEL QUESTION…    the console example on files of your own
cargo xtask xcframework                      the library for the Swift package, on a Mac
cargo xtask bindings [--check]               generate both sides of the bridge, or compare them
cargo xtask fixtures DIR                     write the files that the scenarios of every language open
cargo xtask check-errors                     the error cases of Rust, Kotlin and Swift are the same
cargo xtask aar [--check-only]               the Android library; --check-only needs no NDK and is not for release
cargo xtask size [--write]                   what the shipped library weighs; --write renews docs/size.md
cargo xtask fuzz [--minutes N] [--keep] [PART…]   coverage-guided fuzzing; --keep renews the corpus that is kept
cargo xtask bench-scale [--rows N,…] [--dims N,…] [--json]   packs of many passages, beside other vector indexes
cargo xtask accept NAME [ARGS]               reproduce the figures of one area as JSON; names: main-job, speed, library";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.split_first() {
        Some((&"main-job", rest)) => main_job::run(rest),
        Some((&"test", rest)) => test::run(rest),
        Some((&"test-arm", rest)) => targets::test_arm(rest),
        Some((&"check-targets", rest)) => targets::check_targets(rest),
        Some((&"test-kotlin", rest)) => kotlin::run(rest),
        Some((&"kotlin-console", rest)) => kotlin::console(rest),
        Some((&"test-swift", rest)) => swift::run(rest),
        Some((&"swift-console", rest)) => swift::console(rest),
        Some((&"xcframework", rest)) => xcframework::run(rest),
        Some((&"bindings", rest)) => bindings::run(rest).and_then(|()| swift::generated(rest == ["--check"])),
        Some((&"fixtures", rest)) => bindings::fixtures(rest),
        Some((&"check-errors", rest)) => errors::run(rest),
        Some((&"aar", rest)) => aar::run(rest),
        Some((&"size", rest)) => size::run(rest),
        Some((&"fuzz", rest)) => fuzz::run(rest),
        Some((&"bench-scale", rest)) => scale::run(rest),
        Some((&"accept", rest)) => accept::run(rest),
        _ => Err(format!("usage:\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
