//! From the start of a process to the first token of a short prompt: what a user waits for after opening an app.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use lorekit_answer::CancelToken;
use lorekit_model::{LanguageModel, Tokenizer};
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::median;
use crate::error::{CliError, Result};

/// The short prompt; about ten tokens.
const PROMPT: &str = "The three largest cities of the country are";
/// Room for prompt and answer, as for llama.cpp beside it.
const CONTEXT: usize = 2_304;

/// Starts this program again and again and waits for the first token to be printed.
pub(super) fn measure(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let path = args.model_path(cancel)?;
    // The side file is made at the first opening of all, once.
    drop(LanguageModel::open(&path, &args.load_options())?);
    let program = std::env::current_exe()?;
    let mut times = Vec::new();
    for run in 0..=args.repeats.max(3) {
        let start = Instant::now();
        let mut command = Command::new(&program);
        command.args(["bench", "--first-token", "--offline", "--threads", &args.threads.to_string()]);
        command.arg("--model").arg(&path);
        if let Some(folder) = args.side_folder() {
            command.arg("--side").arg(folder);
        } else {
            command.args(["--side", "none"]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut first = [0];
        let read = child.stdout.take().map(|mut out| out.read(&mut first)).transpose()?;
        let time = start.elapsed();
        if !child.wait()?.success() || read != Some(1) {
            return Err(CliError::Usage("the process that was started gave no token".into()));
        }
        // The first brings files and program into memory.
        if run > 0 {
            times.push(1e3 * time.as_secs_f64());
        }
    }
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(json!({ "first_token_ms": median(times), "best_ms": best, "context": CONTEXT, "prompt": PROMPT }))
}

/// The process that is started: opens the model, computes the prompt, prints the likeliest token.
pub(super) fn first_token(args: &BenchArgs, cancel: &CancelToken) -> Result<()> {
    let model = LanguageModel::open(&args.model_path(cancel)?, &args.load_options())?;
    let tokenizer = Tokenizer::from_gguf(model.gguf())?;
    let mut session = model.new_session(CONTEXT)?;
    let logits = session.prefill(&tokenizer.encode(PROMPT)?, None, cancel)?;
    let best = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{best} {}", tokenizer.token_text(best as u32))?;
    Ok(out.flush()?)
}
