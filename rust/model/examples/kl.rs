//! How far a compute path is from the f32 weights: KL divergence over text, beside llama.cpp's.
//!
//!     cargo run --release --example kl -- RESULT.json MODEL.gguf [--threads N] [--portable] [--windows N] [--side DIR]
//!
//! `RESULT.json` and the `RESULT.f32` beside it come from `scripts/kl.py`, which documents both formats and what the
//! *lumped* KL is: the 256 likeliest tokens are classes of their own, all others are one. One JSON object is printed;
//! `ratio` is our mean over llama.cpp's. `--side` reads the weights from a side file, which gives the same bits. With `--windows N` only the first N windows are measured, and no ratio given.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use lorekit_cancel::CancelToken;
use lorekit_model::{BackendChoice, LanguageModel, LoadOptions};
use serde::Deserialize;
use serde_json::{Value, json};

/// Positions whose full logits are held at a time.
const PIECE: usize = 64;

#[derive(Deserialize)]
struct Reference {
    model: String,
    vocab: usize,
    top: usize,
    windows: Vec<Window>,
    llama_cpp: Value,
}

#[derive(Deserialize)]
struct Window {
    language: String,
    tokens: Vec<u32>,
}

/// One position's f32 distribution.
struct Record {
    ids: Vec<usize>,
    logp: Vec<f64>,
    rest: f64,
}

impl Record {
    fn read(source: &mut impl Read, top: usize) -> std::io::Result<Self> {
        let mut bytes = vec![0; 8 * top + 4];
        source.read_exact(&mut bytes)?;
        let words: Vec<[u8; 4]> = bytes.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect();
        let float = |word: &[u8; 4]| f64::from(f32::from_le_bytes(*word));
        Ok(Self {
            ids: words[..top].iter().map(|word| u32::from_le_bytes(*word) as usize).collect(),
            logp: words[top..2 * top].iter().map(float).collect(),
            rest: float(&words[2 * top]),
        })
    }

    /// Lumped KL(self || softmax(logits)) and whether both have the same best token; `kept` is a scratch of zeros.
    fn compare(&self, logits: &[f32], kept: &mut [bool]) -> (f64, bool) {
        let best = (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        let largest = f64::from(logits[best]);
        for id in &self.ids {
            kept[*id] = true;
        }
        let (mut top, mut rest) = (0.0, 0.0);
        for (logit, kept) in logits.iter().zip(&*kept) {
            *(if *kept { &mut top } else { &mut rest }) += (f64::from(*logit) - largest).exp();
        }
        for id in &self.ids {
            kept[*id] = false;
        }
        let norm = largest + (top + rest).ln();
        let classes = self.ids.iter().zip(&self.logp);
        let shown: f64 = classes.map(|(id, p)| p.exp() * (p - (f64::from(logits[*id]) - norm))).sum();
        let rest = (rest / (top + rest)).max(1e-300).ln();
        (shown + self.rest.exp() * (self.rest - rest), best == self.ids[0])
    }
}

/// Sums over positions.
#[derive(Default)]
struct Sums {
    kl: Vec<f64>,
    same: usize,
    nll: f64,
    scored: usize,
}

impl Sums {
    fn report(&mut self) -> Value {
        self.kl.sort_by(f64::total_cmp);
        let n = self.kl.len().max(1);
        let at = |share: f64| self.kl.get(((n - 1) as f64 * share) as usize).copied().unwrap_or(0.0);
        json!({
            "positions": self.kl.len(),
            "mean_kl_lumped": self.kl.iter().sum::<f64>() / n as f64,
            "median_kl": at(0.5),
            "p99_kl": at(0.99),
            "same_top": self.same as f64 / n as f64,
            "perplexity": (self.nll / self.scored.max(1) as f64).exp(),
        })
    }
}

/// Negative log-likelihood of `next` under the softmax of `logits`.
fn nll(logits: &[f32], next: u32) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = logits.iter().map(|l| (f64::from(*l) - largest).exp()).sum();
    largest + sum.ln() - f64::from(logits[next as usize])
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: kl RESULT.json MODEL.gguf [--threads N] [--portable] [--windows N] [--side DIR]";
    let mut paths = Vec::new();
    let mut options = LoadOptions::default();
    let mut limit = usize::MAX;
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--threads" => options.threads = rest.next().ok_or(usage)?.parse()?,
            "--windows" => limit = rest.next().ok_or(usage)?.parse()?,
            "--side" => options.side_folder = Some(rest.next().ok_or(usage)?.into()),
            "--portable" => options.backend = BackendChoice::Portable(candle_core::Device::Cpu),
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let [result, gguf] = paths.as_slice() else { return Err(usage.into()) };
    let reference: Reference = serde_json::from_reader(BufReader::new(File::open(result)?))?;
    let mut records = BufReader::new(File::open(result.with_extension("f32"))?);
    let model = LanguageModel::open(gguf, &options)?;
    if model.info().vocab != reference.vocab {
        return Err(format!("{} tokens in the model, {} in the reference", model.info().vocab, reference.vocab).into());
    }
    let cancel = CancelToken::new();
    let longest = reference.windows.iter().map(|w| w.tokens.len()).max().ok_or("no windows")?;
    let mut session = model.new_session(longest)?;
    let mut kept = vec![false; reference.vocab];
    let mut sums: [(&str, Sums); 3] = [("all", Sums::default()), ("zh", Sums::default()), ("en", Sums::default())];
    for window in reference.windows.iter().take(limit) {
        session.truncate(0);
        for (at, piece) in window.tokens.chunks(PIECE).enumerate() {
            let logits = session.forward_all(piece, None, &cancel)?;
            for (i, row) in logits.chunks_exact(reference.vocab).enumerate() {
                let record = Record::read(&mut records, reference.top)?;
                if record.ids.iter().any(|id| *id >= reference.vocab) {
                    return Err("a token id beyond the vocabulary in the reference".into());
                }
                let (kl, same) = record.compare(row, &mut kept);
                let likelihood = window.tokens.get(at * PIECE + i + 1).map(|next| nll(row, *next));
                for (name, sum) in &mut sums {
                    if *name == "all" || *name == window.language {
                        sum.kl.push(kl);
                        sum.same += usize::from(same);
                        sum.nll += likelihood.unwrap_or(0.0);
                        sum.scored += usize::from(likelihood.is_some());
                    }
                }
            }
        }
    }
    let mut report = json!({ "model": reference.model, "threads": options.threads });
    for (name, sum) in &mut sums {
        let mut part = sum.report();
        let theirs = &reference.llama_cpp[*name]["mean_kl_lumped"];
        part["llama_cpp_mean_kl_lumped"] = theirs.clone();
        if limit >= reference.windows.len() {
            let ratio = theirs.as_f64().map(|t| part["mean_kl_lumped"].as_f64().unwrap_or(f64::NAN) / t);
            part["ratio"] = json!(ratio);
        }
        report[*name] = part;
    }
    println!("{report:#}");
    Ok(())
}
