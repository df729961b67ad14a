//! How fast matrix products are here, as JSON lines: `cargo run -p lorekit-kernels --example gops -- [threads] [formats]`.
//!
//! One line per format and shape: the median, best and per-CPU-second rate in GOP/s (two operations per weight and row) and in GB/s of weights.
//! For one row also with weights that come from memory (`cold`), as in decoding.
#![allow(clippy::print_stdout)]

use lorekit_kernels::{Activations, Format, Matrix, ThreadPool, instruction_set, matmul};
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let threads = args.first().and_then(|arg| arg.parse().ok()).unwrap_or(1);
    let wanted = args.get(1).map_or("", String::as_str);
    let sizes: Vec<usize> =
        args.get(2).map_or(vec![1, 4, 512], |arg| arg.split(',').filter_map(|m| m.parse().ok()).collect());
    let pool = ThreadPool::new(threads);
    let n = 4864;
    for format in Format::ALL {
        if !wanted.is_empty() && !wanted.split(',').any(|name| name == format.name()) {
            continue;
        }
        let k = if format.block_len() == 256 { 1024 } else { 896 };
        let row = format.row_bytes(k).expect("whole blocks");
        for (m, cold) in sizes.iter().flat_map(|&m| [(m, true), (m, false)]) {
            if cold && m > 1 {
                continue;
            }
            let copies = if cold { (256 << 20) / (row * n) } else { 1 };
            let data = random_blocks(format, row * n * copies);
            let x: Vec<f32> = (0..m * k).map(|i| ((i * 7919) % 2003) as f32 / 1000.0 - 1.0).collect();
            let mut out = vec![0.0; m * n];
            let mut activations = Activations::new();
            activations.set(&pool, &x, k);
            let (mut times, begin, cpu) = (Vec::new(), Instant::now(), cpu_seconds());
            while begin.elapsed() < Duration::from_millis(300) || times.len() < 5 {
                let at = times.len() % copies * row * n;
                let w = Matrix::new(format, n, k, &data[at..at + row * n]).expect("whole rows");
                let start = Instant::now();
                matmul(&pool, w, &activations, &mut out);
                times.push(start.elapsed().as_secs_f64());
            }
            let cpu = cpu_seconds().zip(cpu).map_or(f64::NAN, |(now, before)| (now - before) / times.len() as f64);
            times.sort_by(f64::total_cmp);
            let (median, best) = (times[times.len() / 2], times[0]);
            let (ops, bytes) = (2.0 * (n * k * m) as f64, (n * row) as f64);
            println!(
                "{{\"isa\":\"{}\",\"threads\":{threads},\"format\":\"{}\",\"k\":{k},\"n\":{n},\"m\":{m},\"cold\":{cold},\"gops\":{:.1},\"best_gops\":{:.1},\"gops_per_cpu\":{:.1},\"gbps\":{:.1}}}",
                instruction_set(),
                format.name(),
                ops / median / 1e9,
                ops / best / 1e9,
                ops / cpu / 1e9,
                bytes / median / 1e9
            );
        }
    }
}

/// CPU time of all threads so far, where the system tells it (Linux); it stays right on a busy machine.
fn cpu_seconds() -> Option<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split(' ').next()?.parse::<f64>().ok()?;
    }
    Some(nanoseconds / 1e9)
}

/// Bytes that are valid blocks with small scales: random, with every exponent kept low.
fn random_blocks(format: Format, len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes: Vec<u8> = (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect();
    if format.block_len() == 1 {
        for value in bytes.chunks_exact_mut(format.block_bytes()) {
            let last = value.len() - 1;
            value[last] = 0x38 | (value[last] & 0x80);
        }
    }
    bytes
}
