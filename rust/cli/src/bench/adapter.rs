//! What an adapter on all linear layers costs.

use lorekit_answer::CancelToken;
use lorekit_model::{Adapter, AdapterPart, AdapterSet, LanguageModel};
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::{median, timed, tokens};
use crate::error::Result;

/// Tokens of the prompt.
const PROMPT: usize = 512;

/// Speed with and without, turn by turn, so that a busy moment meets both.
pub(super) fn measure(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let model = LanguageModel::open(&args.model_path(cancel)?, &args.load_options())?;
    let adapters = noise(&model, args.rank)?;
    let mut session = model.new_session(PROMPT + args.decode.max(1))?;
    let vocabulary = model.info().vocab;
    let (prompt, next) = (tokens(PROMPT, vocabulary), tokens(args.decode.max(1), vocabulary));
    session.prefill(&prompt[..64], Some(&adapters), cancel)?;
    let mut times: [[Vec<f64>; 2]; 2] = Default::default();
    for _ in 0..args.repeats.max(3) {
        for (with, adapters) in [None, Some(&adapters)].into_iter().enumerate() {
            session.truncate(0);
            let (prefill, ()) = timed(|| Ok(session.prefill(&prompt, adapters, cancel).map(drop)?))?;
            session.truncate(0);
            let (decode, ()) = timed(|| {
                next.iter().try_for_each(|token| session.prefill(&[*token], adapters, cancel).map(drop))?;
                Ok(())
            })?;
            times[0][with].push(prefill.wall);
            times[1][with].push(decode.wall);
        }
    }
    let [[prefill, prefill_with], [decode, decode_with]] = times.map(|of| of.map(median));
    Ok(json!({
        "rank": args.rank,
        "prefill_512_tok_s": PROMPT as f64 / prefill,
        "prefill_512_with_tok_s": PROMPT as f64 / prefill_with,
        "prefill_cost": prefill_with / prefill - 1.0,
        "decode_tok_s": next.len() as f64 / decode,
        "decode_with_tok_s": next.len() as f64 / decode_with,
        "decode_cost": decode_with / decode - 1.0,
    }))
}

/// An adapter of small numbers from a fixed seed on every matrix of the blocks.
fn noise(model: &LanguageModel, rank: usize) -> Result<AdapterSet> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut values = |n: usize| -> Vec<f32> {
        (0..n)
            .map(|_| {
                // Xorshift64 (Marsaglia, J. Stat. Softw. 8(14), 2003).
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 1e-3
            })
            .collect()
    };
    let matrices = model.gguf().tensors().filter(|t| t.name.starts_with("blk.") && t.dims.len() == 2);
    let parts = matrices.map(|t| AdapterPart {
        base: t.name.clone(),
        rank,
        a: values(rank * t.cols()),
        b: values(rank * t.rows()),
    });
    let parts = parts.collect();
    Ok(AdapterSet::single(Adapter::from_parts("noise", 1.0, parts, model)?))
}
