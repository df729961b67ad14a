//! EmbeddingGemma as plain candle computes it in f32, beside our embedder on the same passages, one processor each.
//!
//!     RAYON_NUM_THREADS=1 cargo run --release -p lorekit-model --example embed_f32 -- MODEL.gguf FOLDER [COUNT] [SIDE_FOLDER]
//!
//! Passages are paragraphs of the Markdown files of `FOLDER`, spread evenly. The f32 weights are those of the file,
//! dequantized; the operations are candle's own, one text at a time, as a program without kernels of its own would
//! write it. Prints one JSON object: passages per processor second of both, their ratio, and how close the vectors are.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};

use candle_core::{D, Device, IndexOp, Tensor};
use candle_nn::ops::{rms_norm, softmax_last_dim};
use candle_nn::rotary_emb::rope;
use lorekit_model::embed::{Embedder, EmbedderOptions, Passage};
use lorekit_model::{Gguf, Tokenizer};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// EmbeddingGemma's words before a passage without a title.
const PREFIX: &str = "title: none | text: ";

struct Layer {
    windowed: bool,
    input_norm: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_norm: Tensor,
    k_norm: Tensor,
    output: Tensor,
    attention_norm: Tensor,
    feed_forward_norm: Tensor,
    gate: Tensor,
    up: Tensor,
    down: Tensor,
    output_norm: Tensor,
}

struct Plain<'a> {
    gguf: &'a Gguf,
    tokenizer: Tokenizer,
    layers: Vec<Layer>,
    final_norm: Tensor,
    dense: Vec<Tensor>,
    hidden: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    reach: usize,
    eps: f32,
    theta: [f32; 2],
    most: usize,
}

fn weight(gguf: &Gguf, name: &str) -> Result<Tensor> {
    let tensor = gguf.require_tensor(name)?;
    let (rows, cols) = (tensor.info.rows(), tensor.info.cols());
    let values = Tensor::from_vec(tensor.to_f32(), (rows, cols), &Device::Cpu)?;
    Ok(if rows == 1 { values.squeeze(0)? } else { values.t()? })
}

impl<'a> Plain<'a> {
    fn open(gguf: &'a Gguf, most: usize) -> Result<Self> {
        let number = |key: &str| gguf.require_u32(&format!("gemma-embedding.{key}")).map(|n| n as usize);
        let real = |key: &str| gguf.f32(&format!("gemma-embedding.{key}"));
        let layers = (0..number("block_count")?)
            .map(|i| {
                let get = |name: &str| weight(gguf, &format!("blk.{i}.{name}.weight"));
                Ok(Layer {
                    windowed: (i + 1) % 6 != 0,
                    input_norm: get("attn_norm")?,
                    q: get("attn_q")?,
                    k: get("attn_k")?,
                    v: get("attn_v")?,
                    q_norm: get("attn_q_norm")?,
                    k_norm: get("attn_k_norm")?,
                    output: get("attn_output")?,
                    attention_norm: get("post_attention_norm")?,
                    feed_forward_norm: get("ffn_norm")?,
                    gate: get("ffn_gate")?,
                    up: get("ffn_up")?,
                    down: get("ffn_down")?,
                    output_norm: get("post_ffw_norm")?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            gguf,
            tokenizer: Tokenizer::from_gguf(gguf)?,
            layers,
            final_norm: weight(gguf, "output_norm.weight")?,
            dense: ["dense_2.weight", "dense_3.weight"].iter().map(|name| weight(gguf, name)).collect::<Result<_>>()?,
            hidden: number("embedding_length")?,
            heads: number("attention.head_count")?,
            kv_heads: number("attention.head_count_kv")?,
            head_dim: number("attention.key_length")?,
            reach: number("attention.sliding_window")? / 2,
            eps: real("attention.layer_norm_rms_epsilon").ok_or("no epsilon")?,
            theta: [real("rope.freq_base").ok_or("no base")?, real("rope.freq_base_swa").unwrap_or(10_000.0)],
            most,
        })
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let mut tokens = self.tokenizer.encode(&format!("{PREFIX}{text}"))?;
        tokens.truncate(self.most - 2);
        tokens.insert(0, self.tokenizer.bos().ok_or("no start token")?);
        tokens.push(self.tokenizer.eos().ok_or("no end token")?);
        let n = tokens.len();
        let table = self.gguf.require_tensor("token_embd.weight")?.matrix()?;
        let mut rows = vec![0.0; n * self.hidden];
        for (row, token) in rows.chunks_exact_mut(self.hidden).zip(&tokens) {
            table.dequantize_row(*token as usize, row);
        }
        let mut x = (Tensor::from_vec(rows, (n, self.hidden), &Device::Cpu)? * (self.hidden as f64).sqrt())?;
        let tables = [self.rotations(n, self.theta[0])?, self.rotations(n, self.theta[1])?];
        let mask: Vec<f32> =
            (0..n * n).map(|i| if (i / n).abs_diff(i % n) > self.reach { f32::NEG_INFINITY } else { 0.0 }).collect();
        let mask = (n > self.reach).then(|| Tensor::from_vec(mask, (n, n), &Device::Cpu)).transpose()?;
        for layer in &self.layers {
            let y = rms_norm(&x, &layer.input_norm, self.eps)?;
            let mask = mask.as_ref().filter(|_| layer.windowed);
            let y = self.attention(layer, &y, &tables[usize::from(layer.windowed)], mask)?;
            x = (x + rms_norm(&y, &layer.attention_norm, self.eps)?)?;
            let y = rms_norm(&x, &layer.feed_forward_norm, self.eps)?;
            let y = (y.matmul(&layer.gate)?.gelu()? * y.matmul(&layer.up)?)?.matmul(&layer.down)?;
            x = (x + rms_norm(&y, &layer.output_norm, self.eps)?)?;
        }
        let mut y = rms_norm(&x, &self.final_norm, self.eps)?.mean_keepdim(0)?;
        for dense in &self.dense {
            y = y.matmul(dense)?;
        }
        let y = y.broadcast_div(&y.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?)?;
        Ok(y.i(0)?.to_vec1()?)
    }

    fn attention(
        &self,
        layer: &Layer,
        x: &Tensor,
        (cos, sin): &(Tensor, Tensor),
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let n = x.dim(0)?;
        let split = |y: Tensor, heads: usize| y.reshape((1, n, heads, self.head_dim))?.transpose(1, 2)?.contiguous();
        let q = split(x.matmul(&layer.q)?, self.heads)?;
        let k = split(x.matmul(&layer.k)?, self.kv_heads)?;
        let v = split(x.matmul(&layer.v)?, self.kv_heads)?;
        let q = rope(&rms_norm(&q, &layer.q_norm, self.eps)?, cos, sin)?;
        let k = rope(&rms_norm(&k, &layer.k_norm, self.eps)?, cos, sin)?;
        let group = self.heads / self.kv_heads;
        let shared = |y: Tensor| -> candle_core::Result<Tensor> {
            let wide = y.unsqueeze(2)?.broadcast_as((1, self.kv_heads, group, n, self.head_dim))?;
            wide.contiguous()?.reshape((1, self.heads, n, self.head_dim))
        };
        let scores = (q.matmul(&shared(k)?.t()?)? * (1.0 / (self.head_dim as f64).sqrt()))?;
        let scores = mask.map_or(Ok(scores.clone()), |mask| scores.broadcast_add(mask))?;
        let y = softmax_last_dim(&scores)?.matmul(&shared(v)?)?;
        let y = y.transpose(1, 2)?.reshape((n, self.heads * self.head_dim))?;
        Ok(y.matmul(&layer.output)?)
    }

    fn rotations(&self, n: usize, theta: f32) -> Result<(Tensor, Tensor)> {
        let half = self.head_dim / 2;
        let angle = |i: usize| (i / half) as f32 * theta.powf(-((i % half) as f32) / half as f32);
        let angles = Tensor::from_vec((0..n * half).map(angle).collect::<Vec<f32>>(), (n, half), &Device::Cpu)?;
        Ok((angles.cos()?, angles.sin()?))
    }
}

/// `count` paragraphs of 60 to 600 characters, evenly spread over the files below `folder`.
fn paragraphs(folder: &Path, count: usize) -> Result<Vec<String>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        all.extend(
            text.split("\n\n").map(str::trim).filter(|p| (60..600).contains(&p.chars().count())).map(str::to_owned),
        );
    }
    let n = count.min(all.len());
    Ok((0..n).map(|i| all[i * all.len() / n].clone()).collect())
}

