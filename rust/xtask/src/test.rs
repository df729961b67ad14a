//! Every test, on a bare machine.

use std::path::PathBuf;

use crate::process::{capture, root, step, step_in, target};
use crate::{aar, bindings, errors, jvm, kotlin, swift, targets};

/// Models that tests use; those that cannot be fetched make their tests say "skipped".
const MODELS: &[&str] =
    &["smollm2-135m-instruct", "minilm-l6-v2", "qwen2.5-coder-0.5b-instruct", "gemma3-270m", "embeddinggemma-300m"];

pub fn run(args: &[&str]) -> Result<(), String> {
    let quick = match args {
        [] => false,
        ["--quick"] => true,
        _ => return Err("test takes --quick or nothing".into()),
    };
    step("formatting", "cargo", &["fmt", "--all", "--check"])?;
    step(
        "lints",
        "cargo",
        &["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"],
    )?;
    step("building the tests", "cargo", &["test", "--workspace", "--locked", "--quiet", "--no-run"])?;
    if quick {
        eprintln!("\n== models are left out: tests that need one say 'skipped'");
    } else {
        step("building lore", "cargo", &["build", "--workspace", "--locked", "--quiet", "--bin", "lore"])?;
        for model in MODELS {
            let pull = ["models", "pull", model, "--keep-source"];
            if let Err(reason) = step("fetching a model for the tests", &lore(), &pull) {
                eprintln!("   {reason}: tests that need {model} will say 'skipped'");
            }
        }
    }
    let mut places = Vec::new();
    if let Some(cache) = cache_root() {
        places.push(("LOREKIT_CACHE", cache));
    }
    let laws = root().join("../shared/data/laws-finance/v2");
    if laws.is_dir() {
        places.push(("LOREKIT_LAWS", laws));
    }
    step_in("tests", "cargo", &["test", "--workspace", "--locked", "--", "--nocapture", "--test-threads=2"], &places)?;
    errors::run(&[])?;
    bindings::run(&["--check"])?;
    let skipped = [
        // A toolchain that cannot be had here is no failure of the library; what it does with one is.
        with("Kotlin", jvm::Jvm::obtain().map(drop), || kotlin::run(&[]).and_then(|()| aar::run(&["--check-only"])))?,
        with("arm64", targets::toolchain().flatten().map(drop), || targets::test_arm(&[]))?,
        with("Swift", swift::toolchain().map(drop), || swift::run(&[]))?,
    ];
    eprintln!("\nall tests passed in {}", root().display());
    for reason in skipped.into_iter().flatten() {
        eprintln!("skipped: {reason}");
    }
    Ok(())
}

/// Runs the tests of a language or a processor, or says why they are skipped.
fn with(
    name: &str,
    toolchain: Result<(), String>,
    tests: impl FnOnce() -> Result<(), String>,
) -> Result<Option<String>, String> {
    match toolchain {
        Ok(()) => tests().map(|()| None),
        Err(reason) => Ok(Some(format!("the {name} tests, because {reason}"))),
    }
}

/// The command, as the tests' build made it: with the features of the whole workspace, so that nothing is built twice.
fn lore() -> String {
    target().join("debug/lore").display().to_string()
}

/// The folder of the model cache, as the command that fills it sees it.
fn cache_root() -> Option<PathBuf> {
    let printed = capture(&lore(), &["models", "path", MODELS[0]]).ok()?;
    // …/models/NAME/model.gguf
    Some(PathBuf::from(printed.trim()).ancestors().nth(3)?.to_path_buf())
}
