//! Every test, on a bare machine.

use crate::process::{root, step};

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
        for model in MODELS {
            let pull =
                ["run", "--quiet", "--locked", "-p", "lorekit-cli", "--bin", "lore", "--", "models", "pull", model];
            if let Err(reason) = step("fetching a model for the tests", "cargo", &pull) {
                eprintln!("   {reason}: tests that need {model} will say 'skipped'");
            }
        }
    }
    step("tests", "cargo", &["test", "--workspace", "--locked", "--", "--nocapture", "--test-threads=2"])?;
    eprintln!("\nall tests passed in {}", root().display());
    Ok(())
}
