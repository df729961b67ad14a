//! Times an embedder: opening, one query, a stream of passages; and its memory (Linux).
//!
//!     cargo run -p lorekit-model --example embed_speed -- MODEL.gguf [THREADS] [PASSAGES]

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use lorekit_model::embed::{Embedder, EmbedderOptions, Passage};

/// Some 150 tokens of Chinese for EmbeddingGemma.
const PASSAGE: &str = "第十二条 申请人应当提交下列材料：（一）身份证明；（二）收入证明；（三）住房情况证明。材料不齐的，受理机关应当\
一次性告知需要补正的全部内容。受理机关应当自受理之日起二十个工作日内完成审核；情况复杂的，经本机关负责人批准，可以延长十个工作日，\
并将延长期限的理由告知申请人。审核通过的，予以公示，公示期不少于十日；公示期满无异议的，发给保障资格证书。";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: embed_speed MODEL.gguf [THREADS] [PASSAGES]")?;
    let number = |index: usize, default| arguments.get(index).map_or(Ok(default), |text| text.parse::<usize>());
    let (threads, count) = (number(1, 2)?, number(2, 64)?);
    let cancel = Default::default();

    let begin = Instant::now();
    let embedder = Embedder::open(Path::new(path), &EmbedderOptions { threads, ..Default::default() })?;
    println!("open: {:.1} ms, anonymous {} KiB", ms(begin), anonymous_kib());
    let begin = Instant::now();
    println!("fingerprint: {} in {:.1} ms", embedder.fingerprint(), ms(begin));

    let query = "公租房申请需要哪些材料？";
    let begin = Instant::now();
    embedder.embed_query(query, &cancel)?;
    println!("first query: {:.1} ms", ms(begin));
    let mut times: Vec<f64> = (0..25)
        .map(|_| {
            let begin = Instant::now();
            embedder.embed_query(query, &cancel).map(|_| ms(begin))
        })
        .collect::<Result<_, _>>()?;
    times.sort_by(f64::total_cmp);
    println!("query of {} tokens: median {:.2} ms, best {:.2} ms", embedder.count_tokens(query)?, times[12], times[0]);

    let passages = vec![Passage { title: None, text: PASSAGE }; count];
    let begin = Instant::now();
    let out = embedder.embed_passages_reported(&passages, &mut |_| {}, &cancel)?;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{count} passages of {} tokens: {:.1} passages/s, {:.0} tokens/s, {threads} threads",
        out.tokens / count as u64,
        count as f64 / seconds,
        out.tokens as f64 / seconds,
    );
    println!("anonymous {} KiB", anonymous_kib());
    Ok(())
}

fn ms(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}

/// Anonymous resident memory, or 0 where the system does not tell.
fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
