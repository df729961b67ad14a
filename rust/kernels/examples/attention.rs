//! Measures attention and what surrounds it, for the shapes of three small models; prints one JSON object a line.
//!
//! `cargo run -p lorekit-kernels --example attention [threads]`. Times are medians of wall clock, and of CPU time of
//! the calling thread where the system says it: on one thread the latter is right on a busy machine too.

#![allow(clippy::print_stdout)]

use lorekit_kernels::{KvLayer, KvType, RopeStyle, RopeTable, ThreadPool, attend};
use std::time::Instant;

/// CPU nanoseconds of this thread; 0 where the system does not say.
fn cpu_nanos() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

/// Medians of wall and CPU microseconds of one call.
fn measure(mut work: impl FnMut()) -> (f64, f64) {
    let start = Instant::now();
    work();
    // Each sample lasts some milliseconds.
    let calls = (8e-3 / start.elapsed().as_secs_f64()).ceil().clamp(1.0, 10_000.0) as usize;
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (start, cpu_start) = (Instant::now(), cpu_nanos());
        for _ in 0..calls {
            work();
        }
        wall.push(start.elapsed().as_secs_f64() * 1e6 / calls as f64);
        cpu.push((cpu_nanos() - cpu_start) / 1e3 / calls as f64);
    }
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    (wall[3], cpu[3])
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1);
    let pool = ThreadPool::new(threads);
    let noise = |n: usize| -> Vec<f32> {
        (0..n).map(|i| ((i * 2_654_435_761 + 12_345) % 65_537) as f32 / 32_768.0 - 1.0).collect()
    };
    for (model, n_heads, n_kv_heads, head_dim, window) in
        [("qwen2.5-0.5b", 14, 2, 64, None), ("smollm2-135m", 9, 3, 64, None), ("gemma3-270m", 4, 1, 256, Some(512))]
    {
        for (rows, before) in [(1, 512), (1, 2047), (512, 0), (256, 1792)] {
            let positions = before + rows;
            let width = n_kv_heads * head_dim;
            let mut kv = KvLayer::new(n_kv_heads, head_dim, positions, KvType::F16);
            kv.write(&pool, 0, &noise(positions * width), &noise(positions * width));
            let mut q = noise(rows * n_heads * head_dim);
            let mut out = vec![0.0; q.len()];
            let seen = |row: usize| (before + row + 1).min(window.unwrap_or(usize::MAX));
            let flops = 4.0 * (0..rows).map(seen).sum::<usize>() as f64 * (n_heads * head_dim) as f64;
            let (wall, cpu) = measure(|| attend(&pool, &q, n_heads, &kv, before, window, 0.125, &mut out));
            println!(
                "{{\"what\":\"attend\",\"model\":\"{model}\",\"threads\":{threads},\"rows\":{rows},\"before\":{before},\"wall_us\":{wall:.1},\"cpu_us\":{cpu:.1},\"gflops_wall\":{:.1},\"gflops_cpu\":{:.1}}}",
                flops / wall / 1e3,
                flops / cpu / 1e3
            );
            if before == 0 {
                let (k, v) = (noise(rows * width), noise(rows * width));
                let (wall, cpu) = measure(|| kv.write(&pool, 0, &k, &v));
                println!(
                    "{{\"what\":\"kv write\",\"model\":\"{model}\",\"rows\":{rows},\"wall_us\":{wall:.1},\"cpu_us\":{cpu:.1}}}"
                );
                let mut table = RopeTable::new(head_dim, 10_000.0, 1.0, None);
                table.ensure(rows);
                for style in [RopeStyle::Neox, RopeStyle::Interleaved] {
                    let (wall, cpu) = measure(|| table.apply(&pool, style, &mut q, n_heads, head_dim, 0));
                    println!(
                        "{{\"what\":\"rope {style:?}\",\"model\":\"{model}\",\"rows\":{rows},\"wall_us\":{wall:.1},\"cpu_us\":{cpu:.1}}}"
                    );
                }
            }
        }
    }
}
