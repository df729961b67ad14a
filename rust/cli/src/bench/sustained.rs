//! Decoding without a pause: whether the speed holds when the machine gets warm.

use std::time::{Duration, Instant};

use lorekit_answer::CancelToken;
use lorekit_model::LanguageModel;
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::tokens;
use crate::error::Result;

/// Length of a figure.
const STEP: Duration = Duration::from_secs(10);
/// The context that tokens are decoded behind, and where decoding returns to it.
const DEPTHS: (usize, usize) = (256, 768);

pub(super) fn measure(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let model = LanguageModel::open(&args.model_path(cancel)?, &args.load_options())?;
    let mut session = model.new_session(DEPTHS.1)?;
    let list = tokens(DEPTHS.1, model.info().vocab);
    session.prefill(&list[..DEPTHS.0], None, cancel)?;
    let begin = Instant::now();
    let whole = Duration::from_secs(args.sustained);
    let (mut rates, mut step, mut count) = (Vec::new(), Instant::now(), 0usize);
    while begin.elapsed() < whole {
        if session.position() == DEPTHS.1 {
            session.truncate(DEPTHS.0);
        }
        session.prefill(&[list[session.position()]], None, cancel)?;
        count += 1;
        if step.elapsed() >= STEP || begin.elapsed() >= whole {
            rates.push(count as f64 / step.elapsed().as_secs_f64());
            (step, count) = (Instant::now(), 0);
        }
    }
    let (first, last) = (rates.first().copied().unwrap_or(0.0), rates.last().copied().unwrap_or(0.0));
    Ok(json!({ "seconds": args.sustained, "tok_s_per_10_s": rates, "last_over_first": last / first }))
}
