//! How fast attention and the small operations are here, as JSON lines:
//! `cargo run -p lorekit-kernels --example attention -- [threads]`.
//!
//! Shapes are those of one layer of SmolLM2-135M, Qwen2.5-0.5B and Gemma-3-270M, prefill of 512 rows and one decode
//! step, at some depths; milliseconds are medians.
#![allow(clippy::print_stdout)]

use lorekit_kernels::{KvLayer, ThreadPool, attend, attend_full, gelu_erf, rms_norm, silu_mul};
use std::time::{Duration, Instant};

fn main() {
    let threads = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(1);
    let pool = ThreadPool::new(threads);
    let values = |len: usize| (0..len).map(|i| ((i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect::<Vec<f32>>();
    for (model, n_heads, n_kv_heads, head_dim) in [("smollm2", 9, 3, 64), ("qwen2", 14, 2, 64), ("gemma3", 4, 1, 256)] {
        let width = n_kv_heads * head_dim;
        let mut kv = KvLayer::new(n_kv_heads, head_dim, 2560);
        kv.write(0, &values(2560 * width), &values(2560 * width));
        for (rows, before) in [(512, 0), (512, 1536), (1, 512), (1, 2048)] {
            let q = values(rows * n_heads * head_dim);
            let mut out = vec![0.0; q.len()];
            let ms = time(|| attend(&pool, &q, n_heads, &kv, before, None, 0.125, &mut out));
            let seen = rows * before + rows * (rows + 1) / 2;
            let gflops = (4 * seen * n_heads * head_dim) as f64 / ms / 1e6;
            println!(
                "{{\"op\":\"attend\",\"model\":\"{model}\",\"threads\":{threads},\"rows\":{rows},\"depth\":{before},\"ms\":{ms:.4},\"gflops\":{gflops:.1}}}"
            );
        }
    }
    let (rows, n_heads, head_dim) = (256, 12, 32);
    let q = values(rows * n_heads * head_dim);
    let mut out = vec![0.0; q.len()];
    let ms = time(|| attend_full(&pool, &q, &q, &q, rows, n_heads, n_heads, head_dim, None, 0.2, &mut out));
    println!("{{\"op\":\"attend_full\",\"model\":\"minilm\",\"threads\":{threads},\"rows\":{rows},\"ms\":{ms:.4}}}");
    let (gate, mut out) = (values(512 * 4864), vec![0.0; 512 * 4864]);
    let weight = vec![1.0; 4864];
    let ms = time(|| silu_mul(&pool, &gate, &gate, &mut out));
    println!("{{\"op\":\"silu_mul\",\"threads\":{threads},\"values\":{},\"ms\":{ms:.4}}}", out.len());
    let ms = time(|| gelu_erf(&pool, &mut out));
    println!("{{\"op\":\"gelu_erf\",\"threads\":{threads},\"values\":{},\"ms\":{ms:.4}}}", out.len());
    let ms = time(|| rms_norm(&pool, &gate, &weight, 1e-6, &mut out));
    println!("{{\"op\":\"rms_norm\",\"threads\":{threads},\"values\":{},\"ms\":{ms:.4}}}", out.len());
}

/// The median time of a call in milliseconds.
fn time(mut call: impl FnMut()) -> f64 {
    let (mut times, begin) = (Vec::new(), Instant::now());
    while begin.elapsed() < Duration::from_millis(200) || times.len() < 5 {
        let start = Instant::now();
        call();
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
