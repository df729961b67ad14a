//! The machine's limits, and each matrix product of the model beside them.
//!
//! One row of activations is decoding: every matrix of a shape is read once, one after the other, as they lie in the
//! file, so that they come from memory. Many rows are prefill.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lorekit_answer::CancelToken;
use lorekit_kernels::{Activations, Matrix, ThreadPool, matmul, roofline};
use lorekit_model::LanguageModel;
use serde_json::{Value, json};

use super::BenchArgs;
use super::measure::{Time, median, timed, tokens};
use crate::error::Result;

/// Activation rows: a token, a short draft, a prompt.
const ROWS: [usize; 3] = [1, 8, 512];
/// Wall time of a figure, after which no further run begins.
const ENOUGH: Duration = Duration::from_millis(400);
/// Shapes with less than this share of the bytes say nothing about the whole.
const SMALL: f64 = 0.01;

pub(super) fn measure(args: &BenchArgs, cancel: &CancelToken) -> Result<Value> {
    let model = LanguageModel::open(&args.model_path(cancel)?, &args.load_options())?;
    let gguf = model.gguf();
    let pool = ThreadPool::new(args.threads);
    let separate_head = gguf.tensor("output.weight").is_some();
    let mut shapes: BTreeMap<(&str, usize, usize), Vec<Matrix<'_>>> = BTreeMap::new();
    for info in gguf.tensors() {
        if info.dims.len() != 2 || separate_head && info.name == "token_embd.weight" {
            continue;
        }
        let own = || gguf.tensor(&info.name)?.matrix().ok();
        if let Some(matrix) = gguf.packed_matrix(&info.name).or_else(own) {
            shapes.entry((info.format.name(), matrix.rows(), matrix.cols())).or_default().push(matrix);
        }
    }
    let all: Vec<&[u8]> = shapes.values().flatten().map(Matrix::data).collect();
    let limits = limits(&pool, &all, args.repeats, cancel)?;
    let (peak, bandwidth) = (limits["int8_gop_s"].as_f64().unwrap_or(0.0), limits["read_gb_s"].as_f64().unwrap_or(0.0));

    let total: usize = all.iter().map(|data| data.len()).sum();
    let mut figures = Vec::new();
    for ((format, rows, cols), matrices) in &shapes {
        let bytes: usize = matrices.iter().map(|m| m.data().len()).sum();
        if (bytes as f64) < SMALL * total as f64 {
            continue;
        }
        for m in ROWS {
            cancel.check().map_err(lorekit_model::Error::from)?;
            let seconds = product(&pool, matrices, m);
            let gop_s = 2.0 * (m * rows * cols) as f64 / seconds / 1e9;
            let gb_s = bytes as f64 / matrices.len() as f64 / seconds / 1e9;
            figures.push(json!({
                "format": format, "rows": rows, "cols": cols, "matrices": matrices.len(),
                "packed": matrices[0].is_packed(),
                "share_of_weights": bytes as f64 / total as f64,
                "m": m,
                "gop_s": gop_s, "share_of_int8_peak": gop_s / peak,
                "gb_s": gb_s, "share_of_read_bandwidth": gb_s / bandwidth,
            }));
        }
    }
    Ok(json!({ "roofline": limits, "products": figures }))
}

/// The most operations per second, and the most bytes of the mapped weights, on these threads.
fn limits(pool: &ThreadPool, weights: &[&[u8]], repeats: usize, cancel: &CancelToken) -> Result<Value> {
    const ROUNDS: usize = 4_000_000;
    let mut operations = 0;
    roofline::dot_products(pool, ROUNDS / 8);
    let arithmetic = quickest(repeats.max(5), || {
        operations = roofline::dot_products(pool, ROUNDS);
        Ok(cancel.check().map_err(lorekit_model::Error::from)?)
    })?;
    let mut bytes = roofline::read(pool, weights);
    let reading = quickest(repeats.max(9), || {
        bytes = roofline::read(pool, weights);
        Ok(cancel.check().map_err(lorekit_model::Error::from)?)
    })?;
    Ok(json!({
        "int8_gop_s": operations as f64 / arithmetic.wall / 1e9,
        // What the threads would do on cores of their own.
        "int8_gop_per_cpu_s": operations as f64 / arithmetic.cpu / 1e9,
        "read_gb_s": bytes as f64 / reading.wall / 1e9,
        "read_bytes": bytes,
        "threads": pool.n_threads(),
    }))
}

/// The shortest of some runs: a limit is what was reached once.
fn quickest(times: usize, mut work: impl FnMut() -> Result<()>) -> Result<Time> {
    let runs = (0..times).map(|_| Ok(timed(&mut work)?.0)).collect::<Result<Vec<Time>>>()?;
    let least = |of: fn(&Time) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
    Ok(Time { wall: least(|t| t.wall), cpu: least(|t| t.cpu) })
}

/// Median seconds of one product of `m` rows, over runs through all matrices of the shape.
fn product(pool: &ThreadPool, matrices: &[Matrix<'_>], m: usize) -> f64 {
    let (rows, cols) = (matrices[0].rows(), matrices[0].cols());
    let x: Vec<f32> = tokens(m * cols, 2_000).iter().map(|t| *t as f32 / 1_000.0 - 1.0).collect();
    let mut activations = Activations::new();
    activations.set(pool, &x, cols);
    // A head of 262,144 outputs is computed for one row of a prompt; a part of it shows the speed of many.
    let some = if m > 1 { rows.min(16_384) } else { rows };
    let mut out = vec![0.0; m * some];
    let share = rows as f64 / some as f64;
    let few = if m > 8 { &matrices[..matrices.len().min(4)] } else { matrices };
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || (begin.elapsed() < ENOUGH && times.len() < 25) {
        let start = Instant::now();
        for matrix in few {
            let part = if some < rows { matrix.rows_range(0..some) } else { *matrix };
            matmul(pool, part, &activations, &mut out);
        }
        times.push(start.elapsed().as_secs_f64() / few.len() as f64);
        if begin.elapsed() > 10 * ENOUGH {
            break;
        }
    }
    median(times) * share
}
