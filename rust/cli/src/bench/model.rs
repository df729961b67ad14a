//! Prefill and decoding by length, what decoding reads, memory, and the side file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lorekit_answer::CancelToken;
use lorekit_model::{LanguageModel, LoadOptions, Session};
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::{memory, repeat, timed, tokens};
use crate::error::Result;

/// A prompt as long as that of a question with three passages.
const FIRST_PROMPT: usize = 900;
/// Room of a session beyond its longest prompt.
const ROOM: usize = 256;

pub(super) fn measure(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let path = args.model_path(cancel)?;
    let options = args.load_options();
    // A missing side file is made here, and the pages that took are gone before memory is looked at.
    drop(LanguageModel::open(&path, &options)?);
    let before = memory();
    let longest = args.prompts.iter().copied().max().unwrap_or(0).max(1) + ROOM.max(args.decode + 1);
    let (load, (model, mut session)) = timed(|| {
        let model = LanguageModel::open(&path, &options)?;
        let session = model.new_session(longest)?;
        Ok((model, session))
    })?;
    let info = model.info();
    let weights = read_per_token(&model);
    let kv_per_token = session.cache_bytes() as f64 / session.capacity() as f64;
    let prompt = tokens(longest, info.vocab);

    session.prefill(&prompt[..prompt.len().min(128)], None, cancel)?;
    let mut decode = vec![decode_at(args, &mut session, 1, weights as f64, kv_per_token, cancel)?];
    let mut prefill = Vec::new();
    for &length in args.prompts.iter().filter(|length| **length > 0) {
        let time = repeat(args.repeats, || {
            session.truncate(0);
            session.prefill(&prompt[..length], None, cancel)?;
            Ok(())
        })?;
        prefill.push(json!({
            "tokens": length,
            "tok_s": length as f64 / time.wall,
            "cpu_ms_per_token": 1e3 * time.cpu / length as f64,
        }));
        if length >= 512 {
            decode.push(decode_at(args, &mut session, length, weights as f64, kv_per_token, cancel)?);
        }
    }
    let (most_anonymous, most_mapped) = peaks(&mut session, &prompt, longest - ROOM.max(args.decode + 1), cancel)?;
    let after = memory();
    let mut report = json!({
        "name": args.model,
        "file_bytes": info.file_bytes,
        "side_file_bytes": info.side_file_bytes,
        "context": longest,
        "load_ms": 1e3 * load.wall,
        "prefill": prefill,
        "decode": decode,
        "weights_read_per_token_bytes": weights,
        "kv_bytes_per_token": kv_per_token,
        "memory_before": before.json(),
        "memory": after.json(),
        "anonymous_peak_mib": most_anonymous,
        "mapped_peak_mib": most_mapped,
    });
    if longest > FIRST_PROMPT {
        let first = repeat(args.repeats, || {
            session.truncate(0);
            session.prefill(&prompt[..FIRST_PROMPT], None, cancel)?;
            Ok(())
        })?;
        report["first_token_ms"] = json!(1e3 * first.wall);
        report["first_token_prompt"] = json!(FIRST_PROMPT);
    }
    Ok(report)
}

/// Speed of decoding behind `depth` tokens that are in the session already.
fn decode_at(
    args: &BenchArgs,
    session: &mut Session,
    depth: usize,
    weights: f64,
    kv_per_token: f64,
    cancel: &CancelToken,
) -> Result<Value> {
    let next = tokens(args.decode.max(1), session.model().info().vocab);
    let time = repeat(args.repeats, || {
        session.truncate(depth);
        for token in &next {
            session.prefill(&[*token], None, cancel)?;
        }
        Ok(())
    })?;
    session.truncate(depth);
    let rate = next.len() as f64 / time.wall;
    // Layers with a window read less of the cache than this says.
    let read = weights + kv_per_token * (depth + next.len() / 2) as f64;
    Ok(json!({
        "depth": if depth == 1 { 0 } else { depth },
        "tok_s": rate,
        "cpu_ms_per_token": 1e3 * time.cpu / next.len() as f64,
        "read_gb_s": read * rate / 1e9,
    }))
}

/// Bytes of all matrices that a decoded token multiplies with, as the file stores them: all but a table that is only
/// looked up.
pub(super) fn read_per_token(model: &LanguageModel) -> u64 {
    let gguf = model.gguf();
    let separate_head = gguf.tensor("output.weight").is_some();
    let matrices = gguf.tensors().filter(|t| t.dims.len() >= 2 && !(separate_head && t.name == "token_embd.weight"));
    matrices.filter_map(|t| Some(gguf.tensor(&t.name)?.data.len() as u64)).sum()
}

/// The most anonymous and mapped memory while the longest prompt is computed and some tokens follow, in MiB, looked at
/// every two milliseconds.
fn peaks(session: &mut Session, prompt: &[u32], length: usize, cancel: &CancelToken) -> Result<(f64, f64)> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = (0.0f64, 0.0f64);
            loop {
                let last = done.load(Ordering::Relaxed);
                let now = memory();
                most = (most.0.max(now.anonymous), most.1.max(now.mapped));
                if last {
                    return most;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        session.truncate(0);
        let worked = session.prefill(&prompt[..length], None, cancel).map(drop).and_then(|()| {
            prompt[..8.min(length)].iter().try_for_each(|t| session.prefill(&[*t], None, cancel).map(drop))
        });
        done.store(true, Ordering::Relaxed);
        let most = watcher.join().unwrap_or_default();
        worked?;
        Ok(most)
    })
}

/// Makes the side file once more, in a folder of its own that is removed again.
pub(super) fn side_file(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let path = args.model_path(cancel)?;
    let Some(folder) = args.side_folder() else { return Ok(Value::Null) };
    let folder = folder.join(format!("bench-{}", std::process::id()));
    let options = LoadOptions { side_folder: Some(folder.clone()), ..args.load_options() };
    let outcome = timed(|| Ok(LanguageModel::open(&path, &options)?.info()));
    // What cannot be removed is a leftover in a cache folder.
    let _ = std::fs::remove_dir_all(&folder);
    let (time, info) = outcome?;
    Ok(json!({
        "made_in_ms": 1e3 * time.wall,
        "cpu_ms": 1e3 * time.cpu,
        "bytes": info.side_file_bytes,
        "model_bytes": info.file_bytes,
    }))
}