/// Processor time of all threads, in seconds; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(of).sum::<f64>() / 1e9
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, rest @ ..] = arguments.as_slice() else {
        return Err("usage: embed_f32 MODEL.gguf FOLDER [COUNT] [SIDE_FOLDER]".into());
    };
    let count = rest.first().map_or(Ok(48), |n| n.parse::<usize>())?.max(3);
    let texts = paragraphs(Path::new(folder), count)?;
    if texts.is_empty() {
        return Err("no paragraph of 60 to 600 characters".into());
    }
    let gguf = Gguf::open(Path::new(model))?;
    let options = EmbedderOptions { threads: 1, side_folder: rest.get(1).map(PathBuf::from), ..Default::default() };
    let ours = Embedder::open(Path::new(model), &options)?;
    let plain = Plain::open(&gguf, ours.max_tokens())?;
    let cancel = Default::default();
    ours.embed_query(&texts[0], &cancel)?;
    plain.embed(&texts[0])?;
    let (mut seconds, mut cosines, mut tokens) = ([0.0; 2], Vec::new(), 0);
    // By turns, so that a busy moment of the machine meets both.
    for some in texts.chunks(texts.len().div_ceil(3)) {
        let passages: Vec<Passage<'_>> = some.iter().map(|text| Passage { title: None, text }).collect();
        let before = cpu_seconds();
        let fast = ours.embed_passages_reported(&passages, &mut |_| {}, &cancel)?;
        seconds[0] += cpu_seconds() - before;
        tokens += fast.tokens;
        let before = cpu_seconds();
        let slow = some.iter().map(|text| plain.embed(text)).collect::<Result<Vec<_>>>()?;
        seconds[1] += cpu_seconds() - before;
        let dot = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        cosines.extend(fast.vectors.iter().zip(&slow).map(dot));
    }
    let lowest = cosines.iter().copied().fold(f64::INFINITY, f64::min);
    if lowest < 0.99 {
        return Err(format!("the two compute different things: a cosine of {lowest}").into());
    }
    let [fast, slow] = seconds.map(|s| texts.len() as f64 / s);
    println!(
        "{}",
        json!({
            "passages": texts.len(), "tokens": tokens,
            "passages_per_core_second": fast, "candle_f32_passages_per_core_second": slow, "ratio": fast / slow,
            "cosine_mean": cosines.iter().sum::<f64>() / cosines.len() as f64, "cosine_lowest": lowest,
            "candle_threads": std::env::var("RAYON_NUM_THREADS").unwrap_or_default(),
        })
    );
    Ok(())
}
