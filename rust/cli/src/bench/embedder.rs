//! Embedding: one query, and passages in batches.

use lorekit_answer::CancelToken;
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage};
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::{memory, repeat, timed};
use crate::error::Result;

/// The passage that is embedded; about 150 tokens of EmbeddingGemma.
const SAMPLE: &str = "投保人申请投保时，保险公司应当提示投保人如实告知被保险人的健康状况、职业和既往投保情况。投保人因重大过失未履行如实告知义务，\
对保险事故的发生有严重影响的，保险公司对合同解除前发生的保险事故不承担给付责任，但应当退还保险费。合同成立满二年的，保险公司不得解除合同；\
发生保险事故的，应当承担给付责任。被保险人在等待期内因疾病住院的，保险公司退还已交保险费，合同终止；因意外伤害住院的，不受等待期限制。";

pub(super) fn open(args: &BenchArgs, cancel: &CancelToken) -> Result<Embedder> {
    let path = args.embedder_path(cancel)?;
    let options = EmbedderOptions { threads: args.threads, side_folder: args.side_folder(), ..Default::default() };
    Ok(Embedder::open(&path, &options)?)
}

pub(super) fn measure(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    // Makes the side file where there is none.
    drop(open(args, cancel)?);
    let before = memory();
    let (load, embedder) = timed(|| open(args, cancel))?;
    let query = args.query.as_deref().unwrap_or(&args.question);
    for _ in 0..3 {
        embedder.embed_query(query, cancel)?;
    }
    let one = repeat(10 * args.repeats.max(3), || Ok(embedder.embed_query(query, cancel).map(drop)?))?;
    let inputs = vec![Passage { title: Some("人身保险条款"), text: SAMPLE }; 32];
    let batch = repeat(args.repeats, || Ok(embedder.embed_passages(&inputs, &mut |_| {}, cancel).map(drop)?))?;
    let after = memory();
    Ok(json!({
        "name": args.embedder,
        "load_ms": 1e3 * load.wall,
        "query_tokens": embedder.count_tokens(query)?,
        "query_ms": 1e3 * one.wall,
        "passages_per_s": inputs.len() as f64 / batch.wall,
        "passages_per_cpu_s": inputs.len() as f64 / batch.cpu,
        "passage_tokens": embedder.count_passage_tokens(&inputs[0])?,
        "memory_before": before.json(),
        "memory": after.json(),
    }))
}
