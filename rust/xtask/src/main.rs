//! The project's own commands. `cargo xtask` lists them.

use std::process::ExitCode;

mod accept;
mod main_job;
mod process;
mod targets;
mod test;

const USAGE: &str = "\
cargo xtask main-job [--small] [--offline]   models, a sample pack, three questions, on this machine
cargo xtask test [--quick]                   formatter, lints, every test; --quick leaves the models out
cargo xtask test-arm [--all]                 kernels' tests for arm64 under emulation; --all: model and store too
cargo xtask check-targets [TARGET…]          types of the SDK's crates for Apple's and Android's systems
cargo xtask accept NAME [ARGS]               reproduce the figures of one area as JSON; names: main-job";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.split_first() {
        Some((&"main-job", rest)) => main_job::run(rest),
        Some((&"test", rest)) => test::run(rest),
        Some((&"test-arm", rest)) => targets::test_arm(rest),
        Some((&"check-targets", rest)) => targets::check_targets(rest),
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
