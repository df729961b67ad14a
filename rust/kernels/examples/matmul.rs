//! Speed of quantized products by format, layout and number of activation rows: GOP/s, and GB/s of weights read.
//!
//! `cargo run --release -p lorekit-kernels --example matmul -- [THREADS [MEGABYTES]]` prints one JSON object a line. The
//! weights of a figure take MEGABYTES (default 128) in all, more than caches hold, and are read one after the other, as
//! when a token is decoded.

#![allow(clippy::print_stdout)]

use lorekit_kernels::{Activations, Format, Matrix, ThreadPool, instruction_set, matmul, pack, packed_bytes};
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let threads = args.next().unwrap_or(2);
    let megabytes = args.next().unwrap_or(128);
    let pool = ThreadPool::new(threads);
    for (format, rows, cols) in [
        (Format::Q5_0, 4864, 896),
        (Format::Q8_0, 16384, 896),
        (Format::Q4K, 896, 4864),
        (Format::Q6K, 896, 4864),
        (Format::Q4_1, 1536, 576),
        (Format::Q8_0, 384, 384),
    ] {
        let own_bytes = format.row_bytes(cols).expect("whole blocks") * rows;
        let copies = (megabytes * 1_000_000 / own_bytes).max(1);
        // Any bits are valid quants; scales must be small numbers.
        let mut data: Vec<u8> = (0..own_bytes).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8 & 0x2f).collect();
        data.truncate(own_bytes);
        let own: Vec<Vec<u8>> = vec![data; copies];
        let mut packed = vec![vec![0u8; packed_bytes(format, rows, cols).expect("packable")]; copies];
        for (own, packed) in own.iter().zip(&mut packed) {
            pack(&pool, Matrix::new(format, rows, cols, own).expect("its shape"), packed).expect("packable");
        }
        for (layout, all) in [("file", &own), ("packed", &packed)] {
            for m in [1usize, 2, 4, 8, 12, 16, 32, 128, 512] {
                let x: Vec<f32> = (0..m * cols).map(|i| (i % 37) as f32 / 18.0 - 1.0).collect();
                let mut activations = Activations::new();
                activations.set(&pool, &x, cols);
                let mut out = vec![0.0; m * rows];
                let some = if m > 16 { &all[..copies.div_ceil(m / 8)] } else { &all[..] };
                let mut times: Vec<f64> = (0..5)
                    .map(|_| {
                        let started = Instant::now();
                        for data in some {
                            let w = match layout {
                                "file" => Matrix::new(format, rows, cols, data),
                                _ => Matrix::packed(format, rows, cols, data),
                            };
                            matmul(&pool, w.expect("its shape"), &activations, &mut out);
                        }
                        started.elapsed().as_secs_f64()
                    })
                    .collect();
                times.sort_by(f64::total_cmp);
                let seconds = times[2] / some.len() as f64;
                println!(
                    "{{\"isa\":\"{}\",\"threads\":{threads},\"format\":\"{}\",\"rows\":{rows},\"cols\":{cols},\
                     \"layout\":\"{layout}\",\"m\":{m},\"gop_s\":{:.1},\"gb_s\":{:.2}}}",
                    instruction_set(),
                    format.name(),
                    2.0 * (m * rows * cols) as f64 / seconds / 1e9,
                    all[0].len() as f64 / seconds / 1e9,
                );
            }
        }
    }
}
